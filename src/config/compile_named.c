#include "config/compile_named.h"

#include "base/arena.h"
#include "config/compile_upstream.h"
#include "config/value.h"
#include "upstream/upstream_conf.h"

/* ---- the block ---- */

static struct named *find(const struct compile *c, struct str name)
{
    struct named *named = c->upstreams;
    while (named != NULL && !str_eq(named->name, name))
        named = named->next;
    return named;
}

/* Words that mean something else where a target stands. */
static bool is_taken(struct str name)
{
    static const struct str taken[] = {STR_INIT("files"), STR_INIT("redirect"),
                                       STR_INIT("redirects"), STR_INIT("respond"),
                                       STR_INIT("else")};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (str_eq(taken[i], name))
            return true;
    return false;
}

static bool check_name(struct compile *c, const struct word *word)
{
    uint16_t port;
    const struct named *before = find(c, word->text);
    if (before != NULL) {
        diag_error(c->diag, &word->pos, "there is an upstream '%.*s' already", STR_ARG(word->text));
        const struct diag_pos *pos = &before->statement->words[0].pos;
        diag_hint(c->diag, "the first is in %.*s:%u", STR_ARG(pos->file), (unsigned)pos->line);
        return false;
    }
    if (!is_taken(word->text) && !value_port(word->text, &port))
        return true;
    diag_error(c->diag, &word->pos, "'%.*s' means something else as a target", STR_ARG(word->text));
    diag_hint(c->diag, "another name, such as app");
    return false;
}

static bool no_line_skipped(const struct statement *s)
{
    (void)s;
    return false;
}

static void check_servers(struct compile *c, struct named *named)
{
    const struct diag_pos *pos = &named->statement->words[0].pos;
    bool primary = false;
    for (const struct line *line = named->servers; line != NULL; line = line->outer) {
        const struct statement *s = line->statement;
        primary = primary || !compile_is(&s->words[s->count - 1], "backup");
    }
    bool tried = false;
    for (const struct statement *s = named->statement->block->first; s != NULL; s = s->next)
        tried = tried || compile_is(&s->words[0], "server");
    if (named->servers == NULL && tried)
        return; /* its errors are told */
    if (named->servers == NULL) {
        diag_error(c->diag, pos, "this upstream has no origin");
        diag_hint(c->diag, "server localhost:3000");
    } else if (!primary) {
        diag_error(c->diag, pos, "all origins of this upstream are backups");
        diag_hint(c->diag, "a backup is asked while no other origin is fit");
    }
}

void compile_named_block(struct compile *c, const struct statement *s)
{
    struct settings *outer = c->settings;
    struct named *named = ARENA_NEW(c->scratch, struct named);
    if (named == NULL) {
        compile_no_memory(c);
        return;
    }
    unsigned errors = c->diag->errors;
    *named = (struct named){.name = s->words[1].text, .statement = s, .settings = *outer};
    bool fine = check_name(c, &s->words[1]);
    c->settings = &named->settings;
    c->named = named;
    c->level = LEVEL_UPSTREAM;
    compile_block(c, s->block, no_line_skipped);
    c->level = LEVEL_FILE;
    c->named = NULL;
    c->settings = outer;
    if (!fine)
        return; /* a name that is another's cannot be looked up */
    check_servers(c, named);
    named->next = c->upstreams;
    c->upstreams = named;
    named->broken = c->diag->errors != errors || named->servers == NULL;
    if (!named->broken)
        named->broken = compile_named_conf(c, named, s, 1) == NULL;
}

void compile_named_server(struct compile *c, const struct statement *s)
{
    for (size_t i = 2; i + 1 < s->count; i++) {
        if (!compile_is(&s->words[i], "weight"))
            continue;
        uint64_t weight = compile_number(&s->words[i + 1]);
        if (weight != 0 && weight <= UPSTREAM_WEIGHT_MAX)
            continue;
        diag_error(c->diag, &s->words[i + 1].pos, "a weight is from 1 to %d", UPSTREAM_WEIGHT_MAX);
        if (weight == 0)
            diag_hint(c->diag, "who shall get nothing is left out, or: portcullis drain ORIGIN");
    }
    compile_add_line(c, &c->named->servers, s);
}

/* ---- routes ---- */

struct named *compile_named_target(const struct compile *c, const struct statement *s, size_t from)
{
    return from < s->count && s->words[from].kind == WORD_BARE ? find(c, s->words[from].text)
                                                               : NULL;
}

static const struct upstream_conf *build(struct compile *c, struct named *named)
{
    size_t count;
    const struct statement **lines = compile_lines(c, named->servers, &count);
    struct upstream_server *servers = arena_array(c->scratch, count, sizeof *servers);
    if (lines == NULL || servers == NULL) {
        compile_no_memory(c);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const struct statement *s = lines[i];
        servers[i] = (struct upstream_server){.statement = s, .word = &s->words[1], .weight = 1};
        if (s->count > 3 && compile_is(&s->words[2], "weight"))
            servers[i].weight = (uint32_t)compile_number(&s->words[3]);
        servers[i].backup = compile_is(&s->words[s->count - 1], "backup");
    }
    return compile_upstream_servers(c, &named->settings, servers, count, named->name);
}

const struct upstream_conf *compile_named_conf(struct compile *c, struct named *named,
                                               const struct statement *s, size_t from)
{
    if (from + 1 < s->count) {
        diag_error(c->diag, &s->words[from + 1].pos, "beside an upstream stands no other origin");
        diag_hint(c->diag, "inside of it: server %.*s", STR_ARG(s->words[from + 1].text));
        return NULL;
    }
    if (named->broken)
        return NULL;
    const struct site *site = c->build != NULL ? c->build->site : NULL;
    if (named->conf == NULL || named->conf_site != site) {
        named->conf = build(c, named);
        named->conf_site = site;
    }
    return named->conf;
}

void compile_named_lend(struct compile *c, const struct named *named, struct settings *settings)
{
    const struct settings *own = &named->settings;
    (void)c;
    if (named->host_said) {
        settings->host_mode = own->host_mode;
        settings->host_name = own->host_name;
    }
    if (named->answer_said)
        settings->answer_ms = own->answer_ms;
    if (named->stream_said)
        settings->stream_ms = own->stream_ms;
    settings->changed =
        settings->changed || named->host_said || named->answer_said || named->stream_said;
}

/* Of a `timeout` line only `connect` is the upstream's alone. */
static const struct word *said_by_upstream(const struct statement *s)
{
    static const struct str alone[] = {
        STR_INIT("verify"),    STR_INIT("insecure"), STR_INIT("sni"),        STR_INIT("cert"),
        STR_INIT("source"),    STR_INIT("balance"),  STR_INIT("check"),      STR_INIT("rest"),
        STR_INIT("keepalive"), STR_INIT("retry"),    STR_INIT("connections")};
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++)
        if (str_eq(s->words[0].text, alone[i]))
            return &s->words[0];
    for (size_t i = 1; compile_is(&s->words[0], "timeout") && i < s->count; i += 2)
        if (compile_is(&s->words[i], "connect"))
            return &s->words[i];
    return NULL;
}

void compile_named_check_route(struct compile *c, const struct named *named,
                               const struct block *block)
{
    for (const struct statement *s = block ? block->first : NULL; s != NULL; s = s->next) {
        const struct word *word = said_by_upstream(s);
        if (word == NULL)
            continue;
        diag_error(c->diag, &word->pos, "'%.*s' is said by the upstream, not by its routes",
                   STR_ARG(word->text));
        diag_hint(c->diag, "in the block of upstream '%.*s'", STR_ARG(named->name));
    }
}

/* ---- used? ---- */

static bool names(const struct statement *s, struct str name)
{
    bool target = false;
    for (size_t i = 0; i < s->count; i++) {
        if (target && s->words[i].kind == WORD_BARE && str_eq(s->words[i].text, name))
            return true;
        target = target || s->words[i].kind == WORD_ARROW;
    }
    for (const struct statement *in = s->block ? s->block->first : NULL; in != NULL; in = in->next)
        if (names(in, name))
            return true;
    return false;
}

void compile_named_tell_unused(struct compile *c, const struct tree *tree)
{
    for (const struct named *named = c->upstreams; named != NULL; named = named->next) {
        bool used = false;
        for (const struct statement *s = tree->top.first; s != NULL && !used; s = s->next)
            used = names(s, named->name);
        if (used)
            continue;
        diag_warning(c->diag, &named->statement->words[1].pos, "no route names the upstream '%.*s'",
                     STR_ARG(named->name));
        diag_hint(c->diag, "/* -> %.*s", STR_ARG(named->name));
    }
}
