#include "upstream/slot.h"

#include <stdlib.h>

struct slot_wait {
    struct loop_task task; /* to the waiter's loop, once it has its slot */
    struct link link;      /* in origin->slot_waits; under its mutex, as `granted` is */
    bool granted;
    bool abandoned; /* the waiter's thread alone looks at it */
    uint32_t most;
    struct origin_registry *registry;
    struct origin_shared *origin; /* held */
    struct loop *loop;
    void (*on_slot)(void *user);
    void *user;
};

static bool take_one(struct origin_shared *origin, uint32_t most)
{
    uint32_t taken = atomic_load(&origin->in_use);
    do
        if (most != 0 && taken >= most)
            return false;
    while (!atomic_compare_exchange_weak(&origin->in_use, &taken, taken + 1));
    return true;
}

bool slot_free(const struct origin_shared *origin, uint32_t most)
{
    return most == 0 || (atomic_load_explicit(&origin->queued, memory_order_relaxed) == 0 &&
                         atomic_load_explicit(&origin->in_use, memory_order_relaxed) < most);
}

bool slot_take(struct origin_shared *origin, uint32_t most)
{
    if (most == 0) {
        atomic_fetch_add_explicit(&origin->in_use, 1, memory_order_relaxed);
        return true;
    }
    return atomic_load(&origin->queued) == 0 && take_one(origin, most);
}

/* Slots that are free to those who have waited longest. */
static void grant(struct origin_shared *origin)
{
    struct link *first;
    pthread_mutex_lock(&origin->slot_mutex);
    while ((first = list_first(&origin->slot_waits)) != NULL) {
        struct slot_wait *wait = LIST_OF(first, struct slot_wait, link);
        if (!take_one(origin, wait->most))
            break;
        list_remove(first);
        atomic_fetch_sub(&origin->queued, 1);
        wait->granted = true;
        loop_post(wait->loop, &wait->task);
    }
    pthread_mutex_unlock(&origin->slot_mutex);
}

/* Whoever queues adds himself to `queued` and then looks at `in_use`; who leaves does it the other
 * way round, all in one order (seq_cst): so one of them sees the other, and nobody is forgotten. */
void slot_leave(struct origin_shared *origin)
{
    atomic_fetch_sub(&origin->in_use, 1);
    if (atomic_load(&origin->queued) != 0)
        grant(origin);
}

static void wait_end(struct slot_wait *wait)
{
    origin_shared_give(wait->registry, wait->origin);
    free(wait);
}

static void granted(struct loop_task *task)
{
    struct slot_wait *wait = LIST_OF(task, struct slot_wait, task);
    if (wait->abandoned)
        slot_leave(wait->origin);
    else
        wait->on_slot(wait->user);
    wait_end(wait);
}

struct slot_wait *slot_queue(struct origin_registry *registry, struct origin_shared *origin,
                             uint32_t most, uint32_t queue_max, struct loop *loop,
                             void (*on_slot)(void *user), void *user)
{
    struct slot_wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL)
        return NULL;
    *wait = (struct slot_wait){.task.run = granted,
                               .most = most,
                               .registry = registry,
                               .origin = origin,
                               .loop = loop,
                               .on_slot = on_slot,
                               .user = user};
    pthread_mutex_lock(&origin->slot_mutex);
    bool room = atomic_load(&origin->queued) < queue_max;
    if (room) {
        list_add(&origin->slot_waits, &wait->link);
        atomic_fetch_add(&origin->queued, 1);
    }
    pthread_mutex_unlock(&origin->slot_mutex);
    if (!room) {
        free(wait);
        return NULL;
    }
    origin_shared_hold(registry, origin);
    grant(origin);
    return wait;
}

void slot_abandon(struct slot_wait *wait)
{
    struct origin_shared *origin = wait->origin;
    pthread_mutex_lock(&origin->slot_mutex);
    bool queued = !wait->granted;
    if (queued) {
        list_remove(&wait->link);
        atomic_fetch_sub(&origin->queued, 1);
    }
    pthread_mutex_unlock(&origin->slot_mutex);
    if (!queued) {
        wait->abandoned = true; /* the task is on its way to this thread */
        return;
    }
    /* This one may have wanted a lower cap than the next and stood in his way. */
    if (atomic_load(&origin->queued) != 0)
        grant(origin);
    wait_end(wait);
}
