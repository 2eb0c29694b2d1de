#include "config/compile_upstream.h"

#include "base/arena.h"
#include "base/hash.h"
#include "config/compile_check.h"
#include "config/compile_tls.h"
#include "config/hints.h"
#include "config/nearest.h"
#include "config/value.h"
#include "tls/tls_connect.h"
#include "upstream/upstream_conf.h"

#include <sys/un.h>

/* How long a request waits in the queue of an origin unless said: people try again before. */
enum { QUEUE_MS = 10000 };

/* Debian, Ubuntu, Alpine, Arch keep the system's store here. */
static const struct str system_store = STR_INIT("/etc/ssl/certs/ca-certificates.crt");

/* ---- TLS ---- */

static const struct str http11[] = {STR_INIT("http/1.1")};

static struct tls_trust *trust_of(struct compile *c, const struct settings *settings,
                                  const struct word *origin)
{
    const struct statement *verify = settings->verify;
    if (verify != NULL)
        return compile_tls_trust(c, compile_source(c, SOURCE_CERT, &verify->words[1]),
                                 &verify->words[1], verify->words[1].text);
    const struct source *source = compile_input(c, SOURCE_CERT, system_store);
    if (source == NULL)
        return NULL;
    if (source->why.len != 0) {
        diag_error(c->diag, &origin->pos, "no authorities to verify this origin by: %.*s: %.*s",
                   STR_ARG(system_store), STR_ARG(source->why));
        diag_hint(c->diag, "install ca-certificates, or say: verify CA");
        return NULL;
    }
    return compile_tls_trust(c, source, origin, system_store);
}

static struct str verify_name(const struct settings *settings, const struct origin_conf *origin)
{
    const struct statement *verify = settings->verify;
    if (verify != NULL && verify->count > 3)
        return verify->words[3].text;
    return settings->sni.len ? settings->sni : origin->host;
}

static uint64_t tls_identity(const struct tls_client_conf *tls)
{
    uint64_t hash = tls->trust ? hash_stable(2, str_from(tls_trust_id(tls->trust), 32)) : 0;
    hash = hash_stable(hash, tls->verify_name);
    hash = hash_stable(hash, tls->server_name);
    if (tls->cert != NULL)
        hash = hash_stable(hash, str_from(tls_cert_facts(tls->cert)->fingerprint, 32));
    return hash;
}

static bool add_tls(struct compile *c, const struct settings *settings, const struct word *word,
                    struct origin_conf *origin)
{
    struct tls_client_conf *tls = ARENA_NEW(compile_arena(c), struct tls_client_conf);
    if (tls == NULL)
        return compile_no_memory(c);
    bool insecure = settings->verify != NULL && compile_is(&settings->verify->words[0], "insecure");
    if (!insecure && (tls->trust = trust_of(c, settings, word)) == NULL)
        return false;
    if (settings->cert != NULL && (tls->cert = compile_tls_pair(c, &settings->cert->words[1],
                                                                &settings->cert->words[2])) == NULL)
        return false;
    struct addr ignored;
    struct str name = settings->sni.len ? settings->sni : origin->host;
    tls->verify_name = compile_dup(c, verify_name(settings, origin));
    if (!addr_parse_ip(name, &ignored)) /* RFC 6066 3: a name, never an address */
        tls->server_name = compile_dup(c, name);
    tls->protocols = http11;
    tls->protocol_count = 1;
    struct str peer = str_printf(compile_arena(c), "%.*s:%u", STR_ARG(origin->host), origin->port);
    tls->origin = peer;
    origin->tls = true;
    origin->tls_conf = tls;
    origin->identity =
        hash_stable(origin->identity + 1, str_from(&(uint64_t){tls_identity(tls)}, 8));
    return true;
}

/* ---- origins ---- */

static bool unix_origin(struct compile *c, const struct word *word, struct str path,
                        struct origin_conf *origin)
{
    if (path.len == 0 || path.len >= sizeof((struct sockaddr_un *)NULL)->sun_path) {
        diag_error(c->diag, &word->pos, "the path of a socket has 1 to %zu bytes",
                   sizeof((struct sockaddr_un *)NULL)->sun_path - 1);
        return false;
    }
    c->snapshot->uses_unix = true;
    origin->addr = (struct addr){.family = ADDR_UNIX, .path = compile_dup(c, path).at};
    return true;
}

/* What may stand in the place of an origin and is none. */
static void tell_no_origin(struct compile *c, const struct statement *s, const struct word *word)
{
    const struct statement rest = {.words = &s->words[word - s->words],
                                   .count = s->count - (size_t)(word - s->words)};
    struct nearest nearest;
    nearest_init(&nearest, word->text);
    for (const struct named *named = c->upstreams; named != NULL; named = named->next)
        nearest_try(&nearest, named->name);
    nearest_try(&nearest, STR("files"));
    nearest_try(&nearest, STR("redirect"));
    nearest_try(&nearest, STR("redirects"));
    nearest_try(&nearest, STR("respond"));
    const struct value_type *type = value_type_find(STR("ORIGIN"));
    char memory[200];
    struct text hint = text_over(memory, sizeof memory);
    uint16_t port;
    if (value_name(word->text) && !value_port(word->text, &port)) {
        diag_error(c->diag, &word->pos, "there is no upstream '%.*s'", STR_ARG(word->text));
        if (nearest.best.len != 0)
            diag_hint(c->diag, "did you mean '%.*s'?", STR_ARG(nearest.best));
        else if (hints_for(&rest, &hint))
            diag_hint(c->diag, "%.*s", STR_ARG(text_str(&hint)));
        else
            diag_hint(c->diag, "an origin names its port: HOST:PORT, such as %.*s:8080",
                      STR_ARG(word->text));
        return;
    }
    diag_error(c->diag, &word->pos, "'%.*s' is no origin", STR_ARG(word->text));
    if (value_port(word->text, &port))
        text_printf(&hint, "did you mean 'localhost:%u'?", port);
    else if (str_starts(word->text, STR("h2c://")))
        text_add_z(&hint, "HTTP/1.1 is spoken to origins: http:// or https://");
    else if (type != NULL && type->hint != NULL)
        type->hint(word->text, &hint);
    if (hint.len != 0)
        diag_hint(c->diag, "%.*s", STR_ARG(text_str(&hint)));
    else
        diag_hint(c->diag,
                  "HOST:PORT, http://…, https://…, unix:/path, or an action such as files");
}

static bool build_origin(struct compile *c, const struct settings *settings,
                         const struct statement *s, const struct word *word,
                         struct origin_conf *origin)
{
    struct value_address address = {0};
    if (!value_origin(word->text, &address)) {
        tell_no_origin(c, s, word);
        return false;
    }
    bool tls = str_eq(address.scheme, STR("https"));
    origin->text = compile_dup(c, word->text);
    origin->where = compile_where(c, s);
    if (str_eq(address.scheme, STR("unix"))) {
        origin->identity = hash_stable(1, address.host);
        return unix_origin(c, word, address.host, origin);
    }
    origin->host = value_host_canonical(compile_arena(c), address.host);
    origin->port = address.port ? address.port : tls ? 443 : 80;
    if (addr_parse_ip(origin->host, &origin->addr))
        origin->addr.port = origin->port;
    else
        origin->addr.family = ADDR_NONE;
    origin->identity = hash_stable((uint64_t)origin->port << 8, origin->host);
    return !tls || add_tls(c, settings, word, origin);
}

static void add_sources(struct compile *c, const struct settings *settings,
                        struct upstream_conf *conf)
{
    const struct statement *s = settings->source;
    if (s == NULL)
        return;
    struct addr *sources = arena_array(compile_arena(c), s->count, sizeof *sources);
    if (sources == NULL) {
        compile_no_memory(c);
        return;
    }
    for (size_t i = 1; i < s->count; i++)
        if (addr_parse_ip(s->words[i].text, &sources[conf->source_count]))
            conf->source_count++;
    conf->sources = sources;
}

static uint64_t sources_identity(const struct upstream_conf *conf)
{
    uint64_t hash = 0;
    for (unsigned i = 0; i < conf->source_count; i++)
        hash = hash_stable(hash + conf->sources[i].family, str_from(conf->sources[i].ip, 16));
    return hash;
}

/* The targets as written: what records show. */
static struct str name_of(struct compile *c, const struct statement *s, size_t from)
{
    if (from + 1 == s->count)
        return s->words[from].text;
    struct text name = text_in(c->scratch, 4096);
    for (size_t i = from; i < s->count; i++) {
        if (i > from)
            text_add_byte(&name, ' ');
        text_add(&name, s->words[i].text);
    }
    return text_str(&name);
}

static bool named_before(const struct upstream_server *servers, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (str_eq(servers[i].word->text, servers[at].word->text))
            return true;
    return false;
}

/* ---- how one is chosen ---- */

static void set_balance(struct compile *c, const struct statement *s, struct upstream_conf *conf)
{
    if (s == NULL)
        return;
    const struct word *key = s->count > 2 ? &s->words[2] : &s->words[1];
    conf->balance = compile_is(key, "least-requests") ? BALANCE_LEAST_REQUESTS
                    : compile_is(key, "random")       ? BALANCE_RANDOM
                    : compile_is(key, "client")       ? BALANCE_HASH_CLIENT
                    : compile_is(key, "header")       ? BALANCE_HASH_HEADER
                    : compile_is(key, "cookie")       ? BALANCE_HASH_COOKIE
                                                      : BALANCE_ROUND_ROBIN;
    if (s->count > 3)
        conf->balance_name = compile_dup(c, s->words[3].text);
}

/* connections N [queue N [timeout D]] */
static void set_connections(const struct statement *s, struct upstream_conf *conf)
{
    if (s == NULL || compile_is(&s->words[1], "off"))
        return;
    conf->connections_max = (uint32_t)compile_number(&s->words[1]);
    conf->queue_max = s->count > 3 ? (uint32_t)compile_number(&s->words[3]) : 0;
    conf->queue_ms = s->count > 5 ? compile_ms(&s->words[5]) : QUEUE_MS;
}

/* ---- all ---- */

static struct upstream_conf *new_conf(struct compile *c, const struct settings *settings,
                                      size_t origins)
{
    struct upstream_conf *conf = ARENA_NEW(compile_arena(c), struct upstream_conf);
    if (conf == NULL) {
        compile_no_memory(c);
        return NULL;
    }
    *conf = (struct upstream_conf){
        .connect_ms = settings->connect_ms,
        .keepalive_max = settings->keepalive_max,
        .keepalive_idle_ms = settings->keepalive_idle_ms,
        .rest_ms = settings->rest_ms,
        .rest_after = settings->rest_after,
        .retry_max = settings->retry_max,
        .check = compile_check(c, settings),
    };
    set_balance(c, settings->balance, conf);
    set_connections(settings->connections, conf);
    conf->origins = arena_array(compile_arena(c), origins, sizeof *conf->origins);
    if (conf->origins == NULL) {
        compile_no_memory(c);
        return NULL;
    }
    return conf;
}

static bool add_origin(struct compile *c, const struct settings *settings,
                       const struct upstream_server *servers, size_t at, uint64_t sources,
                       struct upstream_conf *conf)
{
    const struct upstream_server *server = &servers[at];
    struct origin_conf *origin = &conf->origins[conf->origin_count];
    if (named_before(servers, at)) {
        diag_error(c->diag, &server->word->pos, "'%.*s' stands here twice",
                   STR_ARG(server->word->text));
        return false;
    }
    bool fine = build_origin(c, settings, server->statement, server->word, origin);
    origin->weight = server->weight;
    origin->backup = server->backup;
    if (sources != 0)
        origin->identity = hash_stable(origin->identity, str_from(&sources, sizeof sources));
    conf->identity = hash_stable(conf->identity, str_from(&origin->identity, 8));
    conf->origin_count++;
    return fine;
}

const struct upstream_conf *compile_upstream_servers(struct compile *c,
                                                     const struct settings *settings,
                                                     const struct upstream_server *servers,
                                                     size_t count, struct str name)
{
    if (count > UPSTREAM_ORIGINS_MAX) {
        diag_error(c->diag, &servers[UPSTREAM_ORIGINS_MAX].word->pos, "more than %d origins",
                   UPSTREAM_ORIGINS_MAX);
        return NULL;
    }
    struct upstream_conf *conf = new_conf(c, settings, count);
    if (conf == NULL)
        return NULL;
    add_sources(c, settings, conf);
    uint64_t sources = sources_identity(conf);
    bool fine = true;
    for (size_t i = 0; i < count; i++)
        fine = add_origin(c, settings, servers, i, sources, conf) && fine;
    conf->name = str_eq(name, conf->origins[0].text) ? conf->origins[0].text : compile_dup(c, name);
    return fine ? conf : NULL;
}

const struct upstream_conf *compile_upstream(struct compile *c, const struct settings *settings,
                                             const struct statement *s, size_t from)
{
    size_t count = s->count - from;
    struct upstream_server *servers = arena_array(c->scratch, count, sizeof *servers);
    if (servers == NULL) {
        compile_no_memory(c);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        servers[i] =
            (struct upstream_server){.statement = s, .word = &s->words[from + i], .weight = 1};
    return compile_upstream_servers(c, settings, servers, count, name_of(c, s, from));
}
