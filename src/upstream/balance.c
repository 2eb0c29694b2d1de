#include "upstream/balance.h"

#include <stdlib.h>

struct balance_place {
    struct balance_place *next;
    uint64_t identity;
    unsigned at;
};

void balance_init(struct balance *balance)
{
    *balance = (struct balance){0};
}

void balance_fini(struct balance *balance)
{
    for (unsigned i = 0; i < BALANCE_BUCKETS; i++)
        while (balance->buckets[i] != NULL) {
            struct balance_place *place = balance->buckets[i];
            balance->buckets[i] = place->next;
            free(place);
        }
    balance->count = 0;
}

static unsigned *place_of(struct balance *balance, uint64_t identity)
{
    struct balance_place **bucket = &balance->buckets[identity % BALANCE_BUCKETS];
    for (struct balance_place *place = *bucket; place != NULL; place = place->next)
        if (place->identity == identity)
            return &place->at;
    if (balance->count >= BALANCE_PLACES_MAX)
        balance_fini(balance);
    struct balance_place *place = calloc(1, sizeof *place);
    if (place == NULL)
        return &balance->shared;
    place->identity = identity;
    place->next = *bucket;
    *bucket = place;
    balance->count++;
    return &place->at;
}

/* The origin that failed longest ago, of those allowed. */
static int least_recently_failed(const struct origins *origins, const struct upstream_conf *conf,
                                 uint64_t allowed)
{
    int best = -1;
    uint64_t best_ms = UINT64_MAX;
    for (unsigned i = 0; i < conf->origin_count; i++) {
        const struct origin *origin = origin_find(origins, conf->origins[i].identity);
        if ((allowed >> i & 1) == 0 || origin == NULL)
            continue;
        uint64_t failed_ms =
            atomic_load_explicit(&origin->shared->last_failed_ms, memory_order_relaxed);
        if (failed_ms >= best_ms)
            continue;
        best = (int)i;
        best_ms = failed_ms;
    }
    return best;
}

int balance_next(struct balance *balance, const struct origins *origins,
                 const struct upstream_conf *conf, uint64_t allowed)
{
    /* The usual route has one origin and keeps no place. */
    if (conf->origin_count == 1)
        return (allowed & 1) != 0 ? 0 : -1;
    unsigned *place = place_of(balance, conf->identity);
    for (unsigned step = 0; step < conf->origin_count; step++) {
        unsigned i = (*place + step) % conf->origin_count;
        if ((allowed >> i & 1) == 0)
            continue;
        const struct origin *origin = origin_find(origins, conf->origins[i].identity);
        if (origin != NULL && origin_rests(origins, origin))
            continue;
        *place = (i + 1) % conf->origin_count;
        return (int)i;
    }
    return least_recently_failed(origins, conf, allowed);
}
