/*
 * What a route forwards to: origins and how to treat them. It belongs to a snapshot, is immutable,
 * and must live as long as a wait that names it. Nothing in it has a memory of its own.
 */
#ifndef PC_UPSTREAM_UPSTREAM_CONF_H
#define PC_UPSTREAM_UPSTREAM_CONF_H

#include "base/list.h"
#include "base/where.h"
#include "net/addr.h"
#include "net/stream.h"

struct check_conf;
struct tls_client_conf;

/* Origins of one upstream; a bit set of those tried fits a word. */
enum { UPSTREAM_ORIGINS_MAX = 64 };
/* Of weights in hundreds and of their sums much is left in 64 bits. */
enum { UPSTREAM_WEIGHT_MAX = 1000 };

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
    uint32_t weight; /* 1 to UPSTREAM_WEIGHT_MAX: its share of the requests */
    bool backup;     /* asked while no other is fit */
    struct where where;
};

enum balance_kind {
    BALANCE_ROUND_ROBIN,
    BALANCE_LEAST_REQUESTS,
    BALANCE_RANDOM,
    /* By a key of the request; of which one without the key named has its client's address. */
    BALANCE_HASH_CLIENT,
    BALANCE_HASH_HEADER,
    BALANCE_HASH_COOKIE,
};

struct upstream_conf {
    struct str name; /* for records: the targets as written */
    struct origin_conf *origins;
    unsigned origin_count;                     /* 1 to UPSTREAM_ORIGINS_MAX */
    uint32_t connect_ms;                       /* to one origin, name and TLS included */
    uint32_t keepalive_max, keepalive_idle_ms; /* idle connections per origin and thread; 0: off */
    uint32_t rest_ms,
        rest_after;     /* a failing origin rests after N failures in a row; 0 ms: never */
    uint32_t retry_max; /* further origins; 0: off */
    const struct check_conf *check; /* how the origins are looked at, or NULL */
    const struct addr *sources;     /* local addresses, or NULL */
    unsigned source_count;
    enum balance_kind balance;
    struct str balance_name; /* of the header field or cookie */
    /* To one origin at a time, over all threads; 0: as many as come. Above it requests wait, at
     * most queue_max for an origin and each for queue_ms. */
    uint32_t connections_max, queue_max, queue_ms;
    uint64_t identity; /* of the list of origins: keeps the round-robin place over reloads */
};

struct pool;
struct origin; /* run-time state of one origin in this thread */

/* A connection to an origin, owned by whoever took it until it is given back or discarded. */
struct origin_conn {
    struct addr local, peer; /* asked of the system once */
    struct stream *stream;   /* its user is set by whoever took it */
    struct origin *origin;
    unsigned origin_index; /* in the upstream_conf it was taken for */
    bool reused;
    bool bound;            /* connection-bound authentication: must never go back to the pool */
    uint32_t requests;     /* sent over it so far; counted by the taker */
    uint64_t connect_us;   /* how long connecting took (0 when reused) */
    uint64_t last_used_ms; /* loop clock */
    /* The pool's own. */
    struct pool *pool;
    struct link idle;
    uint64_t idle_until_ms;
};

enum upstream_failure {
    UPSTREAM_REFUSED,    /* no origin accepted a connection */
    UPSTREAM_TIMED_OUT,  /* the last one tried did not within connect_ms */
    UPSTREAM_UNRESOLVED, /* no name could be resolved */
    UPSTREAM_BAD_TLS,    /* verification or handshake failed */
    UPSTREAM_NO_SOCKET,  /* descriptors, ports or memory ran out here: not the origin's fault */
    UPSTREAM_FULL,       /* every origin has its `connections`, and the queues are full or slow */
    UPSTREAM_DRAINED,    /* the operator has taken every origin out of service */
};

#endif
