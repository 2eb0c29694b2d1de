#include "upstream/origin.h"

#include "upstream/slot.h"

#include <stdlib.h>

void origins_init(struct origins *origins, struct loop *loop, struct origin_registry *registry)
{
    *origins = (struct origins){.loop = loop, .registry = registry, .swept_ms = loop_now_ms(loop)};
}

static void origin_end(struct origins *origins, struct origin *origin)
{
    name_watch_end(origin->names);
    pool_fini(&origin->pool);
    origin_shared_give(origins->registry, origin->shared);
    free(origin);
}

void origins_fini(struct origins *origins)
{
    for (unsigned i = 0; i < ORIGIN_BUCKETS; i++)
        while (origins->buckets[i] != NULL) {
            struct origin *origin = origins->buckets[i];
            origins->buckets[i] = origin->next;
            origin_end(origins, origin);
        }
    origins->count = 0;
}

static struct origin **bucket_of(struct origins *origins, uint64_t identity)
{
    return &origins->buckets[identity % ORIGIN_BUCKETS];
}

static bool may_be_forgotten(const struct origins *origins, const struct origin *origin)
{
    return origin->in_use == 0 && origin->pool.count == 0 &&
           loop_now_ms(origins->loop) - origin->last_used_ms > ORIGIN_FORGET_MS;
}

static void forget_unused(struct origins *origins)
{
    origins->swept_ms = loop_now_ms(origins->loop);
    for (unsigned i = 0; i < ORIGIN_BUCKETS; i++)
        for (struct origin **at = &origins->buckets[i]; *at != NULL;) {
            struct origin *origin = *at;
            if (!may_be_forgotten(origins, origin)) {
                at = &origin->next;
                continue;
            }
            *at = origin->next;
            origins->count--;
            origin_end(origins, origin);
        }
}

struct origin *origin_find(const struct origins *origins, uint64_t identity)
{
    struct origin *origin = origins->buckets[identity % ORIGIN_BUCKETS];
    while (origin != NULL && origin->identity != identity)
        origin = origin->next;
    return origin;
}

static struct origin *origin_new(struct origins *origins, const struct origin_conf *conf)
{
    if (loop_now_ms(origins->loop) - origins->swept_ms > ORIGIN_FORGET_MS)
        forget_unused(origins);
    struct origin *origin = calloc(1, sizeof *origin);
    if (origin == NULL)
        return NULL;
    origin->identity = conf->identity;
    origin->shared = origin_shared_take(origins->registry, conf->identity, conf->text);
    if (origin->shared == NULL) {
        free(origin);
        return NULL;
    }
    pool_init(&origin->pool, origins->loop, &origin->closed_early_ms);
    struct origin **bucket = bucket_of(origins, conf->identity);
    origin->next = *bucket;
    *bucket = origin;
    origins->count++;
    return origin;
}

struct origin *origin_get(struct origins *origins, const struct origin_conf *conf)
{
    struct origin *origin = origin_find(origins, conf->identity);
    if (origin == NULL)
        origin = origin_new(origins, conf);
    if (origin != NULL)
        origin->last_used_ms = loop_now_ms(origins->loop);
    return origin;
}

bool origin_use(struct origin *origin, uint32_t most)
{
    if (!slot_take(origin->shared, most))
        return false;
    origin->in_use++;
    atomic_fetch_add_explicit(&origin->shared->requests, 1, memory_order_relaxed);
    return true;
}

void origin_leave(struct origin *origin)
{
    origin->in_use--;
    slot_leave(origin->shared);
}

void origin_failed(struct origins *origins, struct origin *origin, const struct upstream_conf *conf,
                   const char *why)
{
    origin_shared_failed(origins->registry, origin->shared, loop_now_ms(origins->loop),
                         conf->rest_ms, conf->rest_after, str_from_z(why));
}

void origin_succeeded(struct origins *origins, struct origin *origin)
{
    origin_shared_succeeded(origin->shared, loop_now_ms(origins->loop));
}

void origin_chosen(struct origins *origins, struct origin *origin, const struct upstream_conf *conf)
{
    struct origin_shared *shared = origin->shared;
    uint64_t now = loop_now_ms(origins->loop);
    if (conf->rest_ms == 0 ||
        atomic_load_explicit(&shared->failures, memory_order_relaxed) < conf->rest_after ||
        origin_shared_rests(shared, now))
        return;
    atomic_store_explicit(&shared->rests_until_ms, now + conf->rest_ms, memory_order_relaxed);
}

bool origin_rests(const struct origins *origins, const struct origin *origin)
{
    return origin_shared_state(origin->shared) != 0 ||
           origin_shared_rests(origin->shared, loop_now_ms(origins->loop));
}
