#include "config/compile_header.h"

#include "base/arena.h"
#include "http/header.h"

/* Fields that frame a message or belong to one connection (RFC 9110 7.6.1, RFC 9112 6). */
static const struct {
    enum header_id id;
    const char *hint;
} forbidden[] = {
    {HEADER_CONNECTION, "the proxy keeps the connections"},
    {HEADER_CONTENT_LENGTH, "the length is that of the body"},
    {HEADER_TRANSFER_ENCODING, "the proxy frames the body"},
    {HEADER_HOST, "here: host NAME"},
    {HEADER_KEEP_ALIVE, "here: keepalive, and timeout idle"},
    {HEADER_PROXY_CONNECTION, "the proxy keeps the connections"},
    {HEADER_TE, "the proxy frames the body"},
    {HEADER_TRAILER, "the proxy frames the body"},
    {HEADER_UPGRADE, "here: websocket on"},
    {HEADER_EXPECT, "the proxy answers it"},
    {HEADER_HTTP2_SETTINGS, "the proxy keeps the connections"},
};

static bool check_name(struct compile *c, const struct word *name)
{
    enum header_id id = header_lookup(name->text);
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++)
        if (id == forbidden[i].id) {
            diag_error(c->diag, &name->pos, "'%.*s' is not a header field to be set or removed",
                       STR_ARG(header_name(id)));
            diag_hint(c->diag, "%s", forbidden[i].hint);
            return false;
        }
    return true;
}

static bool check_keep(struct compile *c, const struct word *name)
{
    enum header_id id = header_lookup(name->text);
    if (id == HEADER_SERVER || id == HEADER_X_POWERED_BY || id == HEADER_X_ASPNET_VERSION)
        return true;
    diag_error(c->diag, &name->pos, "'%.*s' is kept anyway", STR_ARG(name->text));
    diag_hint(c->diag, "'keep' is for Server, X-Powered-By and X-AspNet-Version");
    return false;
}

bool compile_header_template(struct compile *c, struct arena *arena, const struct word *word,
                             bool with_rest, bool groups, struct template *out)
{
    size_t at, len;
    if (!template_compile(arena, word->text, with_rest, out, &at, &len)) {
        if (len == 0)
            return compile_no_memory(c);
        struct diag_pos pos = compile_part(word, at, len);
        diag_error(c->diag, &pos, "unknown value '%.*s'", STR_ARG(str_sub(word->text, at, len)));
        diag_hint(c->diag, len == 1 ? "a dollar sign is written $$"
                                    : "$client $host $scheme $method $path $query $request_id "
                                      "$1 to $9; $$ is a dollar sign");
        return false;
    }
    size_t star = with_rest ? str_find_byte(word->text, '*') : SIZE_MAX;
    if (star != SIZE_MAX && star + 1 != word->text.len) {
        struct diag_pos pos = compile_part(word, star, 1);
        diag_warning(c->diag, &pos,
                     "this '*' is sent as it is: only a final one stands for the rest");
        diag_hint(c->diag, "~ ^/old/(.*) -> redirect /new/$1?x=1");
    }
    if (groups || !template_uses(out, TEMPLATE_GROUP))
        return true;
    diag_error(c->diag, &word->pos, "$1 to $9 are groups of a regular expression: here is none");
    diag_hint(c->diag, "~ REGEX -> …, or rewrite ~ REGEX PATH");
    return false;
}

static bool check_value(struct compile *c, const struct word *value, bool groups)
{
    struct template t;
    if (!header_value_ok(value->text)) {
        diag_error(c->diag, &value->pos, "these bytes cannot stand in a header field");
        return false;
    }
    return compile_header_template(c, c->scratch, value, false, groups, &t);
}

/* Which words are what: request|response OP NAME [VALUE]. */
void compile_header_line(struct compile *c, const struct statement *s)
{
    const struct word *op = &s->words[2], *name = &s->words[3];
    bool groups = c->route != NULL && c->route->has_regex;
    bool fine = compile_is(op, "keep") ? check_keep(c, name) : check_name(c, name);
    if (s->count > 4)
        fine = check_value(c, &s->words[4], groups) && fine;
    if (fine)
        compile_add_line(c, &c->settings->headers, s);
}

static void build_edit(struct compile *c, const struct statement *s, struct header_edit *edit)
{
    const struct word *op = &s->words[2];
    edit->op = compile_is(op, "set")      ? HEADER_SET
               : compile_is(op, "add")    ? HEADER_ADD
               : compile_is(op, "remove") ? HEADER_REMOVE
                                          : HEADER_KEEP;
    edit->response = compile_is(&s->words[1], "response");
    edit->name = compile_dup(c, s->words[3].text);
    edit->where = compile_where(c, s);
    size_t at, len;
    if (s->count > 4 &&
        !template_compile(compile_arena(c), s->words[4].text, false, &edit->value, &at, &len))
        compile_no_memory(c); /* its form was checked with the line */
}

void compile_header_build(struct compile *c, const struct settings *settings,
                          struct route_conf *conf)
{
    size_t count;
    const struct statement **lines = compile_lines(c, settings->headers, &count);
    if (lines == NULL)
        return;
    conf->headers = arena_array(compile_arena(c), count, sizeof *conf->headers);
    if (conf->headers == NULL) {
        compile_no_memory(c);
        return;
    }
    conf->header_count = count;
    for (size_t i = 0; i < count; i++)
        build_edit(c, lines[i], &conf->headers[i]);
}
