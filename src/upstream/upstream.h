/*
 * Towards the origins. An `upstream_conf` is what a route forwards to: origins and how to treat them;
 * it belongs to a snapshot and is immutable. What has a memory of its own (pools of kept-alive
 * connections, which origin rests, the round-robin place) lives in `struct upstreams`, one per
 * thread, in registries keyed by identity, and no reload resets it.
 *
 * A caller asks for a connection with upstream_take(): idle ones first, then a fresh one; an origin
 * whose connect fails rests and the next is tried. When the exchange is over the connection goes
 * back with upstream_give(), or ends with upstream_discard().
 */
#ifndef PC_UPSTREAM_UPSTREAM_H
#define PC_UPSTREAM_UPSTREAM_H

#include "base/where.h"
#include "net/addr.h"
#include "net/stream.h"

struct loop;
struct resolver;
struct tls_client_conf;

/* Origins of one upstream; a bit set of those tried fits a word. */
enum { UPSTREAM_ORIGINS_MAX = 64 };

struct origin_conf {
    struct str text; /* as written: "localhost:3000", "https://reports.internal:8443" */
    bool tls;
    struct str host; /* name or address text; empty for UNIX sockets */
    uint16_t port;
    struct addr addr; /* family ADDR_NONE: `host` is a name that is resolved at run time */
    const struct tls_client_conf *tls_conf; /* NULL for plain */
    /* Everything that makes two connections interchangeable, hashed: scheme, host, port, TLS trust,
     * name, client certificate, source addresses. */
    uint64_t identity;
    struct where where;
};

struct upstream_conf {
    struct str name; /* for records: the targets as written */
    struct origin_conf *origins;
    unsigned origin_count;
    uint32_t connect_ms;                        /* to one origin, TLS included */
    uint32_t keepalive_max, keepalive_idle_ms;  /* idle connections per origin and thread; 0: off */
    uint32_t rest_ms, rest_after;               /* a failing origin rests after N failures in a row */
    uint32_t retry_max;                         /* further origins; 0: off */
    const struct addr *sources;                 /* local addresses, or NULL */
    unsigned source_count;
    uint64_t identity; /* of the list of origins: keeps the round-robin place over reloads */
};

struct upstreams;
struct origin; /* run-time state of one origin in this thread */

struct origin_conn {
    struct stream *stream; /* its user is set by whoever took it */
    struct origin *origin;
    unsigned origin_index; /* in the upstream_conf it was taken for */
    bool reused;
    bool bound; /* connection-bound authentication: must never go back to the pool */
    uint32_t requests;     /* sent over it so far */
    uint64_t connect_us;   /* how long connecting took (0 when reused) */
    uint64_t last_used_ms; /* loop clock */
};

enum upstream_failure {
    UPSTREAM_REFUSED,    /* no origin accepted a connection */
    UPSTREAM_TIMED_OUT,  /* the last one tried did not within connect_ms */
    UPSTREAM_UNRESOLVED, /* no name could be resolved */
    UPSTREAM_BAD_TLS,    /* verification or handshake failed */
    UPSTREAM_NO_SOCKET,  /* descriptors, ports or memory ran out here: not the origin's fault */
};

/* Embedded in the exchange. Between take and its answer nothing in it may be changed. */
struct upstream_wait {
    /* in */
    const struct upstream_conf *conf;
    uint64_t tried;     /* bit set of origins not to be taken again (if others exist) */
    bool fresh;         /* no pooled connection */
    uint32_t idle_ms_max; /* of a pooled one: 0 for any; 200 for requests that must not be repeated */
    void (*on_ready)(struct upstream_wait *wait, struct origin_conn *conn);
    void (*on_failed)(struct upstream_wait *wait, enum upstream_failure failure);
    /* out */
    unsigned attempts;      /* connects tried */
    unsigned origin_index;  /* the last one tried */
    char why[160];          /* of the failure: "connect to 127.0.0.1:3000: Connection refused" */
    void *pending;          /* upstream's own */
};

struct upstreams *upstreams_new(struct loop *loop, struct resolver *resolver)
    __attribute__((warn_unused_result));
/* Closes all idle connections; connections taken must have come back. */
void upstreams_end(struct upstreams *upstreams);

/*
 * Asks for a connection. Answers by exactly one of the two callbacks unless cancelled; it may be
 * called before upstream_take() returns when a pooled connection is at hand, else later.
 */
void upstream_take(struct upstreams *upstreams, struct upstream_wait *wait);
/* No callback will come; a connect under way is given up or kept for the pool. */
void upstream_cancel(struct upstream_wait *wait);

/* The answer is complete and the connection fit for another request. */
void upstream_give(struct upstreams *upstreams, struct origin_conn *conn,
                   const struct upstream_conf *conf);
/* Closes the connection. */
void upstream_discard(struct upstreams *upstreams, struct origin_conn *conn);
/* The origin answered properly / failed after connecting (reset, bad answer, timed out). */
void upstream_report(struct upstreams *upstreams, const struct upstream_conf *conf,
                     unsigned origin_index, bool ok);

struct origin_status {
    struct str text;
    bool resting;
    uint32_t failures;     /* in a row */
    uint32_t idle, in_use; /* connections of this thread */
};
/* For `status`: calls `each` for every origin this thread has met. */
void upstreams_status(const struct upstreams *upstreams,
                      void (*each)(void *user, const struct origin_status *status), void *user);

#endif
