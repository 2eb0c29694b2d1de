/*
 * Which origin is next. Of those that are fit (they do not rest, and are neither down by their
 * check nor drained) one is chosen as `balance` says, each with a share after its weight; backups
 * only while none of the others is fit. While nobody is fit, the one that failed longest ago is
 * tried. A drained one never is.
 *
 * An origin that has rested, was down or is new begins with SLOW_MIN of its weight, which grows to
 * all of it over SLOW_MS: what has just come back is often cold, and sometimes not well yet.
 *
 * The place of the round is kept per list of origins, so that reloads do not send everybody back to
 * the first; it is this thread's own. The hash is the same in every thread, process and machine.
 */
#ifndef PC_UPSTREAM_BALANCE_H
#define PC_UPSTREAM_BALANCE_H

#include "upstream/origin.h"

enum {
    BALANCE_SLOW_MS = 10000,
    /* Shares of a weight are counted in so many parts. */
    BALANCE_WHOLE = 1024,
    BALANCE_SLOW_MIN = BALANCE_WHOLE / 10,
};

/* A power of two, as many as buckets of origins. */
enum { BALANCE_BUCKETS = 1024 };
/* Above it all places are forgotten, which costs a round begun anew: only reloads add places. */
enum { BALANCE_PLACES_MAX = 64 * 1024 };

struct balance_place;

struct balance {
    struct balance_place *buckets[BALANCE_BUCKETS];
    unsigned count;
    uint64_t random; /* the state of a generator: fair, not secret */
};

void balance_init(struct balance *balance);
void balance_fini(struct balance *balance);

enum balance_result {
    BALANCE_CHOSEN,
    BALANCE_FULL,    /* all that could be chosen have as many connections as they may */
    BALANCE_DRAINED, /* all that may be taken are drained */
    BALANCE_NOBODY,  /* none may be taken, or there is no memory */
};

/*
 * Chooses among those whose bit is set in `allowed`. `key` is the hash of the request's key, for
 * the kinds that look at one. When the answer is BALANCE_FULL, `*index` is the one whose queue is
 * the shortest for its weight.
 */
enum balance_result balance_next(struct balance *balance, struct origins *origins,
                                 const struct upstream_conf *conf, uint64_t allowed, uint64_t key,
                                 unsigned *index);

/*
 * What balance_next() would answer now, of all origins; nothing is changed by it: the round stays
 * where it is, and no origin is met. For explanations.
 */
enum balance_result balance_peek(struct balance *balance, struct origins *origins,
                                 const struct upstream_conf *conf, uint64_t key, unsigned *index);

/* What an origin has of its weight now, in parts of BALANCE_WHOLE. */
uint32_t balance_share(const struct origin_shared *origin, uint64_t now_ms);

#endif
