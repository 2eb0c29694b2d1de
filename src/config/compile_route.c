#include "config/compile_route.h"

#include "base/arena.h"
#include "base/regex.h"
#include "config/compile_access.h"
#include "config/compile_conf.h"
#include "config/compile_header.h"
#include "config/compile_named.h"
#include "config/compile_redirects.h"
#include "config/compile_target.h"
#include "upstream/upstream_conf.h"

static bool no_block_line(const struct statement *s)
{
    (void)s;
    return false;
}

/* ---- lines of the block ---- */

void compile_route_when(struct compile *c, const struct statement *s)
{
    struct line *line = ARENA_NEW(c->scratch, struct line);
    if (line == NULL) {
        compile_no_memory(c);
        return;
    }
    const struct line *outer = c->route->whens;
    *line = (struct line){.outer = outer, .statement = s, .number = outer ? outer->number + 1 : 1};
    c->route->whens = line;
}

void compile_route_strip(struct compile *c, const struct statement *s)
{
    c->route->strip = s;
}

void compile_route_rewrite(struct compile *c, const struct statement *s)
{
    c->route->rewrite = s;
}

static struct regex *regex_of(struct compile *c, const struct word *word)
{
    const char *why;
    size_t at;
    c->snapshot->uses_regex = true;
    struct regex *regex = regex_new(compile_arena(c), word->text, &why, &at);
    if (regex == NULL) {
        struct diag_pos pos = compile_part(word, at < word->text.len ? at : 0, 1);
        diag_error(c->diag, &pos, "this expression does not compile: %s", why);
    }
    return regex;
}

/* ---- when ---- */

static bool copy_values(struct compile *c, const struct statement *s, size_t from,
                        struct condition *condition)
{
    condition->value_count = s->count - from;
    if (condition->value_count == 0)
        return true;
    condition->values =
        arena_array(compile_arena(c), condition->value_count, sizeof *condition->values);
    if (condition->values == NULL)
        return compile_no_memory(c);
    for (size_t i = from; i < s->count; i++)
        condition->values[i - from] = compile_dup(c, s->words[i].text);
    return true;
}

static bool build_condition(struct compile *c, const struct statement *s,
                            struct condition *condition)
{
    size_t at = 1;
    condition->where = compile_where(c, s);
    condition->negated = compile_is(&s->words[at], "not");
    at += condition->negated;
    const struct word *kind = &s->words[at++];
    if (compile_is(kind, "from")) {
        condition->kind = CONDITION_FROM;
        condition->nets = compile_access_nets(c, s, at, &condition->net_count);
        return condition->nets != NULL;
    }
    if (compile_is(kind, "path")) {
        condition->kind = CONDITION_PATH;
        condition->regex = regex_of(c, &s->words[at + 1]);
        /* Two expressions are the same condition when their texts are. */
        condition->name = compile_dup(c, s->words[at + 1].text);
        return condition->regex != NULL;
    }
    if (compile_is(kind, "method")) {
        condition->kind = CONDITION_METHOD;
        return copy_values(c, s, at, condition);
    }
    condition->kind = compile_is(kind, "header")  ? CONDITION_HEADER
                      : compile_is(kind, "query") ? CONDITION_QUERY
                                                  : CONDITION_COOKIE;
    condition->name = compile_dup(c, s->words[at].text);
    return copy_values(c, s, at + 1, condition);
}

static bool methods_meet(const struct condition *a, const struct condition *b)
{
    for (size_t i = 0; i < a->value_count; i++)
        for (size_t j = 0; j < b->value_count; j++)
            if (str_eq(a->values[i], b->values[j]))
                return true;
    return false;
}

/* A request has one method: two `when method` lines without a common one hold never. */
static void tell_contradiction(struct compile *c, const struct condition *all, size_t count,
                               const struct statement *const *lines)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (all[i].kind == CONDITION_METHOD && all[j].kind == CONDITION_METHOD &&
                !all[i].negated && !all[j].negated && !methods_meet(&all[i], &all[j])) {
                diag_error(c->diag, &lines[i]->words[0].pos,
                           "this route can never be reached: no request has two methods");
                diag_hint(c->diag, "values on one 'when' line are alternatives");
                return;
            }
}

static bool build_conditions(struct compile *c, const struct route_build *build,
                             struct route *route)
{
    size_t count;
    const struct statement **lines = compile_lines(c, build->whens, &count);
    if (count == 0)
        return true;
    struct condition *all = arena_array(compile_arena(c), count, sizeof *all);
    if (all == NULL || lines == NULL)
        return compile_no_memory(c);
    bool fine = true;
    for (size_t i = 0; i < count; i++)
        fine = build_condition(c, lines[i], &all[i]) && fine;
    if (fine)
        tell_contradiction(c, all, count, lines);
    route->conditions = all;
    route->condition_count = count;
    return fine;
}

/* ---- rewrite ---- */

static bool build_rewrite(struct compile *c, const struct route_build *build, struct route *route)
{
    const struct statement *s = build->rewrite;
    if (s == NULL)
        return true;
    bool by_regex = s->count == 4;
    const struct word *path = &s->words[s->count - 1];
    if (by_regex && (route->rewrite_regex = regex_of(c, &s->words[2])) == NULL)
        return false;
    if (str_find_byte(path->text, '?') != SIZE_MAX || str_find_byte(path->text, '#') != SIZE_MAX) {
        diag_error(c->diag, &path->pos, "'rewrite' changes the path, never the query");
        diag_hint(c->diag, "a path without '?' and '#'");
        return false;
    }
    if (str_ends(path->text, STR("*")) && (build->has_other || by_regex)) {
        struct diag_pos pos = compile_part(path, path->text.len - 1, 1);
        diag_error(c->diag, &pos,
                   "this '*' stands for what the pattern's '*' matched: here is none");
        diag_hint(c->diag, "rewrite ~ REGEX PATH, with $1 to $9");
        return false;
    }
    return compile_header_template(c, compile_arena(c), path, true, build->has_regex,
                                   &route->rewrite);
}

/* ---- patterns ---- */

static bool tell_pattern(struct compile *c, const struct word *word, size_t at, size_t len,
                         const char *what, const char *hint)
{
    struct diag_pos pos = compile_part(word, at, len);
    diag_error(c->diag, &pos, "%s", what);
    if (hint != NULL)
        diag_hint(c->diag, "%s", hint);
    return false;
}

static bool read_path_pattern(struct compile *c, const struct word *word, struct route *route)
{
    struct str text = word->text;
    bool prefix = str_ends(text, STR("/*"));
    struct str path = prefix ? str_sub(text, 0, text.len - 1) : text;
    size_t at = str_find_byte(path, '*');
    if (at != SIZE_MAX)
        return tell_pattern(c, word, at, 1, "a '*' stands at the end, behind a '/', or nowhere",
                            "any other pattern is an expression: ~ '^/x/[^/]+/y$'");
    const char *fault = compile_redirects_path_fault(path, &at);
    if (fault != NULL) {
        const char *hint = path.at[at] == '?' ? "a condition on the query: when query NAME VALUE"
                           : path.at[at] == '%'
                               ? "write the byte itself, in quotes if it is a space"
                               : NULL;
        return tell_pattern(c, word, at, at ? 1 : text.len, fault, hint);
    }
    route->kind = prefix ? PATTERN_PREFIX : PATTERN_EXACT;
    route->pattern = compile_dup(c, text);
    route->path = str_sub(route->pattern, 0, path.len);
    return true;
}

static bool read_regex_pattern(struct compile *c, const struct word *word, struct route *route)
{
    route->kind = PATTERN_REGEX;
    route->pattern = str_printf(compile_arena(c), "~ %.*s", STR_ARG(word->text));
    route->path = str_skip(route->pattern, 2);
    route->regex = regex_of(c, word);
    return route->regex != NULL;
}

static bool is_tilde(const struct word *word)
{
    return word->kind == WORD_BARE && compile_is(word, "~");
}

static struct route *new_route(struct compile *c)
{
    struct site_build *b = c->build;
    struct route *routes =
        compile_grow(c, b->routes, b->route_count, &b->route_capacity, sizeof *routes);
    if (routes == NULL)
        return NULL;
    b->routes = routes;
    struct route *route = &routes[b->route_count];
    *route = (struct route){.site = b->site, .order = (uint32_t)b->route_count};
    return route;
}

/* Everything but the pattern is the same for all patterns of a statement. */
static void add_routes(struct compile *c, const struct statement *s, size_t arrow,
                       const struct route *common)
{
    for (size_t i = 0; i < arrow; i++) {
        struct route *route = new_route(c);
        if (route == NULL)
            return;
        struct route made = *common;
        made.site = route->site;
        made.order = route->order;
        bool fine = is_tilde(&s->words[i]) ? read_regex_pattern(c, &s->words[++i], &made)
                                           : read_path_pattern(c, &s->words[i], &made);
        *route = made;
        c->build->route_count += fine;
    }
}

/* Which kinds of patterns there are decides what `*` and $1 mean in target and block. */
static void note_kinds(struct route_build *build, const struct statement *s, size_t arrow)
{
    for (size_t i = 0; i < arrow; i++) {
        bool regex = is_tilde(&s->words[i]);
        bool prefix = !regex && str_ends(s->words[i].text, STR("/*"));
        build->has_regex = build->has_regex || regex;
        build->has_other = build->has_other || !prefix;
        i += regex;
    }
}

static bool is_rewrite_regex(const struct statement *s)
{
    return s->directive != NULL && compile_is(&s->words[0], "rewrite") && s->count == 4;
}

/* The conf of a route: its own when its block sets something, else its site's. */
static const struct route_conf *conf_of(struct compile *c, struct settings *settings)
{
    if (!settings->changed)
        return c->build->site->conf;
    compile_access_build(c, settings, LEVEL_ROUTE);
    return compile_conf_build(c, settings);
}

static void check_strip(struct compile *c, const struct route_build *build)
{
    if (build->strip == NULL || !build->has_other)
        return;
    diag_error(c->diag, &build->strip->words[0].pos,
               "'strip' removes the prefix of a pattern: here "
               "is one without");
    diag_hint(c->diag, "a pattern such as /app/*, or: rewrite ~ REGEX PATH");
}

/* Words of a route that need a certain kind of target: elsewhere they would do nothing. */
enum { NEEDS_ORIGIN = 1, NEEDS_TLS = 2, NEEDS_FILES = 4 };

static const struct {
    struct str name;
    unsigned needs; /* one of them is enough */
    const char *why;
} needs[] = {
    {STR_INIT("strip"), NEEDS_ORIGIN | NEEDS_FILES, "nothing is forwarded"},
    {STR_INIT("rewrite"), NEEDS_ORIGIN | NEEDS_FILES, "nothing is forwarded"},
    {STR_INIT("host"), NEEDS_ORIGIN, "nothing is forwarded"},
    {STR_INIT("forwarded"), NEEDS_ORIGIN, "nothing is forwarded"},
    {STR_INIT("websocket"), NEEDS_ORIGIN, "nothing is forwarded"},
    {STR_INIT("keepalive"), NEEDS_ORIGIN, "nothing is forwarded"},
    {STR_INIT("rest"), NEEDS_ORIGIN, "nothing is forwarded"},
    {STR_INIT("retry"), NEEDS_ORIGIN, "nothing is forwarded"},
    {STR_INIT("balance"), NEEDS_ORIGIN, "nothing is forwarded"},
    {STR_INIT("connections"), NEEDS_ORIGIN, "nothing is forwarded"},
    {STR_INIT("check"), NEEDS_ORIGIN, "nothing is forwarded"},
    {STR_INIT("source"), NEEDS_ORIGIN, "nothing is forwarded"},
    {STR_INIT("verify"), NEEDS_TLS, "no origin of this route is https://"},
    {STR_INIT("insecure"), NEEDS_TLS, "no origin of this route is https://"},
    {STR_INIT("sni"), NEEDS_TLS, "no origin of this route is https://"},
    {STR_INIT("cert"), NEEDS_TLS, "no origin of this route is https://"},
    {STR_INIT("index"), NEEDS_FILES, "this route has no files"},
    {STR_INIT("fallback"), NEEDS_FILES, "this route has no files"},
    {STR_INIT("listing"), NEEDS_FILES, "this route has no files"},
    {STR_INIT("cache"), NEEDS_FILES, "this route has no files"},
};

static unsigned offered_by(const struct target *target)
{
    unsigned offered = 0;
    for (; target != NULL; target = target->otherwise) {
        offered |= target->action == ACTION_FILES ? NEEDS_FILES : 0;
        if (target->action != ACTION_FORWARD)
            continue;
        offered |= NEEDS_ORIGIN;
        for (unsigned i = 0; i < target->upstream->origin_count; i++)
            offered |= target->upstream->origins[i].tls ? NEEDS_TLS : 0;
    }
    return offered;
}

static void check_needs(struct compile *c, const struct block *block, const struct target *target)
{
    unsigned offered = block ? offered_by(target) : 0;
    for (const struct statement *s = block ? block->first : NULL; s != NULL; s = s->next)
        for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
            if ((needs[i].needs & offered) != 0 || !str_eq(s->words[0].text, needs[i].name))
                continue;
            diag_error(c->diag, &s->words[0].pos, "'%.*s' has no meaning here: %s",
                       STR_ARG(needs[i].name), needs[i].why);
            if (target->action == ACTION_REDIRECT && (needs[i].needs & NEEDS_FILES) != 0 &&
                (needs[i].needs & NEEDS_ORIGIN) != 0)
                diag_hint(c->diag, "the path stands in the URL: redirect /new/*");
        }
}

/* The upstream that this route, or the `else` of its target, names. */
static const struct named *named_of(const struct compile *c, const struct statement *s,
                                    size_t arrow)
{
    const struct named *named = compile_named_target(c, s, arrow + 1);
    for (size_t i = arrow + 1; named == NULL && i < s->count; i++)
        if (compile_is(&s->words[i], "else"))
            named = compile_named_target(c, s, i + 1);
    return named;
}

static void make(struct compile *c, const struct statement *s, size_t arrow,
                 const struct block *block)
{
    struct site_build *b = c->build;
    struct settings settings = b->settings;
    struct route_build build = {.statement = s};
    struct settings *outer = c->settings;
    struct route common = {.where = compile_where(c, s)};
    settings.changed = false;
    note_kinds(&build, s, arrow);
    for (const struct statement *line = block ? block->first : NULL; line; line = line->next)
        build.has_regex = build.has_regex || is_rewrite_regex(line);
    c->settings = &settings;
    c->route = &build;
    c->level = LEVEL_ROUTE;
    const struct named *named = named_of(c, s, arrow);
    if (named != NULL) {
        compile_named_lend(c, named, &settings);
        compile_named_check_route(c, named, block);
    }
    compile_block(c, block, no_block_line);
    check_strip(c, &build);
    common.strip = build.strip != NULL;
    common.conf = conf_of(c, &settings);
    bool fine = build_conditions(c, &build, &common);
    fine = build_rewrite(c, &build, &common) && fine;
    fine = compile_target(c, &settings, s, arrow + 1, &common.target) && fine;
    if (fine)
        check_needs(c, block, &common.target);
    /* Routes with errors stay in for the checks between them; the load fails anyway. */
    add_routes(c, s, arrow, &common);
    c->level = LEVEL_SITE;
    c->route = NULL;
    c->settings = outer;
}

static size_t arrow_of(const struct statement *s)
{
    size_t at = 0;
    while (at < s->count && s->words[at].kind != WORD_ARROW)
        at++;
    return at;
}

void compile_route(struct compile *c, const struct statement *s)
{
    make(c, s, arrow_of(s), s->block);
}

/* Words in front of the arrow are hosts: the pattern is not written. */
void compile_route_short(struct compile *c, const struct statement *s, size_t arrow)
{
    struct word *words = arena_array(c->scratch, s->count - arrow + 1, sizeof *words);
    if (words == NULL) {
        compile_no_memory(c);
        return;
    }
    struct statement whole = *s;
    words[0] = s->words[0];
    words[0].text = words[0].raw = STR("/*");
    words[0].kind = WORD_BARE;
    for (size_t i = arrow; i < s->count; i++)
        words[i - arrow + 1] = s->words[i];
    whole.words = words;
    whole.count = s->count - arrow + 1;
    make(c, &whole, 1, NULL);
}
