#include "tls/tls_engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORD_HEADER = 5, /* type, version, length: RFC 8446 5.1 */
    RECORD_ALERT = 21,
    RECORD_BYTES_MAX = 16640, /* 2^14 + 256: RFC 8446 5.2 */
    PLAIN_BYTES_MAX = 16384,  /* of one record */
    HELD_STEP = 512,
};

/* ---- records in ---- */

static bool looks_like_record(struct str bytes)
{
    return bytes.at[0] >= 20 && bytes.at[0] <= 24 && bytes.at[1] == 3;
}

/*
 * How many bytes of the record at the front GnuTLS is to see; 0 while its header is incomplete. Of
 * what is no record, or too long, only the header: GnuTLS refuses that at once.
 */
static size_t record_size(struct str bytes)
{
    if (bytes.len < RECORD_HEADER)
        return 0;
    size_t len = (size_t)(uint8_t)bytes.at[3] << 8 | (uint8_t)bytes.at[4];
    if (!looks_like_record(bytes) || len > RECORD_BYTES_MAX)
        return RECORD_HEADER;
    return RECORD_HEADER + len;
}

static bool record_ready(struct tls_stream *tls)
{
    if (tls->window.len == 0 && tls->after.len != 0) {
        tls->window = tls->after;
        tls->after = (struct str){0};
    }
    size_t size = record_size(tls->window);
    return tls->granted > 0 || (size > 0 && size <= tls->window.len);
}

/* Ciphertext at hand that GnuTLS has not been given. */
static size_t at_hand(const struct tls_stream *tls)
{
    return tls->window.len + tls->after.len;
}

/* Bytes that the record in `held` still lacks: of its header first, then of all. */
static size_t held_lacks(const struct tls_stream *tls)
{
    struct str held = str_from(tls->held, tls->held_len);
    size_t size = held.len < RECORD_HEADER ? RECORD_HEADER : record_size(held);
    return size > held.len ? size - held.len : 0;
}

static ssize_t pull(gnutls_transport_ptr_t user, void *into, size_t len)
{
    struct tls_stream *tls = user;
    if (!record_ready(tls)) {
        gnutls_transport_set_errno(tls->session, EAGAIN);
        return -1;
    }
    if (tls->granted == 0) {
        tls->granted = (uint32_t)record_size(tls->window);
        tls->handshake_bytes += tls->granted;
        if (tls->window.at[0] == RECORD_ALERT && tls->granted == RECORD_HEADER + 2)
            tls->clear_alert = (uint16_t)(1 + (uint8_t)tls->window.at[RECORD_HEADER + 1]);
        if (tls->handshake_bytes > TLS_HANDSHAKE_BYTES_MAX) {
            tls->too_much = true;
            gnutls_transport_set_errno(tls->session, ECONNABORTED);
            return -1;
        }
    }
    size_t count = len < tls->granted ? len : tls->granted;
    memcpy(into, tls->window.at, count);
    tls->window = str_skip(tls->window, count);
    tls->granted -= (uint32_t)count;
    return (ssize_t)count;
}

static int pull_timeout(gnutls_transport_ptr_t user, unsigned ms)
{
    (void)ms;
    return record_ready(user) ? 1 : 0;
}

/* ---- records out ---- */

void tls_engine_flush(struct tls_stream *tls)
{
    if (tls->out == NULL)
        return;
    if (tls->out->len > 0 && !tls->closed)
        stream_send_str(tls->lower, str_from(tls->out->bytes, tls->out->len));
    tls->out->len = 0;
}

/* Takes all, always: after a refusal GnuTLS would finish the old record and ignore the next call.
 */
static ssize_t push(gnutls_transport_ptr_t user, const giovec_t *iov, int count)
{
    struct tls_stream *tls = user;
    size_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += iov[i].iov_len;
    if (tls->out == NULL)
        return (ssize_t)sum; /* the session is being freed */
    if (sum > TLS_OUT_BYTES - tls->out->len)
        tls_engine_flush(tls);
    if (sum > TLS_OUT_BYTES) {
        gnutls_transport_set_errno(tls->session, EMSGSIZE);
        return -1;
    }
    for (int i = 0; i < count; i++) {
        memcpy(tls->out->bytes + tls->out->len, iov[i].iov_base, iov[i].iov_len);
        tls->out->len += iov[i].iov_len;
    }
    return (ssize_t)sum;
}

bool tls_engine_begin(struct tls_stream *tls, struct tls_out *out)
{
    if (tls->out != NULL)
        return false;
    out->len = 0;
    tls->out = out;
    return true;
}

void tls_engine_leave(struct tls_stream *tls, bool outermost)
{
    if (!outermost)
        return;
    tls_engine_flush(tls);
    tls->out = NULL;
}

/* ---- the end ---- */

void tls_engine_end_setup(struct tls_stream *tls)
{
    if (tls->setup != NULL)
        tls->role->end_setup(tls);
    tls->setup = NULL;
}

static void forget_held(struct tls_stream *tls)
{
    free(tls->held);
    tls->held = NULL;
    tls->held_len = tls->held_cap = 0;
}

static void tell_end(struct tls_stream *tls, enum stream_end end)
{
    if (tls->ended)
        return;
    tls->ended = true;
    tls->window = tls->after = (struct str){0};
    forget_held(tls);
    tls_engine_end_setup(tls);
    if (!tls->closed && tls->stream.user->on_end != NULL)
        tls->stream.user->on_end(tls->stream.user_data, end);
}

static const char *alert_name(const struct tls_stream *tls)
{
    gnutls_alert_description_t alert = tls->clear_alert != 0
                                           ? (gnutls_alert_description_t)(tls->clear_alert - 1)
                                           : gnutls_alert_get(tls->session);
    const char *name = gnutls_alert_get_name(alert);
    return name == NULL ? "unknown" : name;
}

static char *general_sentence(const struct tls_stream *tls, int code)
{
    char *text = NULL;
    int len = 0;
    if (tls->too_much)
        len = asprintf(&text, "more than %d KiB of handshake messages",
                       TLS_HANDSHAKE_BYTES_MAX / 1024);
    else if (code == GNUTLS_E_FATAL_ALERT_RECEIVED || (!tls->open && tls->clear_alert != 0))
        len = asprintf(&text, "%s sent the alert: %s", tls->role->peer, alert_name(tls));
    else
        len = asprintf(&text, "%s: %s", tls->open ? "record" : "handshake", gnutls_strerror(code));
    return len < 0 ? NULL : text;
}

void tls_engine_fail(struct tls_stream *tls, int code, const char *sentence)
{
    if (tls->ended || tls->closed)
        return;
    tls->error_is = sentence;
    if (sentence == NULL) {
        tls->error_is = "TLS failed";
        tls->error = tls->too_much ? NULL : tls->role->explain(tls, code);
        if (tls->error == NULL)
            tls->error = general_sentence(tls, code);
    }
    struct tls_out out;
    bool mine = tls_engine_begin(tls, &out);
    if (code < 0 && code != GNUTLS_E_FATAL_ALERT_RECEIVED)
        (void)gnutls_alert_send_appropriate(tls->session, code);
    tls_engine_flush(tls);
    tls_engine_leave(tls, mine);
    stream_finish(tls->lower);
    tell_end(tls, STREAM_BAD_TLS);
}

static void free_all(struct tls_stream *tls)
{
    tls_engine_end_setup(tls);
    forget_held(tls);
    gnutls_deinit(tls->session);
    free(tls->name);
    free(tls->error);
    free(tls);
}

/* ---- reading ---- */

static bool hold(struct tls_stream *tls, struct str bytes)
{
    size_t need = tls->held_len + bytes.len;
    if (bytes.len == 0)
        return true;
    if (need > tls->held_cap) {
        size_t cap = tls->held_cap * 2 > HELD_STEP ? tls->held_cap * 2 : HELD_STEP;
        size_t record = record_size(str_from(tls->held, tls->held_len));
        if (record >= need && cap > record)
            cap = record; /* it will hold this record and no more */
        if (cap < need)
            cap = need;
        char *grown = cap > UINT32_MAX ? NULL : realloc(tls->held, cap);
        if (grown == NULL) {
            tls_engine_fail(tls, GNUTLS_E_MEMORY_ERROR, "out of memory");
            return false;
        }
        tls->held = grown;
        tls->held_cap = (uint32_t)cap;
    }
    memcpy(tls->held + tls->held_len, bytes.at, bytes.len);
    tls->held_len = (uint32_t)need;
    return true;
}

/* True when the handshake is done and data may follow in the same bytes. */
static bool shake(struct tls_stream *tls)
{
    for (;;) {
        size_t before = at_hand(tls);
        int code = gnutls_handshake(tls->session);
        if (code == GNUTLS_E_SUCCESS)
            break;
        if (gnutls_error_is_fatal(code)) {
            tls_engine_fail(tls, code, NULL);
            return false;
        }
        /* "Again" comes after each record that was not enough, whether or not another is there. */
        if (!record_ready(tls) || at_hand(tls) == before)
            return false;
    }
    tls->open = true;
    tls->handshake_bytes = 0;
    tls->role->on_done(tls);
    if (tls->stream.user->on_open != NULL)
        tls->stream.user->on_open(tls->stream.user_data);
    return true;
}

enum { COLLECT_AGAIN = 1 /* room or records ran out: see record_ready() */ };

/* Plain bytes of as many records as are there and fit. 0: close_notify; below 0: a code of GnuTLS.
 */
static int collect(struct tls_stream *tls, char *plain, size_t *len)
{
    size_t most = tls->expects_much ? STREAM_READ_EXPECTED_MAX : STREAM_READ_MAX;
    while (most - *len >= PLAIN_BYTES_MAX) {
        size_t before = at_hand(tls);
        ssize_t got = gnutls_record_recv(tls->session, plain + *len, PLAIN_BYTES_MAX);
        if (got > 0) {
            *len += (size_t)got;
            tls->handshake_bytes = 0;
        } else if (got == 0 || gnutls_error_is_fatal((int)got) || got == GNUTLS_E_REHANDSHAKE) {
            return (int)got;
        } else if (!record_ready(tls) || at_hand(tls) == before) {
            return COLLECT_AGAIN;
        }
        if (!record_ready(tls) && gnutls_record_check_pending(tls->session) == 0)
            return COLLECT_AGAIN;
    }
    return COLLECT_AGAIN;
}

/* Renegotiation (RFC 5746 4.5): a fatal refusal, since the client would wait for an answer. */
static void refuse_renegotiation(struct tls_stream *tls)
{
    (void)gnutls_alert_send(tls->session, GNUTLS_AL_FATAL, GNUTLS_A_NO_RENEGOTIATION);
    tls_engine_fail(tls, 0, "the peer asked for renegotiation");
}

static void read_data(struct tls_stream *tls)
{
    char plain[STREAM_READ_EXPECTED_MAX];
    while (!tls->paused && !tls->ended && !tls->closed && !tls->read_closed && record_ready(tls)) {
        size_t len = 0;
        int code = collect(tls, plain, &len);
        if (len > 0) {
            if (tls->role->on_read != NULL)
                tls->role->on_read(tls);
            tls->stream.user->on_bytes(tls->stream.user_data, str_from(plain, len));
        }
        if (tls->closed || tls->ended)
            return;
        if (code == GNUTLS_E_REHANDSHAKE)
            refuse_renegotiation(tls);
        else if (code < 0)
            tls_engine_fail(tls, code, NULL);
        else if (code == 0)
            tls->read_closed = true; /* told by settle(), once nothing is paused */
        else if (len == 0)
            return;
    }
}

static bool must_wait(struct tls_stream *tls)
{
    return !tls->open && tls->role->may_go_on != NULL && record_ready(tls) &&
           !tls->role->may_go_on(tls);
}

/* Gives what is in the window to GnuTLS; what is left of it is no whole record, or must wait. */
static void run(struct tls_stream *tls)
{
    struct tls_out out;
    if (must_wait(tls)) {
        stream_pause(tls->lower, true); /* no more than it has sent already */
        return;
    }
    bool mine = tls_engine_begin(tls, &out);
    if (tls->open || shake(tls))
        read_data(tls);
    tls_engine_leave(tls, mine);
}

/* What is left of both waits in `held`. */
static void run_over(struct tls_stream *tls, struct str bytes, struct str after)
{
    tls->window = bytes;
    tls->after = after;
    run(tls);
    struct str rest = tls->window, rest_after = tls->after;
    tls->window = tls->after = (struct str){0};
    if (!tls->closed && !tls->ended && !tls->read_closed && hold(tls, rest))
        (void)hold(tls, rest_after);
}

/* With what follows, so that the user gets both at once. */
static void run_held(struct tls_stream *tls, struct str after)
{
    char *bytes = tls->held;
    size_t len = tls->held_len;
    tls->held = NULL;
    tls->held_len = tls->held_cap = 0;
    run_over(tls, str_from(bytes, len), after);
    free(bytes);
}

/* Ends that can be told now: nothing is paused, and what came before them was delivered. */
static void settle(struct tls_stream *tls)
{
    if (tls->ended || tls->closed || tls->paused || tls->queued)
        return;
    if (tls->read_closed)
        tell_end(tls, STREAM_FINISHED);
    else if (tls->lower_end != 0 && !tls->open)
        tls_engine_fail(tls, 0, "the peer closed the connection during the handshake");
    else if (tls->lower_end != 0)
        tell_end(tls, STREAM_TRUNCATED);
}

static void feed(struct tls_stream *tls, struct str bytes)
{
    if (!tls->started) {
        tls->started = true;
        if (tls->role->on_first != NULL && !tls->role->on_first(tls, bytes))
            return;
    }
    if (tls->paused || tls->queued) {
        (void)hold(tls, bytes);
        return;
    }
    if (tls->held_len == 0) {
        run_over(tls, bytes, (struct str){0});
        return;
    }
    /* The record in `held` is made whole, and no more than that is copied: first of its header. */
    while (held_lacks(tls) > 0 && !str_empty(bytes)) {
        struct str part = str_sub(bytes, 0, held_lacks(tls));
        bytes = str_skip(bytes, part.len);
        if (!hold(tls, part))
            return;
    }
    if (held_lacks(tls) > 0)
        return;
    bool more_held = record_size(str_from(tls->held, tls->held_len)) < tls->held_len;
    if (!more_held)
        run_held(tls, bytes);
    else if (hold(tls, bytes))
        run_held(tls, (struct str){0});
}

void tls_engine_go_on(struct tls_stream *tls)
{
    if (tls->ended || tls->closed)
        return;
    stream_pause(tls->lower, tls->paused);
    if (tls->held_len > 0)
        run_held(tls, (struct str){0});
    settle(tls);
}

/* ---- the stream below ---- */

/* The client's first flight. */
static void lower_opened(void *user)
{
    struct tls_stream *tls = user;
    if (!tls->ended && !tls->closed && !tls->open)
        run(tls);
}

static void lower_bytes(void *user, struct str bytes)
{
    struct tls_stream *tls = user;
    if (tls->ended || tls->closed || tls->read_closed)
        return;
    feed(tls, bytes);
    settle(tls);
}

static void lower_ended(void *user, enum stream_end end)
{
    struct tls_stream *tls = user;
    if (tls->closed)
        return;
    if (tls->ended) { /* by close_notify, behind which we might still send */
        if (tls->read_closed && end == STREAM_RESET && tls->stream.user->on_end != NULL)
            tls->stream.user->on_end(tls->stream.user_data, end);
        return;
    }
    if (end == STREAM_FINISHED || end == STREAM_TRUNCATED) {
        tls->lower_end = (uint8_t)(end + 1);
        settle(tls);
        return;
    }
    if (!tls->open && end == STREAM_RESET)
        tls->error_is = "the peer reset the connection during the handshake";
    tell_end(tls, end);
}

static void lower_drained(void *user)
{
    struct tls_stream *tls = user;
    if (tls->open && (!tls->ended || tls->read_closed) && tls->stream.user->on_drained != NULL)
        tls->stream.user->on_drained(tls->stream.user_data);
}

static const struct stream_user lower_user = {
    .on_open = lower_opened,
    .on_bytes = lower_bytes,
    .on_end = lower_ended,
    .on_drained = lower_drained,
};

/* ---- the task ---- */

static void run_task(struct loop_task *task)
{
    struct tls_stream *tls = LIST_OF(task, struct tls_stream, task);
    tls->queued = false;
    if (tls->closed) {
        free_all(tls);
        return;
    }
    if (tls->doomed && !tls->ended) {
        tell_end(tls, STREAM_RESET);
        return;
    }
    if (!tls->paused && !tls->ended && !tls->read_closed && tls->held_len > 0)
        run_held(tls, (struct str){0});
    settle(tls);
}

void tls_engine_queue(struct tls_stream *tls)
{
    if (tls->queued)
        return;
    tls->queued = true;
    loop_defer(stream_loop(tls->lower), &tls->task);
}

void tls_engine_doom(struct tls_stream *tls, const char *sentence)
{
    tls->error_is = sentence;
    tls->doomed = true;
    tls_engine_queue(tls);
}

void tls_engine_end(struct tls_stream *tls)
{
    tls_engine_queue(tls);
    tls->closed = true;
    tls->window = tls->after = (struct str){0};
    forget_held(tls);
}

/* ---- the beginning ---- */

struct tls_stream *tls_engine_new(const struct tls_role *role, unsigned flags,
                                  gnutls_priority_t priority)
{
    struct tls_stream *tls = calloc(1, sizeof(*tls));
    if (tls == NULL)
        return NULL;
    tls->role = role;
    tls->task.run = run_task;
    tls->stream.ops = &tls_stream_ops;
    if (gnutls_init(&tls->session, flags | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
        free(tls);
        return NULL;
    }
    if (gnutls_priority_set(tls->session, priority) < 0) {
        free_all(tls);
        return NULL;
    }
    gnutls_handshake_set_timeout(tls->session, 0); /* our own timers watch */
    gnutls_transport_set_ptr(tls->session, tls);
    gnutls_transport_set_pull_function(tls->session, pull);
    gnutls_transport_set_pull_timeout_function(tls->session, pull_timeout);
    gnutls_transport_set_vec_push_function(tls->session, push);
    gnutls_session_set_ptr(tls->session, tls);
    return tls;
}

struct stream *tls_engine_wrap(struct tls_stream *tls, struct stream *lower,
                               const struct stream_user *user, void *user_data)
{
    tls->lower = lower;
    stream_set_user(lower, &lower_user, tls);
    stream_set_user(&tls->stream, user, user_data);
    return &tls->stream;
}

void tls_engine_drop(struct tls_stream *tls)
{
    free_all(tls);
}
