#include "proxy/forward.h"

#include "base/clock.h"
#include "base/hash.h"
#include "files/mime.h"
#include "http/cookie.h"
#include "http/h1_client.h"
#include "proxy/answer.h"
#include "proxy/edit.h"
#include "proxy/exchange_timer.h"
#include "proxy/front_state.h"
#include "proxy/session.h"
#include "upstream/pool.h"
#include "upstream/upstream.h"

#include <stdlib.h>
#include <string.h>

/* Of a kept body, however small the pieces were in which it came. */
enum { KEPT_PIECES_MAX = EXCHANGE_BODY_KEPT_MAX / BUF_CHUNK_MIN + 1 };
/* An origin that does not say 100 gets the body all the same after this (RFC 9110 10.1.1). */
enum { CONTINUE_MS = 1000 };

/* What an origin's head may be; applications send larger ones than browsers do. */
static const struct head_limits answer_limits = {
    .line_bytes_max = 32 * 1024,
    .fields_max = 200,
    .size_bytes_max = 64 * 1024,
};

struct forward {
    struct exchange *x;
    struct upstream_wait wait;
    struct origin_conn *conn;
    struct client_request client;
    struct message answer; /* the origin's, as it comes */
    bool waiting;          /* for a connection */
    bool connected_once;
    bool sent_something; /* of the present try */
    bool kept_whole;     /* x->body holds all of the body that has come */
    bool repeated_stale;
    bool answer_paused;
    bool ended;
    bool repeated_timeout;
    unsigned retries, pooled_tries;
    uint64_t queued_ms_told; /* in the record */
    struct loop_timer continue_timer;
};

struct bound_conn {
    struct origin_conn *conn; /* NULL: it has ended, and holds no place at its origin any more */
    struct upstreams *upstreams;
    uint64_t identity;
};

static const struct client_user client_user;

static struct forward *forward_of_client(struct client_request *request)
{
    return LIST_OF(request, struct forward, client);
}

static struct upstreams *upstreams_of(const struct forward *f)
{
    return f->x->front->upstreams;
}

static const struct upstream_conf *conf_of(const struct forward *f)
{
    return f->x->target->upstream;
}

/* ---- connections bound to one client ---- */

static void end_conn(struct bound_conn *bound)
{
    if (bound->conn != NULL)
        upstream_discard(bound->upstreams, bound->conn);
    bound->conn = NULL;
}

/* Bytes that nobody asked for must not meet the next request. */
static void bound_bytes(void *user, struct str bytes)
{
    (void)bytes;
    end_conn(user);
}

static void bound_ended(void *user, enum stream_end end)
{
    (void)end;
    end_conn(user);
}

static void bound_drained(void *user)
{
    (void)user;
}

static const struct stream_user bound_user = {
    .on_bytes = bound_bytes,
    .on_end = bound_ended,
    .on_drained = bound_drained,
};

void forward_end_bound(struct bound_conn *bound)
{
    if (bound == NULL)
        return;
    end_conn(bound);
    free(bound);
}

/* Does this field speak of a scheme that authenticates connections? */
static bool binds_connection(const struct message *message, enum header_id id)
{
    uint32_t at = 0;
    for (const struct field *f; (f = message_next(message, id, &at)) != NULL;)
        if (str_starts_nocase(f->value, STR("NTLM")) ||
            str_starts_nocase(f->value, STR("Negotiate")))
            return true;
    return false;
}

static bool keep_bound(struct forward *f)
{
    struct bound_conn **slot = &f->x->session->bound;
    if (*slot != NULL)
        forward_end_bound(*slot);
    *slot = calloc(1, sizeof **slot);
    if (*slot == NULL)
        return false;
    **slot = (struct bound_conn){.conn = f->conn,
                                 .upstreams = upstreams_of(f),
                                 .identity = conf_of(f)->origins[f->conn->origin_index].identity};
    stream_set_user(f->conn->stream, &bound_user, *slot);
    return true;
}

/* The bound connection of this client, if it leads to an origin of this upstream. */
static struct origin_conn *take_bound(struct forward *f)
{
    struct bound_conn **slot = &f->x->session->bound;
    struct bound_conn *bound = *slot;
    if (bound == NULL)
        return NULL;
    for (unsigned i = 0; i < conf_of(f)->origin_count; i++) {
        if (conf_of(f)->origins[i].identity != bound->identity)
            continue;
        struct origin_conn *conn = bound->conn;
        *slot = NULL;
        if (conn != NULL && !stream_healthy(conn->stream)) {
            end_conn(bound);
            conn = NULL;
        }
        free(bound);
        if (conn == NULL)
            return NULL;
        conn->reused = true;
        conn->origin_index = i;
        return conn;
    }
    return NULL;
}

/* ---- giving the connection up ---- */

static void release(struct forward *f, bool reusable)
{
    struct origin_conn *conn = f->conn;
    if (conn == NULL)
        return;
    f->conn = NULL;
    client_end(f->client.codec);
    timer_clear(&f->continue_timer);
    stream_pause(conn->stream, false);
    if (reusable && conn->bound) {
        f->conn = conn;
        bool kept = keep_bound(f);
        f->conn = NULL;
        if (kept)
            return;
        reusable = false;
    }
    if (reusable)
        upstream_give(upstreams_of(f), conn, conf_of(f));
    else
        upstream_discard(upstreams_of(f), conn);
}

void forward_end(struct exchange *x)
{
    struct forward *f = x->forward;
    if (f == NULL || f->ended)
        return;
    f->ended = true;
    if (f->waiting)
        upstream_cancel(&f->wait);
    f->waiting = false;
    release(f, false);
}

/* ---- sending ---- */

static void send_kept_body(struct forward *f)
{
    struct exchange *x = f->x;
    struct iovec pieces[KEPT_PIECES_MAX];
    /* Kept bytes stay in x->body: the connection may prove stale. */
    int count = buf_iov(&x->body, pieces, KEPT_PIECES_MAX);
    f->client.request_trailers = edit_trailers(x, x->request.trailers, true);
    for (int i = 0; i < count; i++) {
        bool last = i == count - 1 && x->request.body_whole;
        client_send_body(&f->client, str_from(pieces[i].iov_base, pieces[i].iov_len), last);
    }
    if (count == 0 && x->request.body_whole)
        client_send_body(&f->client, (struct str){0}, true);
}

static void forget_kept(struct forward *f)
{
    f->kept_whole = false;
    buf_drop(&f->x->body, f->x->body.len);
}

static void note_sent(struct forward *f)
{
    struct exchange *x = f->x;
    if (!f->client.request_sent || x->record.sent_us != 0)
        return;
    x->record.sent_us = access_record_mark(x->start_us, clock_mono_us());
    exchange_wait_answer(x, conf_of(f)->connect_ms);
}

static void pause_body(struct exchange *x)
{
    x->body_paused = true;
    codec_pause_body(&x->request, true);
}

static void let_body_come(struct exchange *x)
{
    if (x->request.body_whole || x->gone)
        return;
    exchange_wait_body(x);
    if (!x->body_paused)
        return;
    x->body_paused = false;
    codec_pause_body(&x->request, false);
}

static void tell_continue(struct exchange *x)
{
    if (x->answer_begun || x->gone)
        return;
    if (!x->request.wants_continue) { /* the body has begun unasked: it has its time from now on */
        let_body_come(x);
        return;
    }
    struct message answer;
    message_init(&answer, x->arena);
    answer.status = 100;
    if (codec_send_head(&x->request, &answer, false))
        let_body_come(x);
}

static void on_continue_timer(struct loop_timer *timer)
{
    struct forward *f = LIST_OF(timer, struct forward, continue_timer);
    tell_continue(f->x);
}

static void send_request(struct forward *f)
{
    struct exchange *x = f->x;
    bool body_none = x->upstream_head.framing == BODY_NONE;
    f->sent_something = true;
    if (!client_send_head(&f->client, &x->upstream_head, x->upstream_target, body_none)) {
        release(f, false);
        answer_refuse(x, 400, ACCESS_BY_PARSER, STR("head writer"),
                      STR("the request for the origin must not be written"), NULL);
        x->resume(x);
        return;
    }
    if (!body_none)
        send_kept_body(f);
    note_sent(f);
    /* Who waits for a 100 sends nothing before it: the origin is asked, and timed. */
    if (x->request.wants_continue)
        timer_set(x->front->loop, &f->continue_timer, CONTINUE_MS);
    else
        let_body_come(x);
}

static void use_connection(struct forward *f, struct origin_conn *conn)
{
    struct exchange *x = f->x;
    f->conn = conn;
    f->sent_something = false;
    message_init(&f->answer, x->arena);
    f->client = (struct client_request){
        .user = &client_user, .answer = &f->answer, .method = x->message.method};
    if (binds_connection(&x->message, HEADER_AUTHORIZATION))
        conn->bound = true;
    struct client_codec *codec = h1_client_new(x->arena, conn->stream, &f->client, &answer_limits);
    if (codec == NULL) {
        f->conn = NULL;
        upstream_discard(upstreams_of(f), conn);
        answer_refuse(x, 503, ACCESS_BY_PROXY, STR("memory"), STR("the exchange is at its cap"),
                      NULL);
        x->resume(x);
        return;
    }
    conn->requests++;
    x->record.connected_us = access_record_mark(x->start_us, clock_mono_us());
    x->record.connect_us = conn->connect_us;
    x->record.origin_pooled = conn->reused;
    x->record.origin = conf_of(f)->origins[conn->origin_index].text;
    x->record.origin_local = conn->local;
    x->record.origin_peer = conn->peer;
    edit_host(x, conn->origin_index);
    send_request(f);
}

/* Connects that were tried, and connections that were at hand. */
static void note_tries(struct forward *f)
{
    f->x->record.tries = (uint16_t)(f->wait.attempts + f->pooled_tries);
}

static void note_budget(struct forward *f)
{
    if (f->wait.over_budget)
        access_record_decide(&f->x->record, ACCESS_STAGE_FORWARD, STR("not again"),
                             STR("the retry budget is spent"), NULL);
}

static void note_queue(struct forward *f)
{
    uint64_t ms = f->wait.queued_ms;
    if (ms == f->queued_ms_told)
        return;
    f->queued_ms_told = ms;
    access_record_decide(
        &f->x->record, ACCESS_STAGE_FORWARD, STR("queued"),
        str_printf(f->x->arena, "%llu ms for a connection", (unsigned long long)ms), NULL);
}

static void on_ready(struct upstream_wait *wait, struct origin_conn *conn)
{
    struct forward *f = LIST_OF(wait, struct forward, wait);
    f->waiting = false;
    if (conn->reused)
        f->pooled_tries++;
    note_tries(f);
    note_queue(f);
    use_connection(f, conn);
}

static void on_failed(struct upstream_wait *wait, enum upstream_failure failure)
{
    struct forward *f = LIST_OF(wait, struct forward, wait);
    struct exchange *x = f->x;
    static const struct {
        uint16_t status;
        enum access_layer layer;
        struct str by;
    } rows[] = {
        [UPSTREAM_REFUSED] = {502, ACCESS_BY_ORIGIN, STR_INIT("origin connect")},
        [UPSTREAM_TIMED_OUT] = {502, ACCESS_BY_ORIGIN, STR_INIT("origin connect timeout")},
        [UPSTREAM_UNRESOLVED] = {502, ACCESS_BY_ORIGIN, STR_INIT("origin name")},
        [UPSTREAM_BAD_TLS] = {502, ACCESS_BY_ORIGIN, STR_INIT("origin tls")},
        [UPSTREAM_NO_SOCKET] = {503, ACCESS_BY_PROXY, STR_INIT("no socket")},
        [UPSTREAM_FULL] = {503, ACCESS_BY_PROXY, STR_INIT("connections")},
        [UPSTREAM_DRAINED] = {503, ACCESS_BY_PROXY, STR_INIT("drain")},
    };
    f->waiting = false;
    note_tries(f);
    note_budget(f);
    note_queue(f);
    if (wait->origin_index < conf_of(f)->origin_count)
        x->record.origin = conf_of(f)->origins[wait->origin_index].text;
    answer_refuse(x, rows[failure].status, rows[failure].layer, rows[failure].by,
                  str_dup(x->arena, str_from_z(wait->why)), &x->target->where);
    x->resume(x);
}

/* Those who lack what `balance hash` looks at are told apart by their addresses. */
uint64_t forward_key(const struct exchange *x)
{
    const struct upstream_conf *conf = x->target->upstream;
    struct str value = {0};
    if (conf->balance < BALANCE_HASH_CLIENT)
        return 0;
    const struct field *field =
        conf->balance == BALANCE_HASH_HEADER ? message_find(&x->message, conf->balance_name) : NULL;
    if (field != NULL)
        value = field->value;
    if (conf->balance == BALANCE_HASH_COOKIE &&
        !cookie_get(&x->message, conf->balance_name, &value))
        value.len = 0;
    if (value.len != 0)
        return hash_stable(1, value);
    return hash_stable(0, str_from(x->client.ip, sizeof x->client.ip));
}

static void take(struct forward *f)
{
    struct exchange *x = f->x;
    f->wait.on_ready = on_ready;
    f->wait.on_failed = on_failed;
    f->wait.key = forward_key(x);
    f->wait.idle_ms_max = method_is_idempotent(x->message.method) ? 0 : POOL_FRESH_MS;
    f->waiting = true;
    upstream_take(upstreams_of(f), &f->wait);
}

enum verdict forward_start(struct exchange *x)
{
    struct forward *f = ARENA_NEW(x->arena, struct forward);
    if (f == NULL)
        return answer_refuse(x, 503, ACCESS_BY_PROXY, STR("memory"),
                             STR("the exchange is at its cap"), NULL);
    f->x = x;
    f->kept_whole = true;
    f->wait.conf = conf_of(f); /* also of a bound connection, for which nothing is awaited yet */
    f->continue_timer.on_fire = on_continue_timer;
    x->forward = f;
    struct origin_conn *bound = take_bound(f);
    if (bound != NULL) {
        x->record.tries = 1;
        use_connection(f, bound);
    } else {
        take(f);
    }
    return VERDICT_WAIT;
}

/* ---- the client's side ---- */

void forward_body(struct exchange *x, struct str piece)
{
    struct forward *f = x->forward;
    if (f == NULL || (f->conn == NULL && !f->waiting))
        return; /* answered already: the rest of the body is of no use */
    if (x->tunnel)
        exchange_wait_quiet(x);
    bool keep =
        f->kept_whole && !x->tunnel && (f->conn == NULL || method_is_idempotent(x->message.method));
    if (keep && !buf_add(&x->body, piece.at, piece.len)) {
        if (f->conn == NULL) {
            /* Cannot be: reading has been paused since the head. */
            forward_end(x);
            answer_refuse(x, 503, ACCESS_BY_PROXY, STR("memory"),
                          STR("the body came faster than it could be kept"), NULL);
            x->resume(x);
            return;
        }
        keep = false;
    }
    if (f->conn == NULL)
        return;
    if (!keep)
        forget_kept(f);
    bool last = x->request.body_whole;
    client_send_body(&f->client, piece, last);
    if (client_backlog(&f->client) > EXCHANGE_BACKLOG_MAX && !x->body_paused) {
        pause_body(x);
        if (!x->answer_begun)
            exchange_wait_answer(
                x, conf_of(f)
                       ->connect_ms); /* until on_client_drained(): it takes the body, or answers */
    }
}

void forward_body_end(struct exchange *x)
{
    struct forward *f = x->forward;
    if (f == NULL || f->conn == NULL)
        return;
    if (!x->tunnel)
        f->client.request_trailers = edit_trailers(x, x->request.trailers, true);
    client_send_body(&f->client, (struct str){0}, true);
    if (x->tunnel)
        exchange_wait_quiet(x);
    else
        note_sent(f);
}

void forward_drained(struct exchange *x)
{
    struct forward *f = x->forward;
    if (f == NULL || f->conn == NULL || !f->answer_paused)
        return;
    f->answer_paused = false;
    client_pause_answer(&f->client, false);
}

/* ---- again ---- */

/* May the request be sent again, as far as this client and this body are concerned? */
static bool repeatable(const struct forward *f)
{
    const struct exchange *x = f->x;
    return !x->answer_begun && !x->gone && f->kept_whole &&
           (!f->sent_something || method_is_idempotent(x->message.method));
}

enum again { AGAIN_STALE, AGAIN_FAILED, AGAIN_SILENT, AGAIN_GONE };

static const struct str again_why[] = {
    [AGAIN_STALE] = STR_INIT("a kept connection proved stale"),
    [AGAIN_FAILED] = STR_INIT("the origin failed before its answer"),
    [AGAIN_SILENT] = STR_INIT("the origin did not answer in time"),
    [AGAIN_GONE] = STR_INIT("the origin's machine takes no packets"),
};

/* A further origin, under `retry` and its budget. */
static bool may_retry(struct forward *f)
{
    if (f->retries >= conf_of(f)->retry_max)
        return false;
    if (!upstream_may_retry(upstreams_of(f), &f->wait)) {
        note_budget(f);
        return false;
    }
    f->retries++;
    f->wait.tried |= (uint64_t)1 << f->wait.origin_index;
    return true;
}

static bool try_again(struct forward *f, enum again again)
{
    if (!repeatable(f))
        return false;
    if (again == AGAIN_STALE && !f->repeated_stale)
        f->repeated_stale = true; /* the origin only closed an idle connection: it is not tried */
    else if (!may_retry(f))
        return false;
    f->wait.fresh = true;
    access_record_decide(&f->x->record, ACCESS_STAGE_FORWARD, STR("again"), again_why[again], NULL);
    f->x->waits.answer_ms = 0;
    f->x->record.sent_us = 0;
    if (!f->x->request.body_whole && !f->x->body_paused)
        pause_body(f->x); /* until there is an origin to take it */
    take(f);
    return true;
}

/* ---- the origin's side ---- */

static void on_client_drained(struct client_request *request)
{
    struct exchange *x = forward_of_client(request)->x;
    if (!x->body_paused || x->gone)
        return;
    if (!x->request.body_whole && x->waits.quiet_ms == 0) {
        x->waits.answer_ms = 0;
        exchange_wait_body(x);
    }
    x->body_paused = false;
    codec_pause_body(&x->request, false);
}

static void on_informational(struct client_request *request)
{
    struct forward *f = forward_of_client(request);
    struct exchange *x = f->x;
    if (f->answer.status == 100) {
        timer_clear(&f->continue_timer);
        tell_continue(x);
        return;
    }
    x->answer = f->answer;
    edit_informational(x);
    if (!codec_send_head(&x->request, &x->answer, false))
        access_record_decide(&x->record, ACCESS_STAGE_FORWARD, STR("1xx dropped"),
                             STR("it must not be written"), NULL);
}

static bool is_stream(const struct message *answer)
{
    struct str type = message_value(answer, HEADER_CONTENT_TYPE);
    return mime_is_event_stream(type) || str_starts_nocase(type, STR("application/grpc"));
}

/* What an origin says when it closes a kept connection may cross with a request, and is then no
 * answer to it: "I have had no request" (RFC 9110 15.5.9). */
static bool is_farewell(const struct forward *f)
{
    return f->answer.status == 408 && f->answer.close && f->conn->reused && !f->repeated_stale &&
           repeatable(f);
}

static void on_head(struct client_request *request)
{
    struct forward *f = forward_of_client(request);
    struct exchange *x = f->x;
    timer_clear(&f->continue_timer);
    if (is_farewell(f)) {
        release(f, false);
        (void)try_again(f, AGAIN_STALE); /* it may: that was asked */
        return;
    }
    x->record.answer_us = access_record_mark(x->start_us, clock_mono_us());
    x->record.origin_status = f->answer.status;
    upstream_report(upstreams_of(f), conf_of(f), f->conn->origin_index, NULL);
    forget_kept(f);
    x->waits.answer_ms = 0;
    if (binds_connection(&f->answer, HEADER_WWW_AUTHENTICATE))
        f->conn->bound = true;
    x->answer = f->answer;
    x->answer.close = false; /* the origin's connection ends, not the client's */
    x->answer_is_origins = true;
    if (f->answer.status == 101) {
        x->tunnel = true;
        x->record.websocket = true;
        struct message *head = &x->answer;
        edit_answer(x);
        x->answer_begun = true;
        x->record.status = 101;
        if (!message_add_id(head, HEADER_CONNECTION, STR("Upgrade")) ||
            !message_add_id(head, HEADER_UPGRADE, STR("websocket")) ||
            !codec_send_head(&x->request, head, false)) {
            answer_cut(x, ACCESS_FAILED);
            return;
        }
        x->body_paused = false;
        exchange_wait_quiet(x);
        return;
    }
    if (is_stream(&f->answer) && x->request.half_closed) {
        x->gone = true;
        answer_cut(x, ACCESS_CLIENT_ABORTED);
        return;
    }
    if (is_stream(&f->answer))
        exchange_wait_quiet(x);
    else if (f->answer.framing != BODY_NONE)
        exchange_wait_stream(x);
    x->resume(x);
}

static void on_body(struct client_request *request, struct str piece, bool last)
{
    struct forward *f = forward_of_client(request);
    struct exchange *x = f->x;
    if (x->waits.quiet_ms != 0)
        exchange_wait_quiet(x);
    else if (!last)
        exchange_wait_stream(x);
    if (last && !x->tunnel && request->trailers != NULL)
        x->request.answer_trailers = edit_trailers(x, request->trailers, false);
    if (last && !x->tunnel)
        release(f, request->reusable); /* the client may be slow; the connection need not wait */
    if (answer_piece(x, piece, last) && f->conn != NULL) {
        f->answer_paused = true;
        client_pause_answer(&f->client, true);
    }
}

static void on_end(struct client_request *request)
{
    struct forward *f = forward_of_client(request);
    release(f, request->reusable);
    answer_piece(f->x, (struct str){0}, true);
}

/* ---- failure ---- */

/* A client waits twice at the most: who was kept waiting by two origins has waited long enough. */
bool forward_timed_out(struct exchange *x)
{
    struct forward *f = x->forward;
    if (f == NULL || f->conn == NULL)
        return false;
    bool repeated = f->repeated_timeout;
    f->wait.origin_index = f->conn->origin_index;
    upstream_report(upstreams_of(f), conf_of(f), f->conn->origin_index,
                    "it did not answer in time");
    release(f, false);
    f->repeated_timeout = true;
    return !repeated && try_again(f, AGAIN_SILENT);
}

/*
 * A machine that vanishes says nothing to those who hold a connection to it. Who connects finds out
 * within `timeout connect`; so do we, instead of waiting for the answer's whole time.
 */
bool forward_look(struct exchange *x)
{
    struct forward *f = x->forward;
    if (f == NULL || f->conn == NULL || !stream_stranded(f->conn->stream, conf_of(f)->connect_ms)) {
        exchange_look_later(x);
        return true;
    }
    f->wait.origin_index = f->conn->origin_index;
    upstream_report(upstreams_of(f), conf_of(f), f->conn->origin_index,
                    "its machine takes no packets");
    release(f, false);
    return try_again(f, AGAIN_GONE);
}

static void on_client_failed(struct client_request *request, enum client_failure failure)
{
    struct forward *f = forward_of_client(request);
    struct exchange *x = f->x;
    struct str why = str_dup(x->arena, str_from_z(request->why));
    bool stale = failure == CLIENT_CLOSED && f->conn->reused;
    unsigned origin_index = f->conn->origin_index;
    f->wait.origin_index = origin_index;
    release(f, false);
    if (!stale)
        upstream_report(upstreams_of(f), conf_of(f), origin_index, why.at != NULL ? why.at : "");
    if (x->tunnel) {
        answer_cut(x, ACCESS_ORIGIN_ABORTED);
        return;
    }
    if (failure != CLIENT_BAD && try_again(f, stale ? AGAIN_STALE : AGAIN_FAILED))
        return;
    enum verdict verdict =
        answer_refuse(x, 502, ACCESS_BY_ORIGIN,
                      failure == CLIENT_BAD ? STR("origin answer") : STR("origin closed"), why,
                      &x->target->where);
    if (verdict == VERDICT_ANSWER)
        x->resume(x);
}

static const struct client_user client_user = {
    .on_informational = on_informational,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_failed = on_client_failed,
    .on_drained = on_client_drained,
};
