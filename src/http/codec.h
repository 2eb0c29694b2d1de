/*
 * The interface that carries messages; net/stream.h carries bytes. A server codec turns the bytes
 * of a client connection into requests and answers into bytes; a client codec does the reverse
 * towards an origin. HTTP/1 stands behind it, and room is left for HTTP/2 and 3, where several
 * requests live on one connection: so everything is said about a `codec_request`, never about the
 * connection.
 *
 * Bodies are pieces: what is handed up is gone after the call; what is handed down is taken whole.
 * Who sees a backlog above his bound pauses the other side until on_drained().
 *
 * A tunnel (a WebSocket after its 101) is a body in both directions that ends with the connection:
 * the codecs pass its bytes unchanged.
 */
#ifndef PC_HTTP_CODEC_H
#define PC_HTTP_CODEC_H

#include "http/message.h"
#include "http/parse.h"
#include "net/stream.h"

/* ---- towards clients ---- */

struct codec;

/* Embedded in the exchange; filled by codec_user.on_begin(). */
struct codec_request {
    struct codec *codec;          /* set by the codec */
    struct message *message;      /* the request, message_init()ed, in an arena of the exchange */
    uint64_t bytes_in, bytes_out; /* on the wire above TLS, heads and framing included */
    uint64_t body_in, body_out;   /* of the content alone */
    bool body_whole;              /* the request has been received entirely */
    bool half_closed;             /* on_half_closed() was called */
    bool wants_continue;          /* Expect: 100-continue, and nothing of the body has come */
    struct message *trailers; /* received behind a chunked body; NULL: none. Set by on_body_end */
    const struct message *answer_trailers; /* the user's, to be sent with the last piece, or NULL */
};

enum codec_state {
    CODEC_IDLE,     /* between requests: nothing of the next one has come */
    CODEC_HEAD,     /* in the middle of a head */
    CODEC_BUSY,     /* an exchange is open */
    CODEC_DROPPING, /* the answer is out, and the rest of its request's body is read into nothing */
    CODEC_OVER,     /* nothing more will come of this connection but its end */
};

struct codec_user {
    /* A head has come. NULL when there is no memory for an exchange: the connection ends. */
    struct codec_request *(*on_begin)(void *user);
    void (*on_head)(struct codec_request *request);
    /* The head (before on_head) or body (after it) is malformed, or a limit was passed. The request
     * must be answered or reset; the connection ends after that. */
    void (*on_bad)(struct codec_request *request, const struct parse_error *error);
    void (*on_body)(struct codec_request *request, struct str piece);
    void (*on_body_end)(struct codec_request *request);
    void (*on_drained)(struct codec_request *request);
    /* The client is gone before its answer was complete. Nothing can be sent; on_done() follows
     * when the user calls codec_reset(). */
    void (*on_gone)(struct codec_request *request, enum stream_end end);
    /* The client sends no more, and still takes its answer, as far as one can tell. May be NULL. */
    void (*on_half_closed)(struct codec_request *request);
    /* The codec has forgotten the request: its exchange may go. Once for each on_begin(). */
    void (*on_done)(struct codec_request *request);
    void (*on_state)(void *user, enum codec_state state);
    /* The connection is over in both directions: the user calls codec_end(). */
    void (*on_over)(void *user, enum stream_end end);
};

struct codec_ops {
    /*
     * An answer's head. The codec settles framing and `close` for this client's version; where the
     * caller has set `close`, this answer is the connection's last. A 1xx goes
     * out at once and another head follows; a 101 opens the tunnel. `whole`: no body follows. False
     * when the head must not be written (checked again, whoever made it); nothing went out then.
     */
    bool (*send_head)(struct codec_request *request, struct message *answer, bool whole);
    /* `last`: this is the end of the body. An empty last piece is fine. */
    void (*send_body)(struct codec_request *request, struct str piece, bool last);
    /* The answer can't be completed: the client must see that it was cut. Calls on_done(). */
    void (*reset)(struct codec_request *request);
    void (*pause_body)(struct codec_request *request, bool paused);
    size_t (*backlog)(const struct codec_request *request);
    /* The next answer is the last and says so. Nothing ends now: a client that was told nothing may
     * be sending its next request, and must not repeat it of itself if it is a POST (RFC
     * 9112 9.3.1). */
    void (*drain)(struct codec *codec);
    /* Ends the connection if it is idle. */
    void (*end_idle)(struct codec *codec);
    /* Frees the codec and closes its stream. Open requests get their on_done(). */
    void (*end)(struct codec *codec, bool reset);
};

struct codec {
    const struct codec_ops *ops;
    const struct codec_user *user;
    void *user_data;
    struct stream *stream;
};

static inline bool codec_send_head(struct codec_request *r, struct message *answer, bool whole)
{
    return r->codec->ops->send_head(r, answer, whole);
}
static inline void codec_send_body(struct codec_request *r, struct str piece, bool last)
{
    r->codec->ops->send_body(r, piece, last);
}
static inline void codec_reset(struct codec_request *r)
{
    r->codec->ops->reset(r);
}
static inline void codec_pause_body(struct codec_request *r, bool paused)
{
    r->codec->ops->pause_body(r, paused);
}
static inline size_t codec_backlog(const struct codec_request *r)
{
    return r->codec->ops->backlog(r);
}
static inline void codec_drain(struct codec *c)
{
    c->ops->drain(c);
}
static inline void codec_end_idle(struct codec *c)
{
    c->ops->end_idle(c);
}
static inline void codec_end(struct codec *c, bool reset)
{
    c->ops->end(c, reset);
}

/* ---- towards origins ---- */

struct client_codec;

enum client_failure {
    CLIENT_CLOSED, /* the connection ended before a byte of the answer: stale, or refused work */
    CLIENT_RESET,  /* it broke, or ended, in the middle of the answer */
    CLIENT_BAD,    /* the answer is malformed: `why` says how */
};

/* Embedded in whoever asks. */
struct client_request {
    const struct client_user *user;
    struct message *answer;     /* message_init()ed by the user; a 1xx is replaced by the next */
    enum method method;         /* of the request */
    struct client_codec *codec; /* set by the codec */
    bool request_sent;          /* head and body went out entirely */
    bool answered;              /* a byte of the answer has come */
    bool reusable;              /* valid with the last piece, and in on_end() */
    const char *why;            /* of a failure */
    uint64_t bytes_in;          /* of the answer, on the wire */
    struct message *trailers;   /* received with the last piece; NULL: none */
    const struct message
        *request_trailers; /* the user's, to be sent with the last piece, or NULL */
};

struct client_user {
    void (*on_informational)(struct client_request *request); /* a 1xx but 101 in `answer` */
    void (*on_head)(struct client_request *request);
    /* `last`: the answer is whole; no callback follows. */
    void (*on_body)(struct client_request *request, struct str piece, bool last);
    /* An answer without body is whole: right after on_head(), and instead of a last piece. */
    void (*on_end)(struct client_request *request);
    void (*on_failed)(struct client_request *request, enum client_failure failure);
    void (*on_drained)(struct client_request *request);
};

struct client_codec_ops {
    /* False when it must not be written; nothing went out. `whole`: no body follows. */
    bool (*send_head)(struct client_request *request, const struct message *head, struct str target,
                      bool whole);
    void (*send_body)(struct client_request *request, struct str piece, bool last);
    void (*pause_answer)(struct client_request *request, bool paused);
    size_t (*backlog)(const struct client_request *request);
    /* Forgets the request without a callback; the connection is the user's to give or discard. */
    void (*end)(struct client_codec *codec);
};

struct client_codec {
    const struct client_codec_ops *ops;
    struct client_request *request;
    struct stream *stream;
};

static inline bool client_send_head(struct client_request *r, const struct message *head,
                                    struct str target, bool whole)
{
    return r->codec->ops->send_head(r, head, target, whole);
}
static inline void client_send_body(struct client_request *r, struct str piece, bool last)
{
    r->codec->ops->send_body(r, piece, last);
}
static inline void client_pause_answer(struct client_request *r, bool paused)
{
    r->codec->ops->pause_answer(r, paused);
}
static inline size_t client_backlog(const struct client_request *r)
{
    return r->codec->ops->backlog(r);
}
static inline void client_end(struct client_codec *c)
{
    c->ops->end(c);
}

#endif
