#include "config/compile_expect.h"

#include "base/arena.h"
#include "config/value.h"
#include "proxy/ask.h"
#include "proxy/dry.h"
#include "proxy/pipeline.h"

/* Exchange and shells of one try. */
#define TRY_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define SENTENCE_BYTES_MAX 700

/* From TEST-NET-3 (RFC 5737): an address of nobody, so a stranger to every list. */
#define STRANGER "203.0.113.1"

struct expectation {
    struct expectation *next;
    const struct site *site;
    const struct statement *statement;
};

/* One being tried. */
struct attempt {
    struct compile *c;
    const struct expectation *e;
    struct arena *arena;
    struct ask ask;
    struct dry_request request;
    size_t arrow; /* the word */
};

void compile_expect(struct compile *c, const struct statement *s)
{
    struct expectation *e = ARENA_NEW(c->scratch, struct expectation);
    if (e == NULL) {
        compile_no_memory(c);
        return;
    }
    *e = (struct expectation){.site = c->build->site, .statement = s};
    *c->expect_end = e;
    c->expect_end = &e->next;
}

/* ---- the request ---- */

static const struct word *word_at(const struct attempt *a, size_t at)
{
    return &a->e->statement->words[at];
}

/* The site's first host; of a wildcard a name below it that nobody is likely to have. */
static struct str host_of(const struct attempt *a)
{
    struct str host = a->e->site->hosts[0];
    if (str_eq(host, STR("*")))
        return STR("expect.invalid"); /* RFC 6761 6.4 */
    if (str_starts(host, STR("*.")))
        return str_printf(a->arena, "expect.%.*s", STR_ARG(str_skip(host, 2)));
    return host;
}

/* The site's first HTTPS listener, else its first; with a URL the first of its scheme and port. */
static const struct listener *listener_of(const struct attempt *a, bool by_url)
{
    const struct snapshot *snapshot = a->c->snapshot;
    const struct listener *first = NULL;
    for (size_t i = 0; i < snapshot->listener_count; i++) {
        const struct listener *l = &snapshot->listeners[i];
        if ((a->e->site->listeners >> i & 1) == 0 ||
            (by_url && (l->tls != a->ask.tls || l->addr.port != a->ask.port)))
            continue;
        if (first == NULL || (l->tls && !first->tls))
            first = l;
    }
    return first;
}

static bool tell_word(const struct attempt *a, size_t at, const char *what, const char *hint)
{
    diag_error(a->c->diag, &word_at(a, at)->pos, "%s", what);
    if (hint != NULL)
        diag_hint(a->c->diag, "%s", hint);
    return false;
}

/* Host and listener: from the URL, or else those of the site. */
static bool read_target(struct attempt *a)
{
    const char *why;
    struct str text = word_at(a, 2)->text;
    bool by_url = !str_starts(text, STR("/"));
    if (by_url && !ask_read_url(a->arena, text, &a->ask, &why))
        return tell_word(a, 2, why, "a path, or a URL with its host");
    a->request.listener = listener_of(a, by_url);
    if (a->request.listener == NULL)
        return tell_word(a, 2, "this site is not served by that scheme and port", NULL);
    if (by_url)
        return true;
    a->ask.tls = a->request.listener->tls;
    a->ask.port = a->request.listener->addr.port;
    a->ask.target = text;
    return ask_set_host(a->arena, host_of(a), &a->ask) || compile_no_memory(a->c);
}

static bool read_fields(struct attempt *a)
{
    const struct statement *s = a->e->statement;
    struct ask_field *fields = arena_array(a->arena, s->count, sizeof *fields);
    if (fields == NULL)
        return compile_no_memory(a->c);
    a->ask.fields = fields;
    for (size_t at = 3; at < s->count && s->words[at].kind != WORD_ARROW;) {
        if (compile_is(&s->words[at], "from")) {
            (void)!addr_parse_ip(s->words[at + 1].text, &a->request.peer); /* the table saw to it */
            at += 2;
        } else {
            fields[a->ask.field_count++] =
                (struct ask_field){s->words[at + 1].text, s->words[at + 2].text};
            at += 3;
        }
    }
    return true;
}

static bool read_request(struct attempt *a)
{
    const struct statement *s = a->e->statement;
    while (s->words[a->arrow].kind != WORD_ARROW)
        a->arrow++;
    a->ask.method = s->words[1].text;
    (void)!addr_parse_ip(STR(STRANGER), &a->request.peer);
    if (!read_target(a) || !read_fields(a))
        return false;
    struct dry_request *r = &a->request;
    r->snapshot = a->c->snapshot;
    r->sni = ask_sni(&a->ask);
    r->local = r->listener->addr;
    if (a->ask.is_address)
        (void)!addr_parse_ip(a->ask.name, &r->local);
    r->local.port = r->listener->addr.port;
    r->head = ask_head(a->arena, &a->ask);
    return r->head.at != NULL || compile_no_memory(a->c);
}

/* ---- what is expected ---- */

/* As the route's pattern is kept: a regex with its tilde. */
static struct str expected_pattern(const struct attempt *a)
{
    const struct word *word = word_at(a, a->arrow + 1);
    if (a->e->statement->count == a->arrow + 2)
        return word->text;
    return str_printf(a->arena, "~ %.*s", STR_ARG(word_at(a, a->arrow + 2)->text));
}

/* The request came to this route and was let in; what its target then says is another matter. */
static bool reached(const struct dry *dry)
{
    return dry->x != NULL && dry->x->match.route != NULL && pipeline_admitted(dry->x);
}

static bool holds(const struct attempt *a, const struct dry *dry)
{
    unsigned status;
    const struct word *word = word_at(a, a->arrow + 1);
    if (value_status(word->text, &status))
        return dry->verdict == VERDICT_ANSWER && dry->x->answer.status == status;
    if (compile_is(word, "forward"))
        return dry->verdict == VERDICT_NEXT;
    return reached(dry) && str_eq(dry->x->match.route->pattern, expected_pattern(a));
}

/* ---- telling ---- */

static void add_where(struct text *out, const struct where *where)
{
    if (where->file.len != 0)
        text_printf(out, " (%.*s:%u)", STR_ARG(where->file), (unsigned)where->line);
}

static void add_route(struct text *out, const struct dry *dry)
{
    const struct route *route = dry->x->match.route;
    text_printf(out, "the route '%.*s'", STR_ARG(route->pattern));
    add_where(out, &route->where);
}

static void add_outcome(struct text *out, const struct dry *dry)
{
    const struct exchange *x = dry->x;
    if (x == NULL) {
        text_add_z(out, "the TLS handshake is refused: no site of the listener has this name");
    } else if (dry->verdict == VERDICT_NEXT) {
        text_add_z(out, "it is forwarded by ");
        add_route(out, dry);
    } else if (dry->verdict == VERDICT_CLOSE) {
        text_add_z(out, "nothing answers");
    } else if (x->record.refused_layer != ACCESS_NOT_REFUSED) {
        text_printf(out, "the answer is %u: %.*s, %.*s", (unsigned)x->answer.status,
                    STR_ARG(x->record.refused_by), STR_ARG(x->record.refused_why));
        add_where(out, &x->record.refused_at);
    } else {
        text_printf(out, "the answer is %u", (unsigned)x->answer.status);
        struct str location = message_value(&x->answer, HEADER_LOCATION);
        if (location.len != 0)
            text_printf(out, " to %.*s", STR_ARG(location));
        text_add_z(out, pipeline_admitted(x) ? ", by " : ", before ");
        if (x->match.route != NULL)
            add_route(out, dry);
        else
            text_add_z(out, "any route");
    }
}

/* All words between the name and the arrow, as they stand there; words of JSON have no other form.
 */
static void add_request(struct text *out, const struct attempt *a)
{
    for (size_t i = 1; i < a->arrow; i++) {
        const struct word *word = word_at(a, i);
        text_add_z(out, i == 1 ? "" : " ");
        text_add(out, word->raw.len != 0 ? word->raw : word->text);
    }
}

static bool has_pattern(const struct site *site, struct str pattern)
{
    for (size_t i = 0; i < site->route_count; i++)
        if (str_eq(site->routes[i].pattern, pattern))
            return true;
    return false;
}

/* Who expects it most likely thinks of the origin's answer; a 403 or 413 is asked of us. */
static bool says_origin(unsigned status)
{
    return status < 400 || status == 401 || status == 404 || status >= 500;
}

static void hint(const struct attempt *a, const struct dry *dry)
{
    unsigned status;
    const struct word *word = word_at(a, a->arrow + 1);
    bool by_status = value_status(word->text, &status);
    if (by_status && says_origin(status) && dry->verdict == VERDICT_NEXT)
        diag_hint(a->c->diag, "what an origin answers is not known here: -> forward, or -> %.*s",
                  STR_ARG(dry->x->match.route->pattern));
    else if (!by_status && !compile_is(word, "forward") &&
             !has_pattern(a->e->site, expected_pattern(a)))
        diag_hint(a->c->diag, "this site has no route that is written so");
}

static void tell(const struct attempt *a, const struct dry *dry)
{
    const struct statement *s = a->e->statement;
    struct text outcome = text_in(a->arena, SENTENCE_BYTES_MAX);
    struct text request = text_in(a->arena, SENTENCE_BYTES_MAX);
    add_outcome(&outcome, dry);
    add_request(&request, a);
    struct str wanted =
        s->count == a->arrow + 2 ? word_at(a, a->arrow + 1)->text : expected_pattern(a);
    diag_error(a->c->diag, &word_at(a, a->arrow + 1)->pos,
               "%.*s is expected to come to '%.*s', but %.*s", STR_ARG(text_str(&request)),
               STR_ARG(wanted), STR_ARG(text_str(&outcome)));
    hint(a, dry);
}

static void try_one(struct compile *c, const struct expectation *e)
{
    struct attempt a = {.c = c, .e = e, .arena = arena_new(TRY_BYTES_MAX, 16 * 1024)};
    if (a.arena == NULL) {
        compile_no_memory(c);
        return;
    }
    if (read_request(&a)) {
        struct dry *dry = dry_run(a.arena, &a.request);
        if (dry == NULL)
            compile_no_memory(c);
        else if (!holds(&a, dry))
            tell(&a, dry);
        dry_end(dry);
    }
    arena_end(a.arena);
}

void compile_expect_try(struct compile *c)
{
    for (const struct expectation *e = c->expects; e != NULL; e = e->next)
        try_one(c, e);
}
