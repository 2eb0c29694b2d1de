#include "upstream/name_watch.h"

#include <stdlib.h>
#include <string.h>

struct name_watch {
    struct resolver *resolver;
    struct pool *pool;
    struct resolver_wait wait;
    bool asking, known;
    struct addr addrs[RESOLVER_ADDRS_MAX]; /* the last answer, if it is known */
    unsigned count;
    struct loop_timer timer;
    struct loop_task task; /* the end */
    size_t host_len;
    char host[];
};

static bool has_address(const struct name_watch *watch, const struct addr *peer)
{
    for (unsigned i = 0; i < watch->count; i++) {
        struct addr addr = watch->addrs[i];
        addr.port = peer->port;
        if (addr_eq(&addr, peer))
            return true;
    }
    return false;
}

static bool keep(void *user, const struct addr *peer)
{
    return has_address(user, peer);
}

static void on_answer(struct resolver_wait *wait, const struct resolver_answer *answer)
{
    struct name_watch *watch = LIST_OF(wait, struct name_watch, wait);
    watch->asking = false;
    watch->known = true;
    watch->count = answer->count;
    memcpy(watch->addrs, answer->addrs, answer->count * sizeof answer->addrs[0]);
    pool_sift(watch->pool, keep, watch);
}

/* Once the pool is empty nobody needs to know; the next connection kept begins anew. */
static void on_time(struct loop_timer *timer)
{
    struct name_watch *watch = LIST_OF(timer, struct name_watch, timer);
    if (watch->pool->count != 0)
        timer_set(watch->pool->loop, &watch->timer, NAME_WATCH_MS);
    if (watch->asking)
        return;
    watch->asking = true;
    watch->wait = (struct resolver_wait){.name = str_from(watch->host, watch->host_len),
                                         .on_answer = on_answer};
    resolver_ask(watch->resolver, &watch->wait);
}

struct name_watch *name_watch_new(struct resolver *resolver, struct str host, struct pool *pool)
{
    struct name_watch *watch = calloc(1, sizeof *watch + host.len);
    if (watch == NULL)
        return NULL;
    watch->resolver = resolver;
    watch->pool = pool;
    watch->timer.on_fire = on_time;
    watch->host_len = host.len;
    memcpy(watch->host, host.at, host.len);
    return watch;
}

bool name_watch_keep(struct name_watch *watch, const struct addr *peer)
{
    if (watch->timer.at_ms == 0)
        timer_set(watch->pool->loop, &watch->timer, NAME_WATCH_MS);
    return !watch->known || has_address(watch, peer);
}

static void free_watch(struct loop_task *task)
{
    free(LIST_OF(task, struct name_watch, task));
}

/* Perhaps from inside an answer that closed a connection. */
void name_watch_end(struct name_watch *watch)
{
    if (watch == NULL)
        return;
    timer_clear(&watch->timer);
    if (watch->asking)
        resolver_cancel(&watch->wait);
    watch->task.run = free_watch;
    loop_defer(watch->pool->loop, &watch->task);
}
