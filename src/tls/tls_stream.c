#include "tls/tls_stream.h"

#include "tls/tls_engine.h"

#include <string.h>

enum { PLAIN_BYTES_MAX = 16384 /* of one record: RFC 8446 5.1 */ };

/* @UNSAFE: the stream is the first member; only streams of these ops come here */
static struct tls_stream *tls_of(const struct stream *stream)
{
    return (struct tls_stream *)(uintptr_t)stream;
}

/* One ticket (RFC 8446 4.6.1), in front of the first data so that it costs no send of its own. */
static void send_ticket(struct tls_stream *tls)
{
    if (!tls->ticket_due)
        return;
    tls->ticket_due = false;
    (void)gnutls_session_ticket_send(tls->session, 1, 0);
}

static bool send_record(struct tls_stream *tls, const char *bytes, size_t len)
{
    if (++tls->records_sent == TLS_RECORDS_PER_KEY) {
        tls->records_sent = 0;
        if (gnutls_protocol_get_version(tls->session) == GNUTLS_TLS1_3)
            (void)gnutls_session_key_update(tls->session, 0);
    }
    ssize_t sent = gnutls_record_send(tls->session, bytes, len);
    if (sent == (ssize_t)len)
        return true;
    tls_engine_doom(tls, sent < 0 ? gnutls_strerror((int)sent) : "a record was cut");
    return false;
}

/*
 * Small pieces are joined into one record; a piece that fills records by itself is not copied.
 */
static void send_pieces(struct tls_stream *tls, const struct iovec *iov, int count)
{
    char joined[PLAIN_BYTES_MAX];
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        const char *at = iov[i].iov_base;
        size_t left = iov[i].iov_len;
        while (left > 0) {
            size_t part = left < PLAIN_BYTES_MAX - len ? left : PLAIN_BYTES_MAX - len;
            bool whole = len == 0 && (part == PLAIN_BYTES_MAX || i == count - 1);
            if (whole) {
                if (!send_record(tls, at, part))
                    return;
            } else {
                memcpy(joined + len, at, part);
                len += part;
            }
            at += part;
            left -= part;
            if (len == PLAIN_BYTES_MAX) {
                if (!send_record(tls, joined, len))
                    return;
                len = 0;
            }
        }
    }
    if (len > 0)
        (void)send_record(tls, joined, len);
}

static bool can_send(const struct tls_stream *tls)
{
    return tls->open && !tls->finished && !tls->closed && !tls->doomed &&
           (!tls->ended || tls->read_closed);
}

static void op_send(struct stream *stream, const struct iovec *iov, int count)
{
    struct tls_stream *tls = tls_of(stream);
    if (!can_send(tls))
        return;
    struct tls_out out;
    bool mine = tls_engine_begin(tls, &out);
    send_ticket(tls);
    send_pieces(tls, iov, count);
    tls_engine_leave(tls, mine);
}

/* Records that are still being gathered (at most TLS_OUT_BYTES) do not count: they leave before the
 * loop goes on, perhaps at once and whole, and then no on_drained() would follow. */
static size_t op_backlog(const struct stream *stream)
{
    return stream_backlog(tls_of(stream)->lower);
}

static void op_pause(struct stream *stream, bool paused)
{
    struct tls_stream *tls = tls_of(stream);
    if (tls->closed || tls->paused == paused)
        return;
    tls->paused = paused;
    stream_pause(tls->lower, paused);
    if (!paused && (tls->held_len > 0 || tls->lower_end != 0 || tls->read_closed))
        tls_engine_queue(tls);
}

static void op_expect(struct stream *stream, bool much)
{
    struct tls_stream *tls = tls_of(stream);
    tls->expects_much = much;
    if (!tls->closed)
        stream_expect(tls->lower, much);
}

static void op_finish(struct stream *stream)
{
    struct tls_stream *tls = tls_of(stream);
    if (tls->finished || tls->closed)
        return;
    struct tls_out out;
    bool mine = tls_engine_begin(tls, &out);
    if (can_send(tls)) {
        send_ticket(tls);
        (void)gnutls_bye(tls->session, GNUTLS_SHUT_WR);
    }
    tls->finished = true;
    tls_engine_flush(tls);
    tls_engine_leave(tls, mine);
    stream_finish(tls->lower);
}

static void op_close(struct stream *stream, bool reset)
{
    struct tls_stream *tls = tls_of(stream);
    if (tls->closed)
        return;
    if (!reset)
        tls_engine_flush(tls);
    tls_engine_end(tls);
    if (reset)
        stream_reset(tls->lower);
    else
        stream_close(tls->lower);
}

static struct loop *op_loop(const struct stream *stream)
{
    return stream_loop(tls_of(stream)->lower);
}

static void op_first(struct stream *stream, bool first)
{
    stream_first(tls_of(stream)->lower, first);
}

static size_t op_under_way(const struct stream *stream)
{
    return stream_under_way(tls_of(stream)->lower);
}

static bool op_healthy(struct stream *stream)
{
    struct tls_stream *tls = tls_of(stream);
    return tls->open && !tls->ended && !tls->read_closed && !tls->doomed && tls->lower_end == 0 &&
           stream_healthy(tls->lower);
}

static bool op_stranded(const struct stream *stream, uint32_t ms)
{
    return stream_stranded(tls_of(stream)->lower, ms);
}

static int op_error(const struct stream *stream)
{
    return stream_error(tls_of(stream)->lower);
}

static const char *op_error_text(const struct stream *stream)
{
    const struct tls_stream *tls = tls_of(stream);
    if (tls->error != NULL)
        return tls->error;
    return tls->error_is != NULL ? tls->error_is : stream_error_text(tls->lower);
}

static void op_addresses(const struct stream *stream, struct addr *local, struct addr *peer)
{
    stream_addresses(tls_of(stream)->lower, local, peer);
}

const struct stream_ops tls_stream_ops = {
    .send = op_send,
    .backlog = op_backlog,
    .under_way = op_under_way,
    .pause = op_pause,
    .expect = op_expect,
    .first = op_first,
    .finish = op_finish,
    .close = op_close,
    .loop = op_loop,
    .healthy = op_healthy,
    .stranded = op_stranded,
    .error = op_error,
    .error_text = op_error_text,
    .addresses = op_addresses,
};

struct str tls_stream_name(const struct stream *stream)
{
    return str_from_z(tls_of(stream)->name);
}

void tls_stream_info(const struct stream *stream, struct tls_info *info)
{
    const struct tls_stream *tls = tls_of(stream);
    *info =
        (struct tls_info){.version = "", .cipher = "", .group = "", .name = str_from_z(tls->name)};
    if (!tls->open)
        return;
    info->version = gnutls_protocol_get_version(tls->session) == GNUTLS_TLS1_3 ? "1.3" : "1.2";
    const char *cipher = gnutls_ciphersuite_get(tls->session);
    info->cipher = cipher == NULL ? "" : cipher;
    const char *group = gnutls_group_get_name(gnutls_group_get(tls->session));
    info->group = group == NULL ? "" : group;
    gnutls_datum_t alpn;
    if (gnutls_alpn_get_selected_protocol(tls->session, &alpn) == 0)
        info->alpn = str_from(alpn.data, alpn.size);
    info->resumed = gnutls_session_is_resumed(tls->session) != 0;
}
