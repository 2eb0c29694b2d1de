/*
 * Idle connections to one origin in one thread, last in first out: the one used last is the most
 * likely to be alive, and those not needed age at the other end. A connection on which the peer
 * sends anything, closes or resets while it is idle is closed at once. One timer for the whole
 * pool.
 */
#ifndef PC_UPSTREAM_POOL_H
#define PC_UPSTREAM_POOL_H

#include "net/loop.h"
#include "upstream/upstream_conf.h"

/* A connection used so recently is very likely still open: good enough for a request that must not
 * be sent twice, unless this origin has shown otherwise within POOL_WARY_MS. */
enum { POOL_FRESH_MS = 200, POOL_WARY_MS = 60 * 1000 };

struct pool {
    struct loop *loop;
    struct link idle; /* of origin_conn, the one used last first */
    uint32_t count;
    struct loop_timer timer;
    uint64_t *closed_early_ms; /* of the origin: set when a peer closes what was just used */
};

void pool_init(struct pool *pool, struct loop *loop, uint64_t *closed_early_ms);
/* Closes all connections. */
void pool_fini(struct pool *pool);

/* Takes the connection over. `max` is at least 1; above it the one idle for longest is closed. */
void pool_add(struct pool *pool, struct origin_conn *conn, uint32_t max, uint32_t idle_ms);
/* The one used last, if it was used within `idle_ms_max` (0: whenever) and looks alive; or NULL. */
struct origin_conn *pool_take(struct pool *pool, uint32_t idle_ms_max);

/* Closes those that were not used for `idle_ms_min`; answers how many. */
unsigned pool_close_idle(struct pool *pool, uint32_t idle_ms_min);
/* Closes those for which `keep` says no. */
void pool_sift(struct pool *pool, bool (*keep)(void *user, const struct addr *peer), void *user);

/* A connection over an open stream; NULL without memory, then the stream is still the caller's. */
struct origin_conn *pool_conn_new(struct stream *stream) __attribute__((warn_unused_result));
/* Closes its stream and frees it. */
void pool_conn_end(struct origin_conn *conn);

#endif
