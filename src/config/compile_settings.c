#include "config/compile_settings.h"

#include "config/nearest.h"
#include "config/value.h"

/* Of an origin; towards one address there are no more ports, so more mean nothing. */
enum { CONNECTIONS_MAX = 65536 };

void compile_settings_init(struct settings *settings)
{
    *settings = (struct settings){
        .handshake_ms = 10000,
        .head_ms = 10000,
        .idle_ms = 60000,
        .body_ms = 30000,
        .send_ms = 30000,
        .answer_ms = 60000,
        .stream_ms = 60000,
        .quiet_ms = 10 * 60 * 1000,
        .body_bytes_max = (uint64_t)100 << 20,
        .websocket = true,
        .connect_ms = 3000,
        .keepalive_max = 64,
        .keepalive_idle_ms = 30000,
        .rest_ms = 2000,
        .rest_after = 1,
        .retry_max = 2,
    };
}

static struct settings *change(struct compile *c)
{
    c->settings->changed = true;
    return c->settings;
}

/* ---- timeouts ---- */

/* NULL for a name of none. */
static uint32_t *timeout_named(struct settings *s, struct str name, bool *of_file)
{
    const struct {
        struct str name;
        uint32_t *ms;
        bool of_file;
    } all[] = {
        {STR("handshake"), &s->handshake_ms, true}, {STR("head"), &s->head_ms, true},
        {STR("idle"), &s->idle_ms, true},           {STR("body"), &s->body_ms, false},
        {STR("send"), &s->send_ms, false},          {STR("connect"), &s->connect_ms, false},
        {STR("answer"), &s->answer_ms, false},      {STR("stream"), &s->stream_ms, false},
        {STR("quiet"), &s->quiet_ms, false},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (str_eq(name, all[i].name)) {
            *of_file = all[i].of_file;
            return all[i].ms;
        }
    return NULL;
}

/* Those of origins; the routes that name the upstream will ask for two of them. */
static bool of_upstream(struct named *named, struct str name)
{
    named->answer_said = named->answer_said || str_eq(name, STR("answer"));
    named->stream_said = named->stream_said || str_eq(name, STR("stream"));
    return str_eq(name, STR("connect")) || str_eq(name, STR("answer")) ||
           str_eq(name, STR("stream"));
}

void compile_settings_timeout(struct compile *c, const struct statement *s)
{
    for (size_t i = 1; i + 1 < s->count; i += 2) {
        bool of_file = false;
        uint32_t *ms = timeout_named(change(c), s->words[i].text, &of_file);
        if (c->named != NULL && !of_upstream(c->named, s->words[i].text)) {
            diag_error(c->diag, &s->words[i].pos, "'timeout %.*s' is not about origins",
                       STR_ARG(s->words[i].text));
            diag_hint(c->diag, "an upstream has: timeout connect, answer, stream");
            continue;
        }
        if (ms != NULL && of_file && c->level != LEVEL_FILE) {
            diag_error(c->diag, &s->words[i].pos, "'timeout %.*s' stands at top level only",
                       STR_ARG(s->words[i].text));
            diag_hint(c->diag, "no site is known yet while it counts");
        } else if (ms != NULL && compile_ms(&s->words[i + 1]) == 0) {
            diag_error(c->diag, &s->words[i + 1].pos, "a timeout of nothing lets nobody finish");
        } else if (ms != NULL) {
            *ms = compile_ms(&s->words[i + 1]);
        }
    }
}

/* ---- one word ---- */

void compile_settings_body(struct compile *c, const struct statement *s)
{
    uint64_t bytes = UINT64_MAX;
    if (!compile_is(&s->words[1], "off") && !value_size(s->words[1].text, &bytes))
        return;
    change(c)->body_bytes_max = bytes;
}

void compile_settings_websocket(struct compile *c, const struct statement *s)
{
    change(c)->websocket = compile_is(&s->words[1], "on");
}

void compile_settings_paths(struct compile *c, const struct statement *s)
{
    change(c)->paths_loose = compile_is(&s->words[1], "loose");
}

void compile_settings_host(struct compile *c, const struct statement *s)
{
    struct settings *settings = change(c);
    settings->host_mode = compile_is(&s->words[1], "keep")     ? HOST_KEEP
                          : compile_is(&s->words[1], "origin") ? HOST_ORIGIN
                                                               : HOST_NAME;
    settings->host_name = s->words[1].text;
    if (c->named != NULL)
        c->named->host_said = true;
    if (settings->host_mode == HOST_NAME && str_find_byte(settings->host_name, '*') != SIZE_MAX)
        diag_error(c->diag, &s->words[1].pos, "'host' names one host");
}

void compile_settings_forwarded(struct compile *c, const struct statement *s)
{
    change(c)->forwarded = compile_is(&s->words[1], "off")        ? FORWARDED_MODE_OFF
                           : compile_is(&s->words[1], "unquoted") ? FORWARDED_MODE_UNQUOTED
                                                                  : FORWARDED_MODE_STANDARD;
}

void compile_settings_listing(struct compile *c, const struct statement *s)
{
    change(c)->listing = compile_is(&s->words[1], "on");
}

void compile_settings_sni(struct compile *c, const struct statement *s)
{
    if (str_find_byte(s->words[1].text, '*') != SIZE_MAX)
        diag_error(c->diag, &s->words[1].pos, "'sni' names one host");
    change(c)->sni = s->words[1].text;
}

void compile_settings_keepalive(struct compile *c, const struct statement *s)
{
    struct settings *settings = change(c);
    settings->keepalive_max =
        compile_is(&s->words[1], "off") ? 0 : (uint32_t)compile_number(&s->words[1]);
    if (s->count > 3)
        settings->keepalive_idle_ms = compile_ms(&s->words[3]);
}

void compile_settings_rest(struct compile *c, const struct statement *s)
{
    struct settings *settings = change(c);
    settings->rest_ms = compile_ms(&s->words[1]);
    if (s->count > 3)
        settings->rest_after = (uint32_t)compile_number(&s->words[3]);
    if (settings->rest_after == 0)
        diag_error(c->diag, &s->words[3].pos, "an origin rests after at least one failure");
}

void compile_settings_balance(struct compile *c, const struct statement *s)
{
    change(c)->balance = s;
}

void compile_settings_connections(struct compile *c, const struct statement *s)
{
    for (size_t i = 1; i < s->count; i += 2) {
        uint64_t n;
        if (value_number(s->words[i].text, &n) && n > CONNECTIONS_MAX)
            diag_error(c->diag, &s->words[i].pos, "at most %d", CONNECTIONS_MAX);
    }
    if (!compile_is(&s->words[1], "off") && compile_number(&s->words[1]) == 0) {
        diag_error(c->diag, &s->words[1].pos, "without a connection an origin serves nobody");
        diag_hint(c->diag, "portcullis drain ORIGIN takes one out of service");
    }
    if (s->count > 5 && compile_ms(&s->words[5]) == 0)
        diag_error(c->diag, &s->words[5].pos, "a timeout of nothing lets nobody wait");
    change(c)->connections = s;
}

void compile_settings_retry(struct compile *c, const struct statement *s)
{
    change(c)->retry_max =
        compile_is(&s->words[1], "off") ? 0 : (uint32_t)compile_number(&s->words[1]);
}

void compile_settings_hsts(struct compile *c, const struct statement *s)
{
    uint64_t ms = compile_is(&s->words[1], "on") ? (uint64_t)365 * 86400 * 1000 : 0;
    if (ms == 0 && !compile_is(&s->words[1], "off") && !value_duration(s->words[1].text, &ms))
        return;
    change(c)->hsts_s = ms / 1000;
}

/* ---- kept as statements, until it is known whether somebody uses them ---- */

void compile_settings_compress(struct compile *c, const struct statement *s)
{
    change(c)->compress = s;
}
void compile_settings_error(struct compile *c, const struct statement *s)
{
    for (size_t i = 1; i + 1 < s->count; i++) {
        unsigned status = 0;
        if (value_status(s->words[i].text, &status) && status < 400)
            diag_error(c->diag, &s->words[i].pos, "error pages are for statuses from 400 to 599");
    }
    compile_add_line(c, &c->settings->errors, s);
}
void compile_settings_index(struct compile *c, const struct statement *s)
{
    change(c)->index = s;
}
void compile_settings_fallback(struct compile *c, const struct statement *s)
{
    change(c)->fallback = s;
}
void compile_settings_cache(struct compile *c, const struct statement *s)
{
    change(c)->cache = s;
}
/* `verify` or `insecure`: the later of two in one block would win silently. */
void compile_settings_verify(struct compile *c, const struct statement *s)
{
    const struct statement *before = c->settings->verify;
    bool insecure = compile_is(&s->words[0], "insecure");
    if (before != NULL && c->settings->verify_level == (unsigned)c->level &&
        compile_is(&before->words[0], "insecure") != insecure)
        diag_error(c->diag, &s->words[0].pos, "'verify' and 'insecure' in one block");
    if (insecure) {
        diag_warning(c->diag, &s->words[0].pos,
                     "the certificates of these origins are not verified: anybody between may read "
                     "along");
        diag_hint(c->diag, "verify CA");
    }
    change(c)->verify = s;
    c->settings->verify_level = (unsigned)c->level;
}
void compile_settings_cert(struct compile *c, const struct statement *s)
{
    change(c)->cert = s;
}
void compile_settings_source(struct compile *c, const struct statement *s)
{
    change(c)->source = s;
}
void compile_settings_http(struct compile *c, const struct statement *s)
{
    change(c)->http = s;
}

void compile_settings_tls(struct compile *c, const struct statement *s)
{
    if (compile_is(&s->words[1], "auto")) {
        diag_error(c->diag, &s->words[1].pos,
                   "certificates cannot be fetched from an authority yet");
        diag_hint(c->diag, "tls internal, or the files of certbot: tls CERT KEY");
        return;
    }
    change(c)->tls = s;
}

/* ---- reset ---- */

static void reset_access(struct settings *s, const struct settings *first)
{
    (void)first;
    for (size_t i = 0; i < 3; i++) {
        s->access[i] = NULL;
        s->access_built[i] = NULL;
    }
}
static void reset_header(struct settings *s, const struct settings *first)
{
    s->headers = first->headers;
}
static void reset_error(struct settings *s, const struct settings *first)
{
    s->errors = first->errors;
}
static void reset_timeout(struct settings *s, const struct settings *first)
{
    s->body_ms = first->body_ms;
    s->send_ms = first->send_ms;
    s->answer_ms = first->answer_ms;
    s->stream_ms = first->stream_ms;
    s->quiet_ms = first->quiet_ms;
    s->connect_ms = first->connect_ms;
}
static void reset_log_show(struct settings *s, const struct settings *first)
{
    (void)first;
    s->show_query = s->show_cookies = s->show_authorization = false;
}
static void reset_index(struct settings *s, const struct settings *first)
{
    s->index = first->index;
}
static void reset_fallback(struct settings *s, const struct settings *first)
{
    s->fallback = first->fallback;
}
static void reset_cache(struct settings *s, const struct settings *first)
{
    s->cache = first->cache;
}
static void reset_verify(struct settings *s, const struct settings *first)
{
    s->verify = first->verify;
}
static void reset_sni(struct settings *s, const struct settings *first)
{
    s->sni = first->sni;
}
static void reset_cert(struct settings *s, const struct settings *first)
{
    s->cert = first->cert;
}
static void reset_source(struct settings *s, const struct settings *first)
{
    s->source = first->source;
}
static void reset_check(struct settings *s, const struct settings *first)
{
    s->check = first->check;
}

static const struct {
    struct str name;
    void (*reset)(struct settings *settings, const struct settings *first);
} resets[] = {
    {STR_INIT("allow"), reset_access},    {STR_INIT("deny"), reset_access},
    {STR_INIT("header"), reset_header},   {STR_INIT("error"), reset_error},
    {STR_INIT("timeout"), reset_timeout}, {STR_INIT("log_show"), reset_log_show},
    {STR_INIT("index"), reset_index},     {STR_INIT("fallback"), reset_fallback},
    {STR_INIT("cache"), reset_cache},     {STR_INIT("verify"), reset_verify},
    {STR_INIT("insecure"), reset_verify}, {STR_INIT("sni"), reset_sni},
    {STR_INIT("cert"), reset_cert},       {STR_INIT("source"), reset_source},
    {STR_INIT("check"), reset_check},
};

static void reset_one(struct compile *c, const struct word *name)
{
    struct settings first;
    struct nearest nearest;
    compile_settings_init(&first);
    nearest_init(&nearest, name->text);
    for (size_t i = 0; i < sizeof resets / sizeof resets[0]; i++) {
        nearest_try(&nearest, resets[i].name);
        if (str_eq(name->text, resets[i].name)) {
            resets[i].reset(change(c), &first);
            return;
        }
    }
    diag_error(c->diag, &name->pos, "'%.*s' is nothing that 'reset' could forget",
               STR_ARG(name->text));
    if (nearest.best.len != 0)
        diag_hint(c->diag, "did you mean '%.*s'?", STR_ARG(nearest.best));
    else
        diag_hint(c->diag, "a setting with one value is replaced by saying it again");
}

/*
 * It stands before the lines of its own block that add to what it forgets: lists of the inner level
 * said earlier would be lost with the outer ones.
 */
void compile_settings_reset(struct compile *c, const struct statement *s)
{
    for (size_t i = 1; i < s->count; i++)
        reset_one(c, &s->words[i]);
}
