#include "base/regex.h"

#include "base/arena.h"

#include <pthread.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct regex {
    pcre2_code *code;
};

/* One per thread: match data and limits are not shareable. Freed when the thread ends. */
struct scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_end(void *at)
{
    struct scratch *scratch = at;
    pcre2_match_data_free(scratch->data);
    pcre2_match_context_free(scratch->context);
    free(scratch);
}

static void scratch_key_make(void)
{
    pthread_key_create(&scratch_key, scratch_end);
}

static struct scratch *scratch_of_thread(void)
{
    pthread_once(&scratch_once, scratch_key_make);
    struct scratch *scratch = pthread_getspecific(scratch_key);
    if (scratch != NULL)
        return scratch;
    scratch = calloc(1, sizeof *scratch);
    if (scratch == NULL)
        return NULL;
    scratch->data = pcre2_match_data_create(REGEX_GROUPS_MAX, NULL);
    scratch->context = pcre2_match_context_create(NULL);
    if (scratch->data == NULL || scratch->context == NULL) {
        scratch_end(scratch);
        return NULL;
    }
    pcre2_set_match_limit(scratch->context, REGEX_MATCH_LIMIT);
    pcre2_set_depth_limit(scratch->context, REGEX_MATCH_LIMIT);
    pthread_setspecific(scratch_key, scratch);
    return scratch;
}

static void regex_free(void *code)
{
    pcre2_code_free(code);
}

static struct regex *compile(struct arena *arena, struct str pattern, uint32_t options,
                             const char **why, size_t *at)
{
    static _Thread_local char message[160];
    int error = 0;
    struct regex *regex = ARENA_NEW(arena, struct regex);
    *why = "out of memory";
    *at = 0;
    if (regex == NULL)
        return NULL;
    regex->code =
        pcre2_compile((PCRE2_SPTR)pattern.at, pattern.len,
                      PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | options, &error, at, NULL);
    if (regex->code == NULL) {
        pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof message);
        *why = message;
        return NULL;
    }
    /* Without JIT the interpreter matches, slower; nothing else differs. */
    (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    if (!arena_defer(arena, regex_free, regex->code)) {
        pcre2_code_free(regex->code);
        return NULL;
    }
    return regex;
}

struct regex *regex_new(struct arena *arena, struct str pattern, const char **why, size_t *at)
{
    return compile(arena, pattern, 0, why, at);
}

struct regex *regex_new_nocase(struct arena *arena, struct str pattern)
{
    const char *why;
    size_t at;
    return compile(arena, pattern, PCRE2_CASELESS, &why, &at);
}

enum regex_result regex_match(const struct regex *regex, struct str subject, struct str *groups)
{
    struct scratch *scratch = scratch_of_thread();
    if (scratch == NULL)
        return REGEX_LIMIT;
    PCRE2_SPTR at = (PCRE2_SPTR)(subject.at ? subject.at : "");
    int count = pcre2_match(regex->code, at, subject.len, 0, 0, scratch->data, scratch->context);
    if (count == PCRE2_ERROR_NOMATCH)
        return REGEX_NO_MATCH;
    if (count < 0)
        return REGEX_LIMIT;
    if (groups == NULL)
        return REGEX_MATCH;
    if (count == 0) /* more groups than we keep */
        count = REGEX_GROUPS_MAX;
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(scratch->data);
    for (int i = 0; i < REGEX_GROUPS_MAX; i++) {
        groups[i] = (struct str){0};
        if (i < count && ends[2 * i] != PCRE2_UNSET && ends[2 * i + 1] >= ends[2 * i])
            groups[i] = str_sub(subject, ends[2 * i], ends[2 * i + 1] - ends[2 * i]);
    }
    return REGEX_MATCH;
}
