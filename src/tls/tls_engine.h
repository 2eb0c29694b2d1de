/*
 * The inside of a TLS stream, shared by its two roles (tls_accept.c, tls_connect.c) and its face
 * (tls_stream.c): ciphertext in, records out, the session of GnuTLS between them. Not for others.
 *
 * GnuTLS is given whole records only: for a partial one it would keep 17 to 79 KB. What is partial,
 * or arrives while the user has paused, waits in `held`.
 */
#ifndef PC_TLS_TLS_ENGINE_H
#define PC_TLS_TLS_ENGINE_H

#include "net/loop.h"
#include "net/stream.h"

#include <gnutls/gnutls.h>

struct tls_stream;

/* What differs between server and client. */
struct tls_role {
    /* The first bytes: false when they were answered otherwise, and the stream has failed. NULL:
     * any. */
    bool (*on_first)(struct tls_stream *tls, struct str bytes);
    /* A record has come: may the handshake go on in this turn? If not, tls_engine_go_on() later.
     * NULL: always. */
    bool (*may_go_on)(struct tls_stream *tls);
    /* The handshake is done; the place to call tls_engine_end_setup(). */
    void (*on_done)(struct tls_stream *tls);
    /* Data was read; NULL: no matter. */
    void (*on_read)(struct tls_stream *tls);
    /* A sentence for a code of GnuTLS, or NULL: the general one. */
    char *(*explain)(struct tls_stream *tls, int code);
    /* Frees tls->setup; see tls_engine_end_setup(). */
    void (*end_setup)(struct tls_stream *tls);
    const char *peer; /* "client", "origin" */
};

/* Records of one call, on the stack of the outermost function that may produce some. */
enum { TLS_OUT_BYTES = 68 * 1024 }; /* four records of 16 KiB with their headers and tags */
struct tls_out {
    size_t len;
    char bytes[TLS_OUT_BYTES];
};

struct tls_stream {
    struct stream stream; /* first: the face */
    struct stream *lower;
    gnutls_session_t session;
    const struct tls_role *role;
    void *setup;
    struct tls_out *out; /* during a call */
    struct str window;   /* ciphertext at hand, during a call */
    struct str after;    /* what follows it: the window was a record put together in `held` */
    char *held;          /* ciphertext that waits */
    uint32_t held_len, held_cap;
    uint32_t granted;         /* bytes of the record that GnuTLS is reading */
    uint32_t records_sent;    /* since the last change of key */
    uint32_t handshake_bytes; /* given to GnuTLS since the last data */
    struct loop_task task;
    char *name;  /* server name, or NULL */
    char *error; /* the sentence, or NULL: none or `error_is` */
    const char *error_is;
    /*
     * 1 + the description of an alert in the clear. Clients of TLS 1.3 that refuse our certificate
     * may not have keys yet, and GnuTLS then only says that it cannot decrypt.
     */
    uint16_t clear_alert;
    uint8_t lower_end; /* enum stream_end + 1: the stream below ended, and that is not told yet */
    bool started : 1;  /* first bytes seen */
    bool open : 1;     /* handshake done */
    bool ended : 1;    /* on_end was called, or is about to be */
    bool closed : 1;   /* by the user */
    bool read_closed : 1; /* close_notify came */
    bool finished : 1;    /* close_notify sent */
    bool paused : 1;
    bool queued : 1;       /* the task is due */
    bool doomed : 1;       /* sending failed: tell from the task */
    bool too_much : 1;     /* handshake_bytes went over its bound */
    bool ticket_due : 1;   /* server: a ticket goes before the first data */
    bool expects_much : 1; /* see stream_expect() */
};

/* RFC 8446 5.5: AES-GCM may protect 2^24.5 records with one key. TLS 1.3 changes it in time. */
enum { TLS_RECORDS_PER_KEY = 1 << 23 };

/* The bound on handshake messages, and on data that cannot be delivered meanwhile. */
enum { TLS_HANDSHAKE_BYTES_MAX = 64 * 1024 };

/* A session without a stream below it yet. `flags` and `priority` are those of gnutls_init(). */
struct tls_stream *tls_engine_new(const struct tls_role *role, unsigned flags,
                                  gnutls_priority_t priority) __attribute__((warn_unused_result));
/* Becomes the user of `lower`, which is its own from now on. */
struct stream *tls_engine_wrap(struct tls_stream *tls, struct stream *lower,
                               const struct stream_user *user, void *user_data);
/* Gives up what was not wrapped. */
void tls_engine_drop(struct tls_stream *tls);

/*
 * A batch of records: the outermost caller's `out` collects them and its leave sends them. What
 * begin answers is what leave is given.
 */
bool tls_engine_begin(struct tls_stream *tls, struct tls_out *out);
void tls_engine_leave(struct tls_stream *tls, bool outermost);
/* Sends what the batch holds so far. */
void tls_engine_flush(struct tls_stream *tls);

/* Ends the stream with a sentence: alert first (when `code` is an error of GnuTLS), then on_end. */
void tls_engine_fail(struct tls_stream *tls, int code, const char *sentence);
/* on_end later, at the end of the turn: for failures inside the user's own calls. */
void tls_engine_doom(struct tls_stream *tls, const char *sentence);
/* Queues the task that delivers what waits. */
void tls_engine_queue(struct tls_stream *tls);
/* After role.may_go_on() said no: takes what has come meanwhile. */
void tls_engine_go_on(struct tls_stream *tls);
/* Gives up what only the handshake needs; at the latest the end of the stream does. */
void tls_engine_end_setup(struct tls_stream *tls);
/* Frees all at the end of the turn. */
void tls_engine_end(struct tls_stream *tls);

extern const struct stream_ops tls_stream_ops; /* tls_stream.c */

#endif
