/*
 * A stream of bytes in both directions: plain TCP, TLS over another stream, later a QUIC stream.
 * One of the two interfaces that carry the traffic (the other is http/codec.h).
 *
 * Reading is pushed: the stream hands every read to on_bytes(), and the user takes all of it
 * (at most STREAM_READ_MAX bytes; they are gone after the call). A user who cannot go on calls
 * stream_pause(); what was already read is still delivered, so a user may get up to STREAM_READ_MAX
 * bytes more after pausing. Writing takes all it is given: what the socket does not take waits in
 * the stream's backlog. A user who sees stream_backlog() above his bound pauses his source until
 * on_drained().
 *
 * Lifetimes: the stream belongs to its user, who ends it with stream_close(), from any callback; no
 * callback comes after that, and the memory goes at the end of the loop's turn.
 */
#ifndef PC_NET_STREAM_H
#define PC_NET_STREAM_H

#include "base/str.h"

#include <sys/uio.h>

struct addr;
struct loop;
struct stream;

/* The most that one on_bytes() delivers, */
#define STREAM_READ_MAX ((size_t)64 * 1024)
/* and the most to a user who expects so much: see stream_expect(). */
#define STREAM_READ_EXPECTED_MAX ((size_t)256 * 1024)

enum stream_end {
    STREAM_FINISHED,  /* the peer will send no more, properly (FIN, close_notify); we still may */
    STREAM_TRUNCATED, /* TLS ended without close_notify: what came may be cut */
    STREAM_RESET,     /* connection reset, or writing failed: nothing goes in either direction */
    STREAM_REFUSED,   /* connecting failed; errno in stream_error() */
    STREAM_BAD_TLS,   /* handshake or record failed; text in stream_error_text() */
};

/* Handed down by the user. on_open may be NULL for streams that are open from the start. */
struct stream_user {
    void (*on_open)(void *user);                    /* connected, handshake done */
    void (*on_bytes)(void *user, struct str bytes); /* take all */
    /* No on_bytes after it. Once, but that RESET may follow FINISHED: what we still send is lost.
     */
    void (*on_end)(void *user, enum stream_end end);
    void (*on_drained)(void *user); /* the backlog, not empty before, is empty now */
};

struct stream_ops {
    /* Takes all; the stream's memory bound is the caller's duty. After an end it does nothing. */
    void (*send)(struct stream *stream, const struct iovec *iov, int count);
    size_t (*backlog)(const struct stream *stream);
    /* Bytes that the system has taken from us and the peer has not acknowledged yet. */
    size_t (*under_way)(const struct stream *stream);
    void (*pause)(struct stream *stream, bool paused);
    void (*expect)(struct stream *stream, bool much);
    void (*first)(struct stream *stream, bool first);
    /* No more will be sent: FIN or close_notify after the backlog. Reading goes on. */
    void (*finish)(struct stream *stream);
    /* The end: the backlog is given up; with `reset` the peer gets a RST. */
    void (*close)(struct stream *stream, bool reset);
    struct loop *(*loop)(const struct stream *stream);
    /* True when nothing is known against sending a request now (peeks at a pooled connection). */
    bool (*healthy)(struct stream *stream);
    /* True when what was sent has had no acknowledgement for `ms` and was sent again in vain: the
     * peer's machine is gone. A peer that is merely slow is never stranded. */
    bool (*stranded)(const struct stream *stream, uint32_t ms);
    int (*error)(const struct stream *stream); /* errno of RESET and REFUSED */
    const char *(*error_text)(const struct stream *stream);
    void (*addresses)(const struct stream *stream, struct addr *local, struct addr *peer);
};

struct stream {
    const struct stream_ops *ops;
    const struct stream_user *user;
    void *user_data;
};

static inline void stream_send(struct stream *s, const struct iovec *iov, int count)
{
    s->ops->send(s, iov, count);
}
static inline void stream_send_str(struct stream *s, struct str bytes)
{
    /* @UNSAFE: an iovec has no const, send() only reads */
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes.at, .iov_len = bytes.len};
    s->ops->send(s, &iov, 1);
}
static inline size_t stream_backlog(const struct stream *s)
{
    return s->ops->backlog(s);
}
static inline void stream_pause(struct stream *s, bool paused)
{
    s->ops->pause(s, paused);
}
/* More than STREAM_READ_EXPECTED_MAX of one body is still to come: reads may be so large, which
 * saves a tenth of the work of an upload. No matter where it is not known; NULL in ops: nothing
 * changes. */
static inline void stream_expect(struct stream *s, bool much)
{
    if (s->ops->expect != NULL)
        s->ops->expect(s, much);
}
/* What comes on it is told before what else comes in the same turn: for a stream that waits to be
 * used. NULL in ops: nothing changes. */
static inline void stream_first(struct stream *s, bool first)
{
    if (s->ops->first != NULL)
        s->ops->first(s, first);
}
static inline void stream_finish(struct stream *s)
{
    s->ops->finish(s);
}
static inline void stream_close(struct stream *s)
{
    s->ops->close(s, false);
}
static inline void stream_reset(struct stream *s)
{
    s->ops->close(s, true);
}
static inline struct loop *stream_loop(const struct stream *s)
{
    return s->ops->loop(s);
}
static inline size_t stream_under_way(const struct stream *s)
{
    return s->ops->under_way(s);
}
static inline bool stream_healthy(struct stream *s)
{
    return s->ops->healthy(s);
}
static inline bool stream_stranded(const struct stream *s, uint32_t ms)
{
    return s->ops->stranded(s, ms);
}
static inline int stream_error(const struct stream *s)
{
    return s->ops->error(s);
}
static inline const char *stream_error_text(const struct stream *s)
{
    return s->ops->error_text(s);
}
static inline void stream_addresses(const struct stream *s, struct addr *local, struct addr *peer)
{
    s->ops->addresses(s, local, peer);
}
/* Hands the stream to another user, between callbacks. */
static inline void stream_set_user(struct stream *s, const struct stream_user *user, void *data)
{
    s->user = user;
    s->user_data = data;
}

#endif
