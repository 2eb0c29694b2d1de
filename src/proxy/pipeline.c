#include "proxy/pipeline.h"

#include "base/clock.h"
#include "files/files.h"
#include "http/forwarded.h"
#include "observe/metrics.h"
#include "proxy/answer.h"
#include "proxy/edit.h"
#include "proxy/exchange_timer.h"
#include "proxy/forward.h"
#include "proxy/front_state.h"
#include "proxy/lax_path.h"
#include "proxy/record_log.h"
#include "proxy/session.h"
#include "proxy/trace.h"
#include "proxy/verdict.h"
#include "tls/tls_stream.h"

#include <string.h>

/* The longest Location that is built here. */
#define LOCATION_BYTES_MAX ((size_t)16 * 1024)
/* Two patterns with their places and a path, cut, that could be read in two ways. */
#define WHY_BYTES_MAX ((size_t)4 * 1024)

static void decide(struct exchange *x, enum access_stage stage, struct str verdict, struct str why,
                   const struct where *where)
{
    access_record_decide(&x->record, stage, verdict, why, where);
}

/* ---- read head ---- */

static struct site *default_site(const struct exchange *x)
{
    return x->listener == NULL
               ? NULL
               : listener_default_site(x->listener, session_sni(x->session), &x->session->local);
}

static void use_site(struct exchange *x, struct site *site)
{
    if (site == NULL)
        return;
    exchange_set_site(x, site);
    x->conf = site->conf;
    x->record.site = site->name;
}

static void note_session(struct exchange *x)
{
    struct access_record *record = &x->record;
    record->connection_id = x->session->id;
    record->request_number = ++x->session->requests;
    record->peer = record->client = x->client = x->session->peer;
    record->local = x->session->local;
    record->scheme = session_is_tls(x->session) ? STR("https") : STR("http");
}

static void note_head(struct exchange *x)
{
    struct access_record *record = &x->record;
    const struct message *m = &x->message;
    record->head_us = access_record_mark(x->start_us, clock_mono_us());
    record->version = m->version;
    record->method = m->method_text;
    access_record_set_target(record, m->target);
    record->host = m->authority.len ? m->authority : message_value(m, HEADER_HOST);
    record->request_type = message_value(m, HEADER_CONTENT_TYPE);
    record->user_agent = message_value(m, HEADER_USER_AGENT);
    record->referer = message_value(m, HEADER_REFERER);
    record->cookies = message_value(m, HEADER_COOKIE);
    record->authorization = message_value(m, HEADER_AUTHORIZATION);
}

/* The head is parsed; one that does not parse goes on with the default site. */
static enum verdict phase_head(struct exchange *x)
{
    x->listener = x->session->listener->listener;
    note_session(x);
    note_head(x);
    use_site(x, default_site(x));
    if (x->conf == NULL)
        return VERDICT_CLOSE; /* this listener has just left the configuration */
    if (x->bad.status != 0)
        return answer_refuse(x, x->bad.status,
                             x->bad.status == 400 ? ACCESS_BY_PARSER : ACCESS_BY_LIMIT,
                             STR("head parser"), str_from_z(x->bad.why), NULL);
    return VERDICT_NEXT;
}

/* ---- route ---- */

/* RFC 9110 7.4: a request on a connection that was opened for another name. */
static bool is_misdirected(const struct exchange *x, const struct site *site)
{
    const struct site *opened = default_site(x);
    if (opened == site || opened == NULL)
        return false;
    return opened->cert_count != site->cert_count ||
           memcmp(opened->certs, site->certs, site->cert_count * sizeof *site->certs) != 0 ||
           memcmp(opened->tls_id, site->tls_id, sizeof site->tls_id) != 0;
}

/* The site by its host; the default site stays for requests of HTTP/1.0 without one. */
static enum verdict find_site(struct exchange *x)
{
    if (x->record.host.len == 0) {
        decide(x, ACCESS_STAGE_ROUTE, STR("default site"), STR("the request names no host"),
               &x->site->where);
        return VERDICT_NEXT;
    }
    if (!authority_parse(x->arena, x->record.host, &x->host))
        return answer_refuse(x, 400, ACCESS_BY_PARSER, STR("host"), STR("Host is no valid name"),
                             NULL);
    struct site *site = listener_site(x->listener, x->host.host);
    bool tls = session_is_tls(x->session);
    if (site == NULL)
        return answer_refuse(x, tls ? 421 : 404, ACCESS_BY_ROUTE, STR("no site"),
                             STR("no site of this listener has this host"), NULL);
    if (tls && is_misdirected(x, site))
        return answer_refuse(x, 421, ACCESS_BY_ROUTE, STR("misdirected"),
                             STR("the TLS connection was opened for another site"), &site->where);
    use_site(x, site);
    decide(x, ACCESS_STAGE_ROUTE, STR("site"), site->name, &site->where);
    return VERDICT_NEXT;
}

static enum verdict refuse_undecided(struct exchange *x)
{
    return answer_refuse(x, 503, ACCESS_BY_LIMIT, STR("regex limit"),
                         STR("an expression of the routes took too long on this path"),
                         &x->site->where);
}

/* An origin must not be asked for what it would take for another route's. */
static enum verdict judge_readings(struct exchange *x, const struct route_query *query)
{
    struct lax_path lax;
    struct text why;
    const struct route *chosen = x->match.route;
    switch (lax_path_judge(x->arena, x->site->router, query, x->uri.readings, chosen, &lax)) {
    case LAX_PLAIN:
        return VERDICT_NEXT;
    case LAX_UNDECIDED:
        return refuse_undecided(x);
    case LAX_AMBIGUOUS:
        why = text_in(x->arena, WHY_BYTES_MAX);
        lax_path_add_why(&why, &lax, chosen);
        return answer_refuse(x, 400, ACCESS_BY_ROUTE, STR("ambiguous path"), text_str(&why),
                             lax.other ? &lax.other->where : NULL);
    case LAX_NO_MEMORY:
    default:
        return answer_refuse(x, 503, ACCESS_BY_PROXY, STR("memory"),
                             STR("the readings of the path do not fit into memory"), NULL);
    }
}

static enum verdict find_route(struct exchange *x)
{
    bool undecided = false;
    struct route_query query = {.request = &x->message,
                                .path = x->uri.path,
                                .query = x->uri.query,
                                .client = &x->client,
                                .undecided = &undecided,
                                .trace = x->trace};
    bool found = router_find(x->site->router, &query, &x->match);
    if (undecided) /* a path made to exhaust an expression must not slip past its route's rules */
        return refuse_undecided(x);
    if (!found)
        return VERDICT_NEXT; /* admit says 404 to those who may know */
    const struct route *route = x->match.route;
    x->conf = route->conf;
    x->target = &route->target;
    x->record.route = route->pattern;
    x->record.route_where = route->where;
    decide(x, ACCESS_STAGE_ROUTE, STR("route"), route->pattern, &route->where);
    query.trace = NULL; /* what other readings pass over was no near miss */
    return x->conf->paths_loose ? VERDICT_NEXT : judge_readings(x, &query);
}

/* Host and path to site and route: a look-up, no effect yet. */
static enum verdict phase_route(struct exchange *x)
{
    struct parse_error error;
    enum verdict verdict = find_site(x);
    if (verdict != VERDICT_NEXT)
        return verdict;
    const struct snapshot *snapshot = x->snapshot;
    x->peer_trusted =
        forwarded_is_trusted(&x->client, snapshot->trusted_proxies, snapshot->trusted_count);
    if (x->peer_trusted) {
        forwarded_client(&x->message, &x->session->peer, snapshot->trusted_proxies,
                         snapshot->trusted_count, &x->client);
        x->record.client = x->client;
    }
    if (uri_parse(x->arena, x->message.target, &x->uri, &error) != PARSE_DONE)
        return answer_refuse(x, error.status, ACCESS_BY_PARSER, STR("target"),
                             str_from_z(error.why), NULL);
    x->record.canonical_path = x->uri.path;
    return find_route(x);
}

/* ---- admit ---- */

/* Every level that has a list must let the client in. */
static enum verdict judge_access(struct exchange *x)
{
    static const struct str by[] = {STR_INIT("file access"), STR_INIT("site access"),
                                    STR_INIT("route access")};
    for (size_t level = 0; level < 3; level++) {
        const struct access_list *list = x->conf->access[level];
        const struct access_rule *rule;
        if (list == NULL)
            continue;
        if (access_list_admits(list, &x->client, &rule)) {
            decide(x, ACCESS_STAGE_ADMIT, STR("allowed"), by[level], rule ? &rule->where : NULL);
            continue;
        }
        return answer_refuse(x, 403, ACCESS_BY_ROUTE, by[level],
                             rule && !rule->allow ? STR("a deny line names this address")
                                                  : STR("no allow line names this address"),
                             rule ? &rule->where : NULL);
    }
    return VERDICT_NEXT;
}

static struct str public_host(struct exchange *x)
{
    if (x->host.host.len != 0)
        return x->host.host;
    for (size_t i = 0; i < x->site->host_count; i++)
        if (x->site->hosts[i].at[0] != '*')
            return x->site->hosts[i];
    return (struct str){0};
}

/* Plain HTTP of a site that has TLS. */
static enum verdict judge_scheme(struct exchange *x)
{
    if (session_is_tls(x->session) || !x->site->tls || x->site->plain_http == PLAIN_SERVE)
        return VERDICT_NEXT;
    struct str host = public_host(x);
    if (x->site->plain_http == PLAIN_REFUSE || host.len == 0)
        return answer_refuse(x, 403, ACCESS_BY_ROUTE, STR("http refuse"),
                             STR("this site answers over HTTPS only"), &x->site->where);
    struct text url = text_in(x->arena, LOCATION_BYTES_MAX);
    bool ip6 = str_find_byte(host, ':') != SIZE_MAX;
    text_add_z(&url, ip6 ? "https://[" : "https://");
    text_add(&url, host);
    if (ip6)
        text_add_byte(&url, ']');
    if (x->site->redirect_port != 443)
        text_printf(&url, ":%u", (unsigned)x->site->redirect_port);
    if (x->uri.raw_path.len == 0 || x->uri.raw_path.at[0] != '/')
        text_add_byte(&url, '/');
    else
        text_add(&url, x->uri.raw_path);
    if (x->uri.has_query) {
        text_add_byte(&url, '?');
        text_add(&url, x->uri.query);
    }
    decide(x, ACCESS_STAGE_ADMIT, STR("to https"), STR("plain HTTP of a site with TLS"),
           &x->site->where);
    return answer_redirect(x, 308, text_str(&url));
}

/* `/x` where only `/x/ *` exists: to `/x/`, the query kept. */
static enum verdict redirect_to_slash(struct exchange *x)
{
    struct text url = text_in(x->arena, LOCATION_BYTES_MAX);
    uri_add_encoded(&url, URI_PATH, x->uri.path);
    text_add_byte(&url, '/');
    if (x->uri.has_query) {
        text_add_byte(&url, '?');
        text_add(&url, x->uri.query);
    }
    return answer_redirect(x, 308, text_str(&url));
}

static enum verdict refuse_body(struct exchange *x)
{
    return answer_refuse(x, 413, ACCESS_BY_LIMIT, STR("body limit"),
                         STR("the request's body is larger than `body` allows"),
                         x->match.route ? &x->match.route->where : NULL);
}

/* Address rules and limits: cheap, so first. */
static enum verdict phase_admit(struct exchange *x)
{
    enum verdict verdict = judge_scheme(x);
    if (verdict == VERDICT_NEXT)
        verdict = judge_access(x);
    if (verdict != VERDICT_NEXT)
        return verdict;
    if (x->match.route == NULL)
        return answer_refuse(x, 404, ACCESS_BY_ROUTE, STR("no route"),
                             STR("no route of the site has this path"), &x->site->where);
    if (x->match.to_slash)
        return redirect_to_slash(x);
    if (x->message.method == METHOD_TRACE)
        return answer_refuse(x, 405, ACCESS_BY_ROUTE, STR("method"),
                             STR("TRACE would show the client what we add"), NULL);
    if (x->message.framing == BODY_LENGTH && x->message.content_length > x->conf->body_bytes_max)
        return refuse_body(x);
    return VERDICT_NEXT;
}

/* ---- serve: what needs no origin ---- */

static enum verdict serve_redirect(struct exchange *x, const struct template *url_template,
                                   bool has_query, unsigned status)
{
    struct template_values values;
    struct text url = text_in(x->arena, LOCATION_BYTES_MAX);
    edit_values(x, &values);
    template_expand(url_template, &values, TEMPLATE_IN_URL, &url);
    if (!has_query && x->uri.has_query) {
        text_add_byte(&url, '?');
        text_add(&url, x->uri.query);
    }
    if (!text_ok(&url))
        return answer_refuse(x, 414, ACCESS_BY_LIMIT, STR("redirect"),
                             STR("the expanded URL is too long"), &x->target->where);
    return answer_redirect(x, status, text_str(&url));
}

static enum verdict serve_respond(struct exchange *x, const struct target *target)
{
    struct template_values values;
    struct text text = text_in(x->arena, EXCHANGE_ARENA_BYTES);
    edit_values(x, &values);
    template_expand(&target->text, &values, target->text_place, &text);
    if (!text_ok(&text))
        return answer_refuse(x, 503, ACCESS_BY_PROXY, STR("memory"),
                             STR("the text does not fit into memory"), &target->where);
    return answer_text(x, target->status, target->content_type, text_str(&text));
}

/* NEXT: there is no such file. */
static enum verdict serve_files(struct exchange *x, const struct target *target)
{
    struct str path = x->uri.path;
    const struct route *route = x->match.route;
    if (route->rewrite.count != 0) {
        struct str rewritten;
        const char *why;
        if (!edit_path(x, &rewritten, &why))
            return answer_refuse(x, 400, ACCESS_BY_ROUTE, STR("rewrite"), str_from_z(why),
                                 &route->where);
        path = rewritten;
    } else if (route->strip && path.len >= route->path.len) {
        path = str_skip(path, route->path.len - 1);
    }
    message_init(&x->answer, x->arena);
    x->content = (struct content){0};
    struct files_note found = {0};
    compress_prepare(&x->plan, x->conf->compress, &x->message);
    enum files_result result = files_open(target->files, x->front->open_files, path, &x->message,
                                          &x->answer, &x->content.file, x->trace ? &found : NULL);
    if (x->trace != NULL) {
        x->trace->file = found.path;
        x->trace->fallback = found.fallback;
    }
    if (result == FILES_ABSENT && target->otherwise != NULL)
        return VERDICT_NEXT;
    unsigned status = x->answer.status;
    if (result == FILES_ANSWERED && status < 400)
        return VERDICT_ANSWER;
    struct message head = x->answer; /* Allow, Content-Range: they belong to the page too */
    enum verdict verdict =
        answer_refuse(x, status, ACCESS_BY_FILES, STR("files"),
                      status == 404 ? STR("there is no such file") : STR("the file cannot be sent"),
                      &target->where);
    const struct field *range = message_get(&head, HEADER_CONTENT_RANGE);
    if (range != NULL && !message_add_id(&x->answer, HEADER_CONTENT_RANGE, range->value))
        exchange_lost_field(x);
    return verdict;
}

static enum verdict serve_redirects(struct exchange *x, const struct target *target)
{
    const struct redirect_line *line = map_get(&target->redirects, x->uri.path);
    if (line == NULL && target->otherwise != NULL)
        return VERDICT_NEXT;
    if (line == NULL)
        return answer_refuse(x, 404, ACCESS_BY_ROUTE, STR("redirects"),
                             STR("the file has no line for this path"), &target->where);
    decide(x, ACCESS_STAGE_ROUTE, STR("redirects line"), line->to, &line->where);
    struct text url = text_in(x->arena, LOCATION_BYTES_MAX);
    text_add(&url, line->to);
    if (x->uri.has_query && str_find_byte(line->to, '?') == SIZE_MAX) {
        text_add_byte(&url, '?');
        text_add(&url, x->uri.query);
    }
    return answer_redirect(x, line->status, text_str(&url));
}

/* Files, redirects, texts; NEXT when the target is an origin. */
static enum verdict phase_serve(struct exchange *x)
{
    for (const struct target *target = x->target; target != NULL; target = target->otherwise) {
        enum verdict verdict = VERDICT_NEXT;
        x->target = target;
        switch (target->action) {
        case ACTION_FORWARD:
            return VERDICT_NEXT;
        case ACTION_FILES:
            verdict = serve_files(x, target);
            break;
        case ACTION_REDIRECT:
            verdict = serve_redirect(x, &target->text, target->text_has_query, target->status);
            break;
        case ACTION_REDIRECTS:
            verdict = serve_redirects(x, target);
            break;
        case ACTION_RESPOND:
            verdict = serve_respond(x, target);
            break;
        }
        if (verdict != VERDICT_NEXT)
            return verdict;
    }
    return answer_refuse(x, 404, ACCESS_BY_FILES, STR("files"), STR("there is no such file"),
                         &x->target->where);
}

/* ---- prepare ---- */

static bool asks_websocket(const struct exchange *x)
{
    const struct message *m = &x->message;
    return x->conf->websocket && m->method == METHOD_GET && m->version == 11 &&
           header_list_has(message_value(m, HEADER_UPGRADE), STR("websocket")) &&
           header_list_has(message_value(m, HEADER_CONNECTION), STR("upgrade")) &&
           m->framing == BODY_NONE;
}

/* Forwarded headers, rewrites. */
static enum verdict phase_prepare(struct exchange *x)
{
    const char *why;
    x->websocket_asked = asks_websocket(x);
    compress_prepare(&x->plan, x->conf->compress, &x->message);
    if (!edit_request(x, &why))
        return answer_refuse(x, 400, ACCESS_BY_PARSER, STR("prepare"), str_from_z(why),
                             &x->match.route->where);
    if (x->match.route->strip || x->match.route->rewrite.count != 0)
        decide(x, ACCESS_STAGE_PREPARE, x->match.route->strip ? STR("stripped") : STR("rewritten"),
               str_sub(x->upstream_target, 0, str_find_byte(x->upstream_target, '?')),
               &x->match.route->where);
    /* From here on the exchange needs its site, but no longer the whole configuration; only
     * trailers may still come, and no name that it sets towards origins may stand in them. */
    if (x->message.framing != BODY_CHUNKED)
        exchange_unpin_snapshot(x);
    return VERDICT_NEXT;
}

static enum verdict phase_forward(struct exchange *x)
{
    /* The body waits until an origin is there to take it. */
    if (!x->request.body_whole) {
        x->body_paused = true;
        codec_pause_body(&x->request, true);
    }
    return forward_start(x);
}

/* ---- respond, log ---- */

static enum verdict phase_respond(struct exchange *x)
{
    answer_begin(x);
    return VERDICT_WAIT; /* pipeline_done() comes when the codec has it all */
}

/* Only for a record that is written: GnuTLS is asked for each of these. */
static void note_tls(struct exchange *x)
{
    struct access_record *record = &x->record;
    if (!session_is_tls(x->session))
        return;
    struct tls_info info;
    session_tls_info(x->session, &info);
    record->sni = str_dup(x->arena, info.name);
    record->tls_version = str_from_z(info.version);
    record->cipher = str_from_z(info.cipher);
    record->alpn = str_dup(x->arena, info.alpn);
    record->tls_resumed = info.resumed;
}

/* What it is counted as: its route, else its site, else nothing of the configuration. */
static uint32_t series_of(const struct exchange *x)
{
    if (x->match.route != NULL && x->match.route->series != 0)
        return x->match.route->series;
    return x->site != NULL ? x->site->series : 0;
}

static enum verdict phase_log(struct exchange *x)
{
    struct access_record *record = &x->record;
    record->total_us = access_record_mark(x->start_us, clock_mono_us());
    record->bytes_in = x->request.bytes_in;
    record->body_in = x->request.body_in;
    record->bytes_out = x->request.bytes_out;
    record->body_out = x->request.body_out;
    struct front_counters *counters = &x->front->counters;
    front_count(&counters->requests, 1);
    front_count(&counters->bytes_in, record->bytes_in);
    front_count(&counters->bytes_out, record->bytes_out);
    if (x->front->metrics != NULL)
        metrics_count(x->front->metrics, series_of(x), record);
    bool logged = x->conf != NULL && x->conf->log.target != 0;
    if (logged)
        note_tls(x);
    record_keep(x->front, record);
    if (logged)
        record_log(x->front, &x->conf->log, record);
    return VERDICT_WAIT;
}

/* ---- the table ---- */

static const struct phase {
    const char *name;
    enum verdict (*run)(struct exchange *x);
} phases[] = {
    {"read head", phase_head},  /* the head is parsed, or known not to parse */
    {"route", phase_route},     /* host and path -> site and route */
    {"admit", phase_admit},     /* scheme, address rules, limits of the route */
    {"serve", phase_serve},     /* redirects, texts, files: what needs no origin */
    {"prepare", phase_prepare}, /* forwarded headers, rewrites */
    {"forward", phase_forward}, /* balance -> pool -> connect -> send -> await head */
    {"respond", phase_respond}, /* head and body to the client, with backpressure */
    {"log", phase_log},         /* always, one record */
};

enum { PHASE_ADMIT = 2, PHASE_SERVE = 3, PHASE_FORWARD = 5, PHASE_RESPOND = 6, PHASE_LOG = 7 };

static void pipeline_run(struct exchange *x)
{
    x->running = true;
    for (;;) {
        x->resumed = false;
        enum verdict verdict = phases[x->phase].run(x);
        if (x->done || x->phase == PHASE_LOG)
            break;
        if (verdict == VERDICT_NEXT) {
            x->phase++;
        } else if (verdict == VERDICT_ANSWER || x->resumed) {
            x->phase = PHASE_RESPOND;
        } else if (verdict == VERDICT_CLOSE) {
            answer_cut(x, x->record.end ? x->record.end : ACCESS_FAILED);
            break;
        } else {
            break;
        }
    }
    x->running = false;
}

/* Inside a wait: x->answer is ready. */
static void resume(struct exchange *x)
{
    if (x->done || x->answer_begun)
        return;
    x->phase = PHASE_RESPOND;
    x->resumed = true;
    if (!x->running)
        pipeline_run(x);
}

/* ---- without a connection ---- */

/* The body's size is known: of a chunked one by what has come so far. */
static bool body_too_large(const struct exchange *x)
{
    return x->conf != NULL && x->request.body_in > x->conf->body_bytes_max;
}

enum verdict pipeline_decide(struct exchange *x, const struct parse_error *bad)
{
    if (bad != NULL)
        x->bad = *bad;
    for (x->phase = 0; x->phase < PHASE_FORWARD; x->phase++) {
        enum verdict verdict = phases[x->phase].run(x);
        if (verdict != VERDICT_NEXT)
            return verdict;
    }
    return body_too_large(x) ? refuse_body(x) : VERDICT_NEXT;
}

bool pipeline_routed(const struct exchange *x)
{
    return x->phase >= PHASE_ADMIT;
}

bool pipeline_admitted(const struct exchange *x)
{
    return x->phase >= PHASE_SERVE;
}

/* ---- what drives it: the codec's callbacks and the timer ---- */

static void refuse_and_answer(struct exchange *x, unsigned status, enum access_layer layer,
                              struct str by, struct str why)
{
    forward_end(x);
    if (answer_refuse(x, status, layer, by, why, NULL) == VERDICT_ANSWER)
        resume(x);
}

static void on_timeout(struct exchange *x, enum exchange_timeout which)
{
    switch (which) {
    case EXCHANGE_SEND_TIMEOUT:
        answer_cut(x, ACCESS_CLIENT_TIMED_OUT);
        return;
    case EXCHANGE_BODY_TIMEOUT:
        if (x->answer_begun) {
            answer_cut(x, ACCESS_CLIENT_TIMED_OUT);
            return;
        }
        refuse_and_answer(x, 408, ACCESS_BY_LIMIT, STR("timeout body"),
                          STR("the request's body came too slowly"));
        return;
    case EXCHANGE_ANSWER_TIMEOUT:
        if (forward_timed_out(x))
            return;
        refuse_and_answer(x, 504, ACCESS_BY_ORIGIN, STR("timeout answer"),
                          STR("the origin did not answer in time"));
        return;
    case EXCHANGE_REACH_TIMEOUT:
        if (!forward_look(x))
            refuse_and_answer(x, 504, ACCESS_BY_ORIGIN, STR("origin gone"),
                              STR("the origin's machine takes no packets any more"));
        return;
    case EXCHANGE_STREAM_TIMEOUT:
    case EXCHANGE_QUIET_TIMEOUT:
        answer_cut(x, x->tunnel ? ACCESS_COMPLETE : ACCESS_ORIGIN_TIMED_OUT);
        return;
    }
}

void pipeline_head(struct exchange *x, const struct parse_error *bad)
{
    if (bad != NULL)
        x->bad = *bad;
    exchange_timer_init(x, on_timeout);
    x->resume = resume;
    pipeline_run(x);
}

void pipeline_bad_body(struct exchange *x, const struct parse_error *error)
{
    if (x->answer_begun) {
        answer_cut(x, ACCESS_CLIENT_ABORTED);
        return;
    }
    refuse_and_answer(x, error->status, ACCESS_BY_PARSER, STR("body parser"),
                      str_from_z(error->why));
}

void pipeline_body(struct exchange *x, struct str piece)
{
    if (!x->tunnel && body_too_large(x)) {
        if (x->answer_begun) {
            answer_cut(x, ACCESS_CLIENT_ABORTED);
            return;
        }
        forward_end(x);
        if (refuse_body(x) == VERDICT_ANSWER)
            resume(x);
        return;
    }
    forward_body(x, piece);
}

void pipeline_body_end(struct exchange *x)
{
    forward_body_end(x);
}

void pipeline_drained(struct exchange *x)
{
    x->waits.send_ms = 0;
    answer_drained(x);
    if (!x->done)
        forward_drained(x);
}

void pipeline_gone(struct exchange *x)
{
    x->gone = true;
    answer_cut(x, ACCESS_CLIENT_ABORTED);
}

void pipeline_half_closed(struct exchange *x)
{
    if (x->waits.quiet_ms != 0 && !x->tunnel)
        pipeline_gone(x);
}

void pipeline_done(struct exchange *x)
{
    x->done = true;
    forward_end(x);
    if (x->record.end == ACCESS_END_UNKNOWN)
        x->record.end = x->answer_ended ? ACCESS_COMPLETE : ACCESS_CLIENT_ABORTED;
    phases[PHASE_LOG].run(x);
    exchange_end(x);
}
