#include "config/compile_target.h"

#include "base/arena.h"
#include "config/compile_header.h"
#include "config/compile_named.h"
#include "config/compile_redirects.h"
#include "config/compile_upstream.h"
#include "config/value.h"
#include "files/files.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

static bool is_keyword(const struct word *word, const char *keyword)
{
    return word->kind == WORD_BARE && compile_is(word, keyword);
}

static bool is_action(const struct word *word)
{
    return is_keyword(word, "files") || is_keyword(word, "redirect") ||
           is_keyword(word, "redirects") || is_keyword(word, "respond");
}

static struct target *new_target(struct compile *c)
{
    struct target *target = ARENA_NEW(compile_arena(c), struct target);
    if (target == NULL)
        compile_no_memory(c);
    return target;
}

static void too_many(struct compile *c, const struct word *word, const char *usage)
{
    diag_error(c->diag, &word->pos, "'%.*s' is a word too many", STR_ARG(word->text));
    diag_hint(c->diag, "%s", usage);
}

static bool missing(struct compile *c, const struct word *word, const char *usage)
{
    diag_error(c->diag, &word->pos, "something is missing behind '%.*s'", STR_ARG(word->text));
    diag_hint(c->diag, "%s", usage);
    return false;
}

static bool forward(struct compile *c, const struct settings *settings, const struct statement *s,
                    size_t from, struct target *target)
{
    target->action = ACTION_FORWARD;
    struct named *named = compile_named_target(c, s, from);
    target->upstream = named != NULL ? compile_named_conf(c, named, s, from)
                                     : compile_upstream(c, settings, s, from);
    return target->upstream != NULL;
}

/* `else` and what stands behind it. */
static bool otherwise(struct compile *c, const struct settings *settings, const struct statement *s,
                      size_t at, bool origins_only, struct target *target, const char *usage)
{
    if (at >= s->count)
        return true;
    if (!is_keyword(&s->words[at], "else")) {
        too_many(c, &s->words[at], usage);
        return false;
    }
    if (at + 1 == s->count)
        return missing(c, &s->words[at], usage);
    if (origins_only && is_action(&s->words[at + 1])) {
        diag_error(c->diag, &s->words[at + 1].pos, "behind 'files DIR else' stand origins");
        diag_hint(c->diag, "%s", usage);
        return false;
    }
    struct target *other = new_target(c);
    target->otherwise = other;
    if (other == NULL)
        return false;
    other->where = target->where;
    return origins_only ? forward(c, settings, s, at + 1, other)
                        : compile_target(c, settings, s, at + 1, other);
}

/* ---- files ---- */

static bool ask_real(struct str question, struct text *answer)
{
    char path[PATH_MAX], real[PATH_MAX];
    struct stat st;
    struct text z = text_over(path, sizeof path - 1);
    text_add(&z, str_skip(question, sizeof "folder:" - 1));
    path[z.len] = '\0';
    if (!text_ok(&z) || realpath(path, real) == NULL || stat(real, &st) < 0 || !S_ISDIR(st.st_mode))
        return true; /* an empty answer: there is no such folder */
    text_add_z(answer, real);
    return true;
}

static void add_root(struct compile *c, struct str real)
{
    struct site_build *b = c->build;
    for (size_t i = 0; i < b->root_count; i++)
        if (str_eq(b->roots[i], real))
            return;
    struct str *roots = compile_grow(c, b->roots, b->root_count, &b->root_capacity, sizeof *roots);
    if (roots == NULL)
        return;
    b->roots = roots;
    roots[b->root_count++] = compile_dup(c, real);
}

static bool check_root(struct compile *c, const struct word *word, struct str root)
{
    struct str question = str_printf(c->scratch, "folder:%.*s", STR_ARG(root));
    struct str real = compile_fact(c, question, ask_real);
    if (real.len == 0) {
        diag_error(c->diag, &word->pos, "there is no folder '%.*s'", STR_ARG(word->text));
        compile_hint_path(c, word);
        return false;
    }
    add_root(c, real);
    return true;
}

/* A plain name below the root. */
static bool check_below(struct compile *c, const struct word *word, bool slashes)
{
    struct str rest = word->text, part;
    bool fine = word->text.len != 0 && !str_starts(word->text, STR("/")) &&
                (slashes || str_find_byte(word->text, '/') == SIZE_MAX);
    while (str_split(&rest, '/', &part))
        fine = fine && part.len != 0 && part.at[0] != '.';
    if (!fine && !compile_told(c, str_from(&word, sizeof(const struct word *)))) {
        diag_error(c->diag, &word->pos, "a name below the folder of 'files', not '%.*s'",
                   STR_ARG(word->text));
        diag_hint(c->diag, "such as index.html");
    }
    return fine;
}

static bool set_index(struct compile *c, const struct statement *s, struct files_conf *conf)
{
    static const struct str usual[] = {STR_INIT("index.html")};
    conf->index = usual;
    conf->index_count = 1;
    if (s == NULL)
        return true;
    struct str *names = arena_array(compile_arena(c), s->count, sizeof *names);
    if (names == NULL)
        return compile_no_memory(c);
    bool fine = true;
    for (size_t i = 1; i < s->count; i++) {
        fine = check_below(c, &s->words[i], false) && fine;
        names[i - 1] = compile_dup(c, s->words[i].text);
    }
    conf->index = names;
    conf->index_count = (unsigned)(s->count - 1);
    return fine;
}

static bool files(struct compile *c, const struct settings *settings, const struct statement *s,
                  size_t from, struct target *target)
{
    static const char usage[] = "files DIR [else ORIGIN…]";
    if (from + 1 == s->count)
        return missing(c, &s->words[from], usage);
    struct files_conf *conf = ARENA_NEW(compile_arena(c), struct files_conf);
    if (conf == NULL)
        return compile_no_memory(c);
    const struct word *dir = &s->words[from + 1];
    target->action = ACTION_FILES;
    target->files = conf;
    conf->root = compile_dup(c, compile_path(c, dir));
    conf->listing = settings->listing;
    conf->cache_max_age_s = -1;
    if (settings->cache != NULL && !compile_is(&settings->cache->words[1], "off"))
        conf->cache_max_age_s = compile_ms(&settings->cache->words[1]) / 1000;
    bool fine = set_index(c, settings->index, conf);
    if (settings->fallback != NULL) {
        fine = check_below(c, &settings->fallback->words[1], true) && fine;
        conf->fallback = compile_dup(c, settings->fallback->words[1].text);
    }
    fine = check_root(c, dir, conf->root) && fine;
    return otherwise(c, settings, s, from + 2, true, target, usage) && fine;
}

/* ---- redirect ---- */

static bool redirect_status(const struct word *word, unsigned *status)
{
    return value_status(word->text, status) &&
           (*status == 301 || *status == 302 || *status == 303 || *status == 307 || *status == 308);
}

/* A value may stand in a URL where it cannot name another host than the file does. */
static bool values_in_place(const struct template *t)
{
    const struct template_piece *first = &t->pieces[0];
    struct str head = first->value == TEMPLATE_TEXT ? first->text : (struct str){0};
    if (str_starts(head, STR("/")) && !str_starts(head, STR("//")))
        return true;
    if (first->value == TEMPLATE_PATH)
        return true;
    bool scheme = first->value == TEMPLATE_SCHEME, host = false;
    for (size_t i = 0; i < t->count; i++) {
        const struct template_piece *piece = &t->pieces[i];
        struct str text = piece->text;
        if (i == 0 && piece->value == TEMPLATE_TEXT) {
            size_t slashes = str_find(text, STR("//"));
            if (slashes == SIZE_MAX)
                return false;
            text = str_skip(text, slashes + 2);
        } else if (i == 1 && scheme) {
            if (piece->value != TEMPLATE_TEXT || !str_starts(text, STR("://")))
                return false;
            text = str_skip(text, 3);
        }
        if (piece->value == TEMPLATE_TEXT &&
            (str_find_byte(text, '/') != SIZE_MAX || str_find_byte(text, '?') != SIZE_MAX))
            return true; /* the host has ended */
        if (piece->value == TEMPLATE_PATH && host)
            return true; /* it begins with '/', so the host has ended here too */
        host |= text.len != 0 || piece->value == TEMPLATE_HOST;
        if (piece->value != TEMPLATE_TEXT && piece->value != TEMPLATE_HOST && !(i == 0 && scheme))
            return false;
    }
    return true;
}

static bool url_bytes_fine(struct str url)
{
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.at[i] <= 0x20 || (unsigned char)url.at[i] >= 0x7f ||
            url.at[i] == '\\')
            return false;
    return true;
}

static bool check_url(struct compile *c, const struct word *word, const struct template *t)
{
    bool absolute = str_starts(word->text, STR("http://")) ||
                    str_starts(word->text, STR("https://")) ||
                    str_starts(word->text, STR("$scheme://"));
    if (!absolute && !str_starts(word->text, STR("/")) && !str_starts(word->text, STR("$path"))) {
        diag_error(c->diag, &word->pos, "a redirect goes to a path or to an http or https URL");
        diag_hint(c->diag, "such as /new/* or https://www.example.com/*");
        return false;
    }
    if (!url_bytes_fine(word->text)) {
        diag_error(c->diag, &word->pos, "a URL has no spaces, backslashes or raw non-ASCII bytes");
        diag_hint(c->diag, "write them as %%XX");
        return false;
    }
    if (values_in_place(t))
        return true;
    diag_error(c->diag, &word->pos, "a value of the request could change the host here");
    diag_hint(c->diag, "put a '/' before it, as in https://www.example.com/*");
    return false;
}

/* A final `*` stands for what the pattern's did: all patterns must have one. */
static bool check_rest(struct compile *c, const struct word *word)
{
    if (!str_ends(word->text, STR("*")) || (c->route != NULL && !c->route->has_other))
        return true;
    struct diag_pos pos = compile_part(word, word->text.len - 1, 1);
    diag_error(c->diag, &pos, "this '*' stands for what a pattern's '*' matched: here is none");
    diag_hint(c->diag, "a pattern such as /old/*, or $1 with a regular expression");
    return false;
}

static bool redirect(struct compile *c, const struct statement *s, size_t from,
                     struct target *target)
{
    static const char usage[] = "redirect [301|302|303|307|308] URL";
    unsigned status = 308, other;
    size_t at = from + 1;
    if (at + 1 < s->count && redirect_status(&s->words[at], &status))
        at++;
    if (at >= s->count)
        return missing(c, &s->words[from], usage);
    const struct word *url = &s->words[at];
    if (at + 1 < s->count && !value_status(url->text, &other)) {
        too_many(c, &s->words[at + 1], usage);
        return false;
    }
    if (value_status(url->text, &other)) {
        diag_error(c->diag, &url->pos, "expected 301, 302, 303, 307, 308 or a URL, not '%.*s'",
                   STR_ARG(url->text));
        diag_hint(c->diag, "%s", usage);
        return false;
    }
    target->action = ACTION_REDIRECT;
    target->status = (uint16_t)status;
    target->text_place = TEMPLATE_IN_URL;
    if (!check_rest(c, url) ||
        !compile_header_template(c, compile_arena(c), url, true, c->route && c->route->has_regex,
                                 &target->text) ||
        !check_url(c, url, &target->text))
        return false;
    target->text_has_query = str_find_byte(url->text, '?') != SIZE_MAX;
    return true;
}

/* ---- redirects ---- */

static bool redirects(struct compile *c, const struct settings *settings, const struct statement *s,
                      size_t from, struct target *target)
{
    static const char usage[] = "redirects FILE [else TARGET]";
    if (from + 1 == s->count)
        return missing(c, &s->words[from], usage);
    target->action = ACTION_REDIRECTS;
    target->status = 308;
    bool fine = compile_redirects_load(c, &s->words[from + 1], &target->redirects);
    return otherwise(c, settings, s, from + 2, false, target, usage) && fine;
}

/* ---- respond ---- */

static bool respond(struct compile *c, const struct statement *s, size_t from,
                    struct target *target)
{
    static const char usage[] = "respond STATUS [TEXT]";
    unsigned status = 0;
    if (from + 1 == s->count)
        return missing(c, &s->words[from], usage);
    const struct word *said = &s->words[from + 1];
    if (!value_status(said->text, &status) || status < 200) {
        diag_error(c->diag, &said->pos, "expected a status from 200 to 599, not '%.*s'",
                   STR_ARG(said->text));
        diag_hint(c->diag, "%s", usage);
        return false;
    }
    if (from + 3 < s->count) {
        too_many(c, &s->words[from + 3], "a text with spaces stands in quotes");
        return false;
    }
    target->action = ACTION_RESPOND;
    target->status = (uint16_t)status;
    if (from + 2 == s->count)
        return true;
    const struct word *text = &s->words[from + 2];
    if (status == 204 || status == 205 || status == 304) {
        diag_error(c->diag, &text->pos, "an answer with status %u has no text", status);
        return false;
    }
    bool html = str_starts(text->text, STR("<"));
    target->text_place = html ? TEMPLATE_IN_HTML : TEMPLATE_IN_TEXT;
    target->content_type =
        html ? STR("text/html; charset=utf-8") : STR("text/plain; charset=utf-8");
    return compile_header_template(c, compile_arena(c), text, false,
                                   c->route && c->route->has_regex, &target->text);
}

bool compile_target(struct compile *c, const struct settings *settings, const struct statement *s,
                    size_t from, struct target *target)
{
    const struct word *first = &s->words[from];
    target->where = compile_where(c, s);
    if (is_keyword(first, "files"))
        return files(c, settings, s, from, target);
    if (is_keyword(first, "redirect"))
        return redirect(c, s, from, target);
    if (is_keyword(first, "redirects"))
        return redirects(c, settings, s, from, target);
    if (is_keyword(first, "respond"))
        return respond(c, s, from, target);
    return forward(c, settings, s, from, target);
}
