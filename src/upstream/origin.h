/*
 * What a thread remembers of an origin: failures in a row, until when it rests, its idle
 * connections, which of its addresses worked last. Keyed by the identity of the origin's
 * configuration, so that upstreams that name the same origin share it and a reload keeps it.
 * Origins that nobody has used for ORIGIN_FORGET_MS are forgotten when new ones come.
 */
#ifndef PC_UPSTREAM_ORIGIN_H
#define PC_UPSTREAM_ORIGIN_H

#include "upstream/pool.h"

/* Longer than any sensible rest; short enough that reloads do not pile up what is no more named. */
#define ORIGIN_FORGET_MS ((uint64_t)10 * 60 * 1000)

struct origin {
    struct origin *next; /* in its bucket */
    uint64_t identity;
    char text[128]; /* as written, cut */
    size_t text_len;
    uint32_t failures; /* in a row */
    uint32_t in_use;   /* connections taken or being made: such an origin is not forgotten */
    uint64_t rests_until_ms, last_failed_ms, last_used_ms;
    uint64_t closed_early_ms; /* when it last closed a connection that had just been used; or 0 */
    struct addr good;         /* the address that answered last, or family ADDR_NONE */
    struct pool pool;
};

/* A power of two; ten thousand routes make chains of ten. */
enum { ORIGIN_BUCKETS = 1024 };

struct origins {
    struct loop *loop;
    struct origin *buckets[ORIGIN_BUCKETS];
    unsigned count;
    uint64_t swept_ms;
};

void origins_init(struct origins *origins, struct loop *loop);
void origins_fini(struct origins *origins);

/* The state of an origin, made when there is none; NULL without memory. */
struct origin *origin_get(struct origins *origins, const struct origin_conf *conf)
    __attribute__((warn_unused_result));
/* The same, but NULL when this thread has not met it. */
struct origin *origin_find(const struct origins *origins, uint64_t identity);

void origin_failed(struct origins *origins, struct origin *origin,
                   const struct upstream_conf *conf);
void origin_succeeded(struct origin *origin);
bool origin_rests(const struct origins *origins, const struct origin *origin);

#endif
