#include "config/compile_site.h"

#include "base/arena.h"
#include "base/hash.h"
#include "config/compile_access.h"
#include "config/compile_conf.h"
#include "config/compile_listen.h"
#include "config/compile_route.h"
#include "config/compile_tls.h"
#include "config/value.h"
#include "http/authority.h"
#include "proxy/route.h"
#include "tls/tls_trust.h"

#include <string.h>

/* A site of one route takes about this much. */
#define SITE_CHUNK_BYTES 2048

/* Who has a host, and where. */
struct host_use {
    struct host_use *next;
    const struct site *site;
    const struct statement *statement;
};

/* ---- hosts ---- */

static size_t host_words(const struct statement *s)
{
    size_t at = 1;
    while (at < s->count && s->words[at].kind != WORD_ARROW)
        at++;
    return at - 1;
}

/* As requests will name it: the same code reads both. */
static struct str canonical(struct compile *c, const struct word *word)
{
    struct authority authority;
    struct addr addr;
    struct str host = word->text;
    if (str_eq(host, STR("*")))
        return compile_dup(c, host);
    if (addr_parse_ip(host, &addr)) {
        struct text text = text_in(compile_arena(c), 64);
        addr_add_text(&text, &addr);
        return text_str(&text);
    }
    struct str wild = str_starts(host, STR("*.")) ? STR("*.") : STR("");
    if (!authority_parse(c->scratch, str_skip(host, wild.len), &authority) || authority.has_port) {
        diag_error(c->diag, &word->pos, "'%.*s' is no host a request could name", STR_ARG(host));
        return (struct str){0};
    }
    return str_printf(compile_arena(c), "%.*s%.*s", STR_ARG(wild), STR_ARG(authority.host));
}

static void build_hosts(struct compile *c)
{
    struct site_build *b = c->build;
    size_t count = host_words(b->statement);
    b->site->hosts = arena_array(b->arena, count, sizeof *b->site->hosts);
    if (b->site->hosts == NULL) {
        compile_no_memory(c);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct str host = canonical(c, &b->statement->words[i + 1]);
        if (host.len != 0)
            b->site->hosts[b->site->host_count++] = host;
    }
    if (b->site->host_count != 0)
        b->site->name = b->site->hosts[0];
}

static void tell_same_host(struct compile *c, const struct statement *s, struct str host,
                           const struct statement *other)
{
    const struct word *word = &s->words[0];
    for (size_t i = 1; i < s->count && s->words[i].kind != WORD_ARROW; i++)
        if (str_eq(value_host_canonical(c->scratch, s->words[i].text), host))
            word = &s->words[i];
    if (other == s) {
        diag_error(c->diag, &word->pos, "'%.*s' stands here twice", STR_ARG(host));
        return;
    }
    diag_error(c->diag, &word->pos, "'%.*s' is a host of two sites", STR_ARG(host));
    const struct diag_pos *before = &other->words[0].pos;
    diag_hint(c->diag, "the other is in %.*s:%u", STR_ARG(before->file), (unsigned)before->line);
}

/* The same host may be in two sites only where no listener has both. */
static void claim_hosts(struct compile *c, const struct site *site, const struct statement *s)
{
    for (size_t i = 0; i < site->host_count; i++) {
        struct host_use *first = map_get(&c->hosts, site->hosts[i]);
        for (const struct host_use *use = first; use != NULL; use = use->next)
            if ((use->site->listeners & site->listeners) != 0) {
                tell_same_host(c, s, site->hosts[i], use->statement);
                break;
            }
        struct host_use *use = ARENA_NEW(c->scratch, struct host_use);
        if (use == NULL || !map_set(&c->hosts, site->hosts[i], use)) {
            compile_no_memory(c);
            return;
        }
        *use = (struct host_use){first, site, s};
    }
}

/* ---- listeners ---- */

static uint64_t listeners_of(const struct snapshot *snapshot, bool tls_too, bool plain_too)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < snapshot->listener_count; i++)
        if (snapshot->listeners[i].tls ? tls_too : plain_too)
            bits |= (uint64_t)1 << i;
    return bits;
}

static uint16_t first_https_port(const struct snapshot *snapshot, uint64_t bits)
{
    for (size_t i = 0; i < snapshot->listener_count; i++)
        if ((bits >> i & 1) != 0 && snapshot->listeners[i].tls)
            return snapshot->listeners[i].addr.port;
    return 443;
}

static void set_plain(struct compile *c, const struct settings *settings, struct site *site)
{
    const struct statement *http = settings->http;
    site->redirect_port = first_https_port(c->snapshot, site->listeners);
    if (http == NULL)
        return;
    site->plain_http = compile_is(&http->words[1], "serve")    ? PLAIN_SERVE
                       : compile_is(&http->words[1], "refuse") ? PLAIN_REFUSE
                                                               : PLAIN_REDIRECT;
    if (http->count > 2 && !value_port(http->words[2].text, &site->redirect_port))
        return;
}

static bool tls_wanted(struct compile *c, const struct settings *settings)
{
    const struct statement *tls = settings->tls;
    struct site_build *b = c->build;
    const struct diag_pos *pos = &b->statement->words[0].pos;
    if (tls != NULL && compile_is(&tls->words[1], "off"))
        return false;
    bool https = compile_listen_any(c->snapshot, true);
    if (c->listen_broken)
        return tls != NULL;
    if (tls == NULL && https && (!b->on_said || (b->on & listeners_of(c->snapshot, true, false)))) {
        diag_error(c->diag, pos, "this file listens on HTTPS, and this site has no certificate");
        diag_hint(c->diag, "tls internal, tls CERT KEY, or tls off for plain listeners only");
        return false;
    }
    if (tls != NULL && !https) {
        diag_error(c->diag, &tls->words[0].pos, "'tls' without an HTTPS listener");
        diag_hint(c->diag, "listen https://:8443");
        return false;
    }
    return tls != NULL;
}

static void place_site(struct compile *c, const struct settings *settings)
{
    struct site_build *b = c->build;
    struct site *site = b->site;
    bool tls = tls_wanted(c, settings);
    site->listeners = listeners_of(c->snapshot, tls, true);
    if (b->on_said)
        site->listeners &= b->on;
    if (site->listeners == 0 && !c->listen_broken)
        diag_error(c->diag, &b->statement->words[0].pos, "no listener serves this site");
    if (tls) {
        compile_tls_site(c, settings->tls);
        site->tls_where = compile_where(c, settings->tls);
        site->hsts_s = settings->hsts_s;
        set_plain(c, settings, site);
    } else {
        site->plain_http = PLAIN_SERVE;
    }
}

/* ---- routes ---- */

static bool is_route(const struct statement *s)
{
    return s->directive->name[0] == '-';
}
static bool is_no_route(const struct statement *s)
{
    return !is_route(s);
}

static const struct statement *statement_of(const struct site_build *b, const struct route *route)
{
    if (b->statement->block == NULL)
        return b->statement;
    for (const struct statement *s = b->statement->block->first; s != NULL; s = s->next)
        if (s->words[0].pos.line == route->where.line &&
            str_eq(s->words[0].pos.file, route->where.file))
            return s;
    return b->statement;
}

static const struct word *word_of(const struct statement *s, const struct route *route)
{
    struct str text = route->kind == PATTERN_REGEX ? route->path : route->pattern;
    for (size_t i = 0; i < s->count; i++)
        if (str_eq(s->words[i].text, text))
            return &s->words[i];
    return &s->words[0];
}

static void tell_hidden(struct compile *c, const struct site *site)
{
    const struct route *hidden, *by;
    size_t at = 0;
    while (router_hidden(site->router, &at, &hidden, &by)) {
        const struct statement *s = statement_of(c->build, hidden);
        if (str_eq(hidden->pattern, by->pattern))
            diag_error(c->diag, &word_of(s, hidden)->pos,
                       "the pattern '%.*s' stands here a second time", STR_ARG(hidden->pattern));
        else
            diag_error(c->diag, &word_of(s, hidden)->pos,
                       "this route can never be reached: '%.*s' takes every path before it",
                       STR_ARG(by->pattern));
        diag_hint(c->diag,
                  str_eq(hidden->pattern, by->pattern)
                      ? "the first, in line %u, takes all its requests"
                      : "it stands in line %u",
                  (unsigned)by->where.line);
    }
}

static void finish_routes(struct compile *c)
{
    struct site_build *b = c->build;
    struct site *site = b->site;
    site->routes = arena_array(b->arena, b->route_count, sizeof *site->routes);
    if (site->routes == NULL) {
        compile_no_memory(c);
        return;
    }
    if (b->route_count != 0)
        memcpy(site->routes, b->routes, b->route_count * sizeof *site->routes);
    site->route_count = b->route_count;
    site->router = router_build(b->arena, site->routes, site->route_count);
    if (site->router == NULL)
        compile_no_memory(c);
    else
        tell_hidden(c, site);
}

/* ---- what it was made from ---- */

static void *keep(struct compile *c, const void *array, size_t count, size_t bytes)
{
    void *copy = arena_array(c->build->arena, count, bytes);
    if (copy == NULL)
        compile_no_memory(c);
    else if (count != 0)
        memcpy(copy, array, count * bytes);
    return copy;
}

static void keep_inputs(struct compile *c)
{
    struct site_build *b = c->build;
    struct site *site = b->site;
    site->inputs = keep(c, b->inputs, b->input_count, sizeof *b->inputs);
    site->logs = keep(c, b->logs, b->log_count, sizeof *b->logs);
    site->file_roots = keep(c, b->roots, b->root_count, sizeof *b->roots);
    site->input_count = site->inputs ? b->input_count : 0;
    site->log_count = site->logs ? b->log_count : 0;
    site->file_root_count = site->file_roots ? b->root_count : 0;
}

/* Trust stores are dear: the new snapshot keeps those that its shared sites use. */
static void unref_trust(void *trust)
{
    tls_trust_unref(trust);
}

static void carry_trust(struct compile *c, uint64_t hash)
{
    struct tls_trust *trust = map_get(&c->old->trusts, str_from(&hash, sizeof hash));
    if (trust == NULL || map_get(&c->snapshot->trusts, str_from(&hash, sizeof hash)) != NULL)
        return;
    struct str key = str_dup(c->snapshot->arena, str_from(&hash, sizeof hash));
    trust = tls_trust_ref(trust);
    if (!arena_defer(c->snapshot->arena, unref_trust, trust))
        tls_trust_unref(trust);
    else if (key.at != NULL)
        (void)!map_set(&c->snapshot->trusts, key, trust);
}

/* The old site of the same lines, if all files it was made from are as they were. */
static struct site *shareable(struct compile *c, uint64_t hash)
{
    struct site *site = snapshot_find_site(c->old, hash);
    for (size_t i = 0; site != NULL && i < site->input_count; i++) {
        const struct site_input *input = &site->inputs[i];
        const struct source *source =
            source_get(c->sources, (enum source_kind)input->kind, input->name);
        if (source == NULL || compile_source_hash(c, source) != input->hash)
            return NULL;
    }
    for (size_t i = 0; site != NULL && i < site->input_count; i++)
        if (site->inputs[i].kind == SOURCE_CERT)
            carry_trust(c, site->inputs[i].hash);
    return site;
}

/* ---- all of it ---- */

/* Asked for before the site is made: one that found no room would be nobody's to end. */
static bool has_room(struct compile *c)
{
    struct site **sites =
        compile_grow(c, c->sites, c->site_count, &c->site_capacity, sizeof(struct site *));
    if (sites != NULL)
        c->sites = sites;
    return sites != NULL;
}

static void add_site(struct compile *c, struct site *site, const struct statement *s)
{
    c->sites[c->site_count++] = site;
    snapshot_hold(site);
    claim_hosts(c, site, s);
}

static struct site *new_site(struct compile *c, struct site_build *b, uint64_t hash)
{
    b->arena = arena_new(COMPILE_PART_BYTES_MAX, SITE_CHUNK_BYTES);
    if (b->arena != NULL)
        b->site = ARENA_NEW(b->arena, struct site);
    if (b->site == NULL) {
        arena_end(b->arena);
        compile_no_memory(c);
        return NULL;
    }
    b->site->part.arena = b->arena;
    b->site->part.hash = hash;
    return b->site;
}

static void build_routes(struct compile *c, const struct statement *s)
{
    size_t arrow = host_words(s) + 1;
    if (s->block != NULL)
        compile_block(c, s->block, is_no_route);
    else if (arrow < s->count)
        compile_route_short(c, s, arrow);
    if (c->build->route_count == 0 && compile_clean(c)) {
        diag_error(c->diag, &s->words[0].pos, "this site has no route");
        diag_hint(c->diag, "/* -> TARGET");
    }
}

static void build(struct compile *c, const struct statement *s, struct site_build *b)
{
    struct settings *outer = c->settings;
    b->settings = *outer;
    c->build = b;
    c->settings = &b->settings;
    c->level = LEVEL_SITE;
    b->site->where = compile_where(c, s);
    build_hosts(c);
    compile_access_build(c, &b->settings, LEVEL_FILE);
    compile_block(c, s->block, is_route);
    compile_access_build(c, &b->settings, LEVEL_SITE);
    place_site(c, &b->settings);
    b->site->conf = compile_conf_build(c, &b->settings);
    build_routes(c, s);
    finish_routes(c);
    keep_inputs(c);
    c->build = NULL;
    c->settings = outer;
    c->level = LEVEL_FILE;
}

void compile_site(struct compile *c, const struct statement *s)
{
    uint64_t hash = compile_hash(c->file_hash, s);
    if (!has_room(c))
        return;
    struct site *site = shareable(c, hash);
    if (site == NULL) {
        struct site_build b = {.statement = s};
        site = new_site(c, &b, hash);
        if (site == NULL)
            return;
        build(c, s, &b);
    }
    add_site(c, site, s);
}

static bool has_root(const struct snapshot *snapshot, struct str root)
{
    for (size_t i = 0; i < snapshot->file_root_count; i++)
        if (str_eq(snapshot->file_roots[i], root))
            return true;
    return false;
}

void compile_site_collect(struct compile *c)
{
    struct snapshot *snapshot = c->snapshot;
    size_t most = 0;
    for (size_t i = 0; i < c->site_count; i++)
        most += c->sites[i]->file_root_count;
    snapshot->file_roots = arena_array(snapshot->arena, most, sizeof *snapshot->file_roots);
    struct site **sites = arena_array(snapshot->arena, c->site_count, sizeof(struct site *));
    if (sites == NULL || snapshot->file_roots == NULL) {
        compile_no_memory(c);
        return;
    }
    snapshot->sites = sites;
    snapshot->site_count = c->site_count;
    for (size_t i = 0; i < c->site_count; i++) {
        const struct site *site = snapshot->sites[i] = c->sites[i];
        for (size_t j = 0; j < site->file_root_count; j++)
            if (!has_root(snapshot, site->file_roots[j]))
                snapshot->file_roots[snapshot->file_root_count++] =
                    compile_dup(c, site->file_roots[j]);
    }
}
