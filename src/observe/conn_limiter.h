/*
 * Bounds the records of connections that never became a request: so many a second and address, the
 * rest counted and told in one summary per address. IPv6 addresses count by their /64, which is
 * what one subscriber has. One thread uses it; with N threads each gets its share of the limit.
 *
 * The table is bounded: where it is full, and above CONN_LIMITER_TOTAL records a second in all,
 * connections are counted together, and their summary names no address (ADDR_NONE).
 */
#ifndef PC_OBSERVE_CONN_LIMITER_H
#define PC_OBSERVE_CONN_LIMITER_H

#include "net/addr.h"

struct conn_limiter;

enum {
    CONN_LIMITER_PER_SECOND = 10, /* and address, over all threads */
    CONN_LIMITER_TOTAL = 200,     /* a second, each thread: below 100 KB of log */
    CONN_LIMITER_ADDRS = 1024,
    CONN_LIMITER_SUMMARY_MS = 10 * 1000,
};

/* `threads` share the limit, rounded down, but one each at least. NULL without memory. */
struct conn_limiter *conn_limiter_new(unsigned threads) __attribute__((warn_unused_result));
void conn_limiter_end(struct conn_limiter *limiter);

/* True: write a record. False: it was counted. Times are monotonic. */
bool conn_limiter_admit(struct conn_limiter *limiter, const struct addr *addr, uint64_t now_ms);

struct conn_summary {
    struct addr addr; /* of IPv6 the /64; no port; ADDR_NONE: several */
    uint64_t count;
};
/*
 * Takes one summary that is due: counting began CONN_LIMITER_SUMMARY_MS ago. Call it about once a
 * second until it answers false; with `all`, at the end, whether due or not.
 */
bool conn_limiter_summary(struct conn_limiter *limiter, uint64_t now_ms, bool all,
                          struct conn_summary *summary);

#endif
