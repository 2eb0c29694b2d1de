/*
 * One request and its response (RFC 9110): a noun with init and fini; pipeline.c drives it. It
 * lives in an arena of its own, from the first byte of the request to its log record.
 */
#ifndef PC_PROXY_EXCHANGE_H
#define PC_PROXY_EXCHANGE_H

#include "base/buf.h"
#include "files/compress.h"
#include "http/authority.h"
#include "http/codec.h"
#include "http/uri.h"
#include "net/loop.h"
#include "observe/access_record.h"
#include "proxy/route.h"

struct encoder;
struct files_body;
struct forward;
struct front;
struct session;
struct trace;

/* A head of 32 KiB, an answer's of 64 KiB, their fields, and our edits of both. */
#define EXCHANGE_ARENA_BYTES ((size_t)512 * 1024)
/* The record and the members below fit the first chunk, with a head of common size. */
#define EXCHANGE_CHUNK_BYTES ((size_t)8 * 1024)

/*
 * Backpressure: above this backlog towards one side the other side is not read. One full read more
 * may still come (STREAM_READ_MAX; of a large body STREAM_READ_EXPECTED_MAX, but none of that
 * before an origin takes it).
 */
#define EXCHANGE_BACKLOG_MAX ((size_t)64 * 1024)
/* Of the request's body, kept while no origin has it, or to be sent again: a stale connection. */
#define EXCHANGE_BODY_KEPT_MAX ((size_t)64 * 1024 + STREAM_READ_MAX)

/* Where the body of an answer of our own comes from. */
struct content {
    struct str text;
    struct files_body *file; /* closed with the exchange's arena */
    uint64_t left;           /* of the file's body */
};

/* Since when something has been awaited, loop clock; 0: it is not. See exchange_timer.c. */
struct waits {
    uint64_t body_ms, send_ms, answer_ms, stream_ms, quiet_ms;
    uint64_t body_mark, send_mark; /* progress at that moment, in bytes */
    uint64_t reach_ms;             /* while an answer is awaited: the last look at the connection */
    uint32_t reach_every_ms;
};

enum exchange_timeout {
    EXCHANGE_BODY_TIMEOUT,
    EXCHANGE_SEND_TIMEOUT,
    EXCHANGE_ANSWER_TIMEOUT,
    EXCHANGE_REACH_TIMEOUT, /* no timeout yet: time to see whether the origin is still there */
    EXCHANGE_STREAM_TIMEOUT,
    EXCHANGE_QUIET_TIMEOUT,
};

struct exchange {
    struct codec_request request; /* first: the codec knows the exchange by it */
    struct message message;       /* the request as received */
    struct arena *arena;
    struct front *front;
    struct session *session;
    struct parse_error bad; /* status 0: the head parsed */
    uint8_t phase;          /* index into the table of phases */
    bool running;           /* inside pipeline_run() */
    bool head_seen;         /* on_head or on_bad came */
    bool answer_begun, answer_ended, gone, done;
    bool answer_is_origins; /* x->answer came from an origin */
    bool resumed;           /* resume() was called inside a phase */

    /* What the configuration made of it. */
    struct snapshot *snapshot; /* pinned until the decisions are made, then NULL */
    struct site *site;         /* pinned */
    const struct listener *listener;
    const struct route_conf *conf;
    const struct target *target;
    struct uri uri;
    struct authority host;
    struct route_match match;
    struct addr client;
    bool peer_trusted;
    bool websocket_asked;
    bool tunnel;

    /* Towards the origin. */
    struct message upstream_head;
    struct str upstream_target;
    struct forward *forward;
    struct buf body; /* of the request, not yet sent or kept for a repetition */
    bool body_paused;

    /* Towards the client. */
    struct message answer;
    struct content content;
    struct compress_plan plan;
    struct encoder *encoder;
    bool flush_each; /* the encoder is flushed with each piece */
    /* A file's next pieces, in the loop's next turn. While it is posted the memory stays. */
    struct loop_task more_task;
    bool more_posted;

    /* Given by the pipeline: the answer in x->answer is ready (an origin's head, or a refusal). */
    void (*resume)(struct exchange *x);
    struct loop_timer timer;
    void (*on_timeout)(struct exchange *x, enum exchange_timeout which);
    struct waits waits;
    uint64_t start_us;
    struct trace *trace; /* of an explanation; NULL in service */
    struct access_record record;
    struct loop_task free_task;
};

static inline struct exchange *exchange_of(struct codec_request *request)
{
    return (struct exchange *)(void *)request;
}

/* NULL without memory. The snapshot, if any, is pinned. */
struct exchange *exchange_new(struct front *front, struct session *session)
    __attribute__((warn_unused_result));
/* Gives back everything it holds but the memory, at once. */
void exchange_release(struct exchange *x);
/* The same, and then the memory, which goes at the end of the turn, or with the posted task. */
void exchange_end(struct exchange *x);
void exchange_free(struct exchange *x);

/* A field of ours does not fit into memory: the answer goes without it, and the record says so. */
void exchange_lost_field(struct exchange *x);

/* Pins the site's part (once). */
void exchange_set_site(struct exchange *x, struct site *site);
/* The decisions are made: only the site's part is still needed. */
void exchange_unpin_snapshot(struct exchange *x);

#endif
