/*
 * Which origin is next: round robin over those that do not rest; when all that may be taken rest,
 * the one that failed longest ago. The place of the round is kept per list of origins, so that
 * reloads do not send everybody back to the first.
 */
#ifndef PC_UPSTREAM_BALANCE_H
#define PC_UPSTREAM_BALANCE_H

#include "upstream/origin.h"

/* A power of two, as many as buckets of origins. */
enum { BALANCE_BUCKETS = 1024 };
/* Above it all places are forgotten, which costs a round begun anew: only reloads add places. */
enum { BALANCE_PLACES_MAX = 64 * 1024 };

struct balance_place;

struct balance {
    struct balance_place *buckets[BALANCE_BUCKETS];
    unsigned count;
    unsigned shared; /* the place of those for whom there was no memory */
};

void balance_init(struct balance *balance);
void balance_fini(struct balance *balance);

/* Index of the next origin among those whose bit is set in `allowed`; -1 when none is. */
int balance_next(struct balance *balance, const struct origins *origins,
                 const struct upstream_conf *conf, uint64_t allowed);

#endif
