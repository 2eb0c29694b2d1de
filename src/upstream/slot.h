/*
 * A slot is the right to one connection to an origin, under `connections N`: over all threads no
 * more than N are taken. Who finds none free may wait in the origin's queue, of a bounded length,
 * and gets one in the order of coming, whichever thread he is on; nobody overtakes.
 *
 * Taking and leaving are one atomic operation each; a mutex is met only where somebody waits.
 */
#ifndef PC_UPSTREAM_SLOT_H
#define PC_UPSTREAM_SLOT_H

#include "net/loop.h"
#include "upstream/origin_shared.h"

struct slot_wait;

/* A slot, if fewer than `most` are taken (0: however many are) and nobody waits for one. */
bool slot_take(struct origin_shared *origin, uint32_t most) __attribute__((warn_unused_result));
/* The slot is free again, or goes to who has waited longest. */
void slot_leave(struct origin_shared *origin);

/* Could slot_take() succeed? */
bool slot_free(const struct origin_shared *origin, uint32_t most);

/*
 * Waits, unless `queue_max` do already (or memory is out): then NULL. on_slot comes on this loop,
 * never from inside this call; the slot is then the waiter's, and the wait is over.
 */
struct slot_wait *slot_queue(struct origin_registry *registry, struct origin_shared *origin,
                             uint32_t most, uint32_t queue_max, struct loop *loop,
                             void (*on_slot)(void *user), void *user)
    __attribute__((warn_unused_result));
/* on_slot will not come. On the loop's thread. */
void slot_abandon(struct slot_wait *wait);

#endif
