#include "config/compile_check.h"

#include "base/hash.h"
#include "config/value.h"
#include "http/grammar.h"
#include "upstream/check_conf.h"

/* check (PATH | tcp) every D ...: what stands behind comes in pairs. */
enum { WORD_WHAT = 1, WORD_EVERY = 3, WORD_PAIRS = 4 };

static void read_pair(struct check_conf *check, const struct word *name, const struct word *value)
{
    if (compile_is(name, "timeout"))
        check->timeout_ms = compile_ms(value);
    else if (compile_is(name, "fall"))
        check->fall = (uint32_t)compile_number(value);
    else if (compile_is(name, "rise"))
        check->rise = (uint32_t)compile_number(value);
    else if (!value_statuses(value->text, &check->status_min, &check->status_max))
        check->status_min = 0; /* the table lets no other through */
}

static struct check_conf read_line(const struct statement *s)
{
    struct check_conf check = {
        .tcp = compile_is(&s->words[WORD_WHAT], "tcp"),
        .target = s->words[WORD_WHAT].text,
        .every_ms = compile_ms(&s->words[WORD_EVERY]),
        .timeout_ms = 2000,
        .status_min = 200,
        .status_max = 399,
        .fall = 3,
        .rise = 2,
    };
    for (size_t i = WORD_PAIRS; i + 1 < s->count; i += 2)
        read_pair(&check, &s->words[i], &s->words[i + 1]);
    return check;
}

static const struct word *value_of(const struct statement *s, const char *name)
{
    for (size_t i = WORD_PAIRS; i + 1 < s->count; i += 2)
        if (compile_is(&s->words[i], name))
            return &s->words[i + 1];
    return &s->words[WORD_WHAT];
}

static void check_pairs(struct compile *c, const struct statement *s, const struct check_conf *read)
{
    for (size_t i = WORD_PAIRS; i + 1 < s->count; i += 2)
        for (size_t k = i + 2; k + 1 < s->count; k += 2)
            if (str_eq(s->words[i].text, s->words[k].text))
                diag_error(c->diag, &s->words[k].pos, "'%.*s' stands here twice",
                           STR_ARG(s->words[k].text));
    if (read->timeout_ms == 0)
        diag_error(c->diag, &value_of(s, "timeout")->pos,
                   "a timeout of nothing lets nobody finish");
    if (read->fall == 0)
        diag_error(c->diag, &value_of(s, "fall")->pos,
                   "an origin is down after at least one failed check");
    if (read->rise == 0)
        diag_error(c->diag, &value_of(s, "rise")->pos,
                   "an origin is up after at least one check that is well");
    const struct word *expect = value_of(s, "expect");
    if (read->tcp && expect != &s->words[WORD_WHAT])
        diag_error(c->diag, &expect->pos, "a check of 'tcp' asks nothing: there is no status");
}

void compile_check_line(struct compile *c, const struct statement *s)
{
    struct check_conf read = read_line(s);
    c->settings->check = s;
    c->settings->changed = true;
    if (!read.tcp && !grammar_all(read.target, GRAMMAR_TARGET)) {
        diag_error(c->diag, &s->words[WORD_WHAT].pos, "this path cannot be sent as it is");
        diag_hint(c->diag, "spaces, # and other bytes that a request must not hold as %%XX");
    }
    if (read.every_ms < CHECK_EVERY_MIN_MS) {
        diag_error(c->diag, &s->words[WORD_EVERY].pos,
                   "checks come every %dms at the most: they are a load of their own",
                   CHECK_EVERY_MIN_MS);
        diag_hint(c->diag, "every 5s");
    }
    check_pairs(c, s, &read);
}

static uint64_t identity_of(const struct check_conf *check)
{
    const uint64_t numbers[] = {check->tcp,        check->every_ms,   check->timeout_ms,
                                check->status_min, check->status_max, check->fall,
                                check->rise};
    uint64_t hash = hash_stable(1, str_from((const char *)numbers, sizeof numbers));
    return hash_stable(hash_stable(hash, check->target), check->host);
}

const struct check_conf *compile_check(struct compile *c, const struct settings *settings)
{
    if (settings->check == NULL)
        return NULL;
    struct check_conf *check = ARENA_NEW(compile_arena(c), struct check_conf);
    if (check == NULL) {
        compile_no_memory(c);
        return NULL;
    }
    *check = read_line(settings->check);
    check->target = compile_dup(c, check->target);
    if (settings->host_mode == HOST_NAME)
        check->host = compile_dup(c, settings->host_name);
    check->identity = identity_of(check);
    return check;
}
