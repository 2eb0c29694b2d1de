#include "proxy/serve.h"

#include "base/clock.h"
#include "http/h1_server.h"
#include "net/tcp.h"
#include "observe/metrics.h"
#include "proxy/exchange.h"
#include "proxy/forward.h"
#include "proxy/front_state.h"
#include "proxy/pipeline.h"
#include "proxy/record_log.h"
#include "proxy/session.h"
#include "tls/tls_accept.h"

#include <stdlib.h>
#include <unistd.h>

/* After the last answer the client gets so long to take it and close (RFC 9112 9.6). */
enum { LINGER_MS = 2000 };
/* A failed handshake's alert is a small thing: a round trip is enough. */
enum { ALERT_LINGER_MS = 250 };
/* A client that does not take the end of its last answer is not waited for beyond this. */
enum { LINGER_ROUNDS_MAX = 15 };
/* When we go, a connection between two requests is good for one more, which hears that it is the
 * last. One that is quiet for so long is ended like any that idles. */
enum { DRAIN_IDLE_MS = 500 };

static const struct codec_user codec_user;

/* ---- the end ---- */

static void session_free(struct session *s)
{
    timer_clear(&s->timer);
    if (s->wait == WAIT_IDLE)
        front_count(&s->front->counters.idle, UINT64_MAX); /* minus one */
    list_remove(&s->link);
    forward_end_bound(s->bound);
    front_count(&s->front->counters.sessions, UINT64_MAX); /* minus one */
    free(s);
}

static void session_end(struct session *s, bool reset)
{
    if (s->ended)
        return;
    s->ended = true;
    if (s->codec != NULL)
        codec_end(s->codec, reset);
    else if (reset)
        stream_reset(s->stream);
    else
        stream_close(s->stream);
    session_free(s);
}

/* ---- connections that never became a request ---- */

static void fill_tls(struct session *s, struct access_record *record)
{
    struct tls_info info;
    if (!s->tls)
        return;
    tls_stream_info(s->stream, &info);
    record->sni = info.name;
    record->tls_version = str_from_z(info.version);
    record->alpn = info.alpn;
}

static void record_connection(struct session *s, enum access_layer layer, struct str by,
                              struct str why)
{
    struct access_record record;
    const struct listener *listener = s->listener->listener;
    access_record_init(&record, ACCESS_CONNECTION);
    record.start_wall_us = s->start_wall_us;
    record.connection_id = s->id;
    record.peer = record.client = s->peer;
    record.local = s->local;
    record.scheme = s->tls ? STR("https") : STR("http");
    fill_tls(s, &record);
    record.total_us = access_record_mark(s->start_wall_us, clock_wall_us());
    access_record_refuse(&record, layer, by, why, NULL);
    if (s->front->metrics != NULL)
        metrics_count_refused(s->front->metrics, 0, layer);
    if (listener != NULL && listener->first != NULL)
        record_log_connection(s->front, &listener->first->conf->log, &record);
}

/* ---- timers ---- */

static void note_wait(struct session *s, enum session_wait wait)
{
    if ((s->wait == WAIT_IDLE) != (wait == WAIT_IDLE))
        front_count(&s->front->counters.idle, wait == WAIT_IDLE ? 1 : UINT64_MAX);
    if (s->wait != WAIT_IDLE && wait == WAIT_IDLE) { /* the last of those that are quiet */
        list_remove(&s->link);
        list_add(&s->front->sessions, &s->link);
    }
    s->wait = (uint8_t)wait;
}

static void set_wait(struct session *s, enum session_wait wait, uint64_t ms)
{
    note_wait(s, wait);
    timer_set(s->front->loop, &s->timer, ms);
}

static void wait_idle(struct session *s, uint64_t ms)
{
    set_wait(s, WAIT_IDLE, s->front->draining && ms > DRAIN_IDLE_MS ? DRAIN_IDLE_MS : ms);
}

static void on_timer(struct loop_timer *timer)
{
    struct session *s = LIST_OF(timer, struct session, timer);
    switch (s->wait) {
    case WAIT_HANDSHAKE:
        front_count(&s->front->counters.handshakes_failed, 1);
        record_connection(s, ACCESS_BY_LIMIT, STR("timeout handshake"),
                          STR("the TLS handshake took too long"));
        session_end(s, true);
        return;
    case WAIT_HEAD: {
        struct parse_error error = {.status = 408, .why = "the request's head took too long"};
        h1_server_refuse(s->codec, &error);
        return;
    }
    case WAIT_DROPPING:
    case WAIT_ALERT:
        session_end(s, false);
        return;
    case WAIT_LINGER:
        if (stream_backlog(s->stream) != 0 && s->linger_rounds++ < LINGER_ROUNDS_MAX) {
            set_wait(s, WAIT_LINGER, LINGER_MS);
            return;
        }
        session_end(s, false);
        return;
    default:
        /* Idle for too long: ended without a word, as RFC 9112 9.5 has it. */
        codec_end_idle(s->codec);
    }
}

/* ---- the codec's callbacks ---- */

static void on_state(void *user, enum codec_state state)
{
    struct session *s = user;
    const struct snapshot *snapshot = s->front->snapshot;
    switch (state) {
    case CODEC_IDLE:
        wait_idle(s, snapshot->idle_ms);
        break;
    case CODEC_HEAD:
        s->head_began_us = clock_mono_us();
        set_wait(s, WAIT_HEAD, snapshot->head_ms);
        break;
    case CODEC_BUSY:
        note_wait(s, WAIT_BUSY);
        timer_clear(&s->timer);
        break;
    case CODEC_DROPPING:
        set_wait(s, WAIT_DROPPING, snapshot->head_ms);
        break;
    case CODEC_OVER:
        set_wait(s, WAIT_LINGER, LINGER_MS);
        break;
    }
}

static struct codec_request *on_begin(void *user)
{
    struct session *s = user;
    struct exchange *x = exchange_new(s->front, s);
    if (x == NULL)
        return NULL;
    if (s->head_began_us != 0) { /* the record begins with the first byte of the request */
        uint64_t before_us = x->start_us - s->head_began_us;
        x->start_us -= before_us;
        x->record.start_wall_us -= before_us;
        s->head_began_us = 0;
    }
    return &x->request;
}

static void on_head(struct codec_request *request)
{
    struct exchange *x = exchange_of(request);
    x->head_seen = true;
    pipeline_head(x, NULL);
}

static void on_bad(struct codec_request *request, const struct parse_error *error)
{
    struct exchange *x = exchange_of(request);
    if (x->head_seen) {
        pipeline_bad_body(x, error);
        return;
    }
    x->head_seen = true;
    pipeline_head(x, error);
}

static void on_body(struct codec_request *request, struct str piece)
{
    pipeline_body(exchange_of(request), piece);
}

static void on_body_end(struct codec_request *request)
{
    pipeline_body_end(exchange_of(request));
}

static void on_drained(struct codec_request *request)
{
    pipeline_drained(exchange_of(request));
}

static void on_gone(struct codec_request *request, enum stream_end end)
{
    (void)end;
    pipeline_gone(exchange_of(request));
}

static void on_half_closed(struct codec_request *request)
{
    pipeline_half_closed(exchange_of(request));
}

static void on_done(struct codec_request *request)
{
    pipeline_done(exchange_of(request));
}

static void on_over(void *user, enum stream_end end)
{
    session_end(user, end == STREAM_RESET);
}

static const struct codec_user codec_user = {
    .on_begin = on_begin,
    .on_head = on_head,
    .on_bad = on_bad,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_drained = on_drained,
    .on_gone = on_gone,
    .on_half_closed = on_half_closed,
    .on_done = on_done,
    .on_state = on_state,
    .on_over = on_over,
};

/* ---- before there is a codec ---- */

static bool start_codec(struct session *s)
{
    const struct snapshot *snapshot = s->front->snapshot;
    s->codec = h1_server_new(s->stream, &codec_user, s, &s->front->head_limits);
    if (s->codec == NULL) {
        session_end(s, true);
        return false;
    }
    /* The first head may take as long as any; an idle time before it would only be added. */
    wait_idle(s, snapshot->head_ms);
    if (s->front->draining)
        codec_drain(s->codec);
    return true;
}

static void on_open(void *user)
{
    struct session *s = user;
    struct tls_info info;
    session_tls_info(s, &info);
    front_count(&s->front->counters.handshakes, 1);
    front_count(&s->front->counters.handshakes_resumed, info.resumed);
    (void)start_codec(s);
}

static void no_bytes(void *user, struct str bytes)
{
    (void)user;
    (void)bytes;
}

static void on_end(void *user, enum stream_end end)
{
    struct session *s = user;
    front_count(&s->front->counters.handshakes_failed, 1);
    const char *why = end == STREAM_BAD_TLS ? stream_error_text(s->stream)
                                            : "the client closed during the handshake";
    record_connection(s, ACCESS_BY_TLS, STR("handshake"), str_from_z(why));
    if (end == STREAM_BAD_TLS)
        /* Closing now, with bytes unread, would send a RST that overtakes the alert. */
        set_wait(s, WAIT_ALERT, ALERT_LINGER_MS);
    else
        session_end(s, true);
}

static void no_drain(void *user)
{
    (void)user;
}

static const struct stream_user handshake_user = {
    .on_open = on_open,
    .on_bytes = no_bytes,
    .on_end = on_end,
    .on_drained = no_drain,
};

enum tls_chosen serve_choose(const struct session *s, struct str name, struct tls_choice *choice)
{
    const struct listener *listener = s->listener->listener;
    if (listener == NULL)
        return TLS_NOT_AVAILABLE;
    const struct site *site =
        name.len ? listener_site(listener, name) : listener_default_site(listener, name, &s->local);
    if (site == NULL || !site->tls)
        return name.len ? TLS_UNKNOWN_NAME : TLS_NOT_AVAILABLE;
    choice->certs = site->certs;
    choice->cert_count = site->cert_count;
    choice->ticket_id = site->tls_id;
    choice->protocols[0] = STR("http/1.1");
    choice->protocol_count = 1;
    return TLS_CHOSEN;
}

static enum tls_chosen choose(void *user, const struct tls_hello *hello, struct tls_choice *choice)
{
    return serve_choose(user, hello->name, choice);
}

static struct session *session_new(struct front_listener *listener, const struct addr *peer)
{
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->front = listener->front;
    s->listener = listener;
    s->tls = listener->tls;
    s->peer = *peer;
    s->id = ++s->front->next_connection;
    s->start_wall_us = clock_wall_us();
    s->timer.on_fire = on_timer;
    list_add(&s->front->sessions, &s->link);
    front_count(&s->front->counters.accepted, 1);
    front_count(&s->front->counters.sessions, 1);
    return s;
}

bool serve_connection(struct front_listener *listener, int fd, const struct addr *peer)
{
    struct session *s = session_new(listener, peer);
    if (s == NULL) {
        close(fd);
        return false;
    }
    s->stream = tcp_open(s->front->loop, fd, &handshake_user, s);
    if (s->stream == NULL) {
        session_free(s);
        return false;
    }
    stream_addresses(s->stream, &s->local, NULL);
    if (!listener->tls)
        return start_codec(s);
    struct stream *tls = tls_accept(s->stream, s->front->tls, choose, s, &handshake_user, s);
    if (tls == NULL) {
        session_end(s, true);
        return false;
    }
    s->stream = tls;
    set_wait(s, WAIT_HANDSHAKE, s->front->snapshot->handshake_ms);
    return true;
}

void serve_drain(struct session *session)
{
    if (session->codec == NULL)
        return;
    codec_drain(session->codec);
    if (session->wait == WAIT_IDLE)
        wait_idle(session, DRAIN_IDLE_MS);
}

/* Whose timer fires `whole_ms` after the last thing it did. */
static bool is_quiet(const struct session *s, uint64_t whole_ms)
{
    return loop_now_ms(s->front->loop) + whole_ms >= s->timer.at_ms + SERVE_QUIET_MS;
}

static bool may_make_way(const struct session *s)
{
    const struct snapshot *snapshot = s->front->snapshot;
    switch (s->wait) {
    case WAIT_HANDSHAKE:
        return is_quiet(s, snapshot->handshake_ms);
    case WAIT_HEAD:
        return is_quiet(s, snapshot->head_ms);
    case WAIT_IDLE:
        return is_quiet(s, s->requests == 0 ? snapshot->head_ms : snapshot->idle_ms);
    default:
        return false;
    }
}

bool serve_make_way(struct session *s)
{
    bool shakes = s->wait == WAIT_HANDSHAKE;
    if (!may_make_way(s))
        return false;
    if (shakes)
        front_count(&s->front->counters.handshakes_failed, 1);
    if (s->wait != WAIT_IDLE)
        record_connection(s, ACCESS_BY_LIMIT, STR("descriptors"),
                          shakes ? STR("descriptors ran out in a TLS handshake that stood still")
                                 : STR("descriptors ran out in a head that stood still"));
    if (!shakes)
        stream_finish(s->stream);
    session_end(s, shakes);
    return true;
}

void serve_cut(struct session *session)
{
    session_end(session, true);
}
