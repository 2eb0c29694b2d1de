/*
 * What a thread remembers of an origin: its idle connections, which of its addresses worked last,
 * and its hold on what all threads know together (origin_shared.h). Keyed by the identity of the
 * origin's configuration, so that upstreams that name the same origin share it and a reload keeps
 * it.
 * Origins that nobody has used for ORIGIN_FORGET_MS are forgotten when new ones come.
 */
#ifndef PC_UPSTREAM_ORIGIN_H
#define PC_UPSTREAM_ORIGIN_H

#include "upstream/name_watch.h"
#include "upstream/origin_shared.h"
#include "upstream/pool.h"

/* Longer than any sensible rest; short enough that reloads do not pile up what is no more named. */
#define ORIGIN_FORGET_MS ((uint64_t)10 * 60 * 1000)

struct origin {
    struct origin *next; /* in its bucket */
    uint64_t identity;
    struct origin_shared *shared;
    uint32_t in_use; /* connections taken or being made: such an origin is not forgotten */
    uint64_t last_used_ms;
    uint64_t closed_early_ms; /* when it last closed a connection that had just been used; or 0 */
    struct addr good;         /* the address that answered last, or family ADDR_NONE */
    struct pool pool;
    struct name_watch *names; /* of an origin that is a name, once a connection was kept */
};

/* A power of two; ten thousand routes make chains of ten. */
enum { ORIGIN_BUCKETS = 1024 };

struct origins {
    struct loop *loop;
    struct origin_registry *registry;
    struct origin *buckets[ORIGIN_BUCKETS];
    unsigned count;
    uint64_t swept_ms;
};

void origins_init(struct origins *origins, struct loop *loop, struct origin_registry *registry);
void origins_fini(struct origins *origins);

/* The state of an origin, made when there is none; NULL without memory. */
struct origin *origin_get(struct origins *origins, const struct origin_conf *conf)
    __attribute__((warn_unused_result));
/* The same, but NULL when this thread has not met it. */
struct origin *origin_find(const struct origins *origins, uint64_t identity);

/* A connection of it is taken or being made, unless `most` are (0: however many); and that is over.
 */
bool origin_use(struct origin *origin, uint32_t most) __attribute__((warn_unused_result));
void origin_leave(struct origin *origin);

/* `why` may be NULL. */
void origin_failed(struct origins *origins, struct origin *origin, const struct upstream_conf *conf,
                   const char *why);
void origin_succeeded(struct origins *origins, struct origin *origin);
/*
 * It was chosen for a request. When it has rested and no answer has shown yet that it is well
 * again, this one request is to find out, and others go elsewhere until it has, or for another
 * rest: else an origin that takes requests and never answers would get its share until the first
 * has timed out.
 */
void origin_chosen(struct origins *origins, struct origin *origin,
                   const struct upstream_conf *conf);
bool origin_rests(const struct origins *origins, const struct origin *origin);

#endif
