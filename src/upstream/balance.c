#include "upstream/balance.h"

#include "base/hash.h"
#include "upstream/slot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct balance_place {
    struct balance_place *next;
    uint64_t identity;
    unsigned count;
    int64_t credit[]; /* of each origin: how much it is owed */
};

/* An origin that could be chosen. */
struct candidate {
    const struct origin_shared *origin;
    uint64_t weight; /* with what the slow start leaves of it; not 0 */
    unsigned index;
};

struct candidates {
    struct candidate all[UPSTREAM_ORIGINS_MAX];
    unsigned count;
};

void balance_init(struct balance *balance)
{
    *balance = (struct balance){0};
    random_bytes(&balance->random, sizeof balance->random);
    balance->random |= 1; /* the generator has one state it cannot leave: 0 */
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

static struct balance_place *place_of(struct balance *balance, const struct upstream_conf *conf)
{
    struct balance_place **bucket = &balance->buckets[conf->identity % BALANCE_BUCKETS];
    for (struct balance_place *place = *bucket; place != NULL; place = place->next)
        if (place->identity == conf->identity && place->count == conf->origin_count)
            return place;
    if (balance->count >= BALANCE_PLACES_MAX)
        balance_fini(balance);
    struct balance_place *place =
        calloc(1, sizeof *place + conf->origin_count * sizeof place->credit[0]);
    if (place == NULL)
        return NULL;
    place->identity = conf->identity;
    place->count = conf->origin_count;
    place->next = *bucket;
    *bucket = place;
    balance->count++;
    return place;
}

/* xorshift64*, Vigna 2016. */
static uint64_t draw(struct balance *balance)
{
    uint64_t x = balance->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    balance->random = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* ---- the kinds ---- */

static uint64_t in_use(const struct candidate *candidate)
{
    return atomic_load_explicit(&candidate->origin->in_use, memory_order_relaxed);
}

/* Of two: which has fewer requests for its weight? Below 0: the first. */
static int compare_load(const struct candidate *a, const struct candidate *b)
{
    uint64_t first = in_use(a) * b->weight, second = in_use(b) * a->weight;
    return first < second ? -1 : first > second;
}

static unsigned draw_one(struct balance *balance, const struct candidates *c)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < c->count; i++)
        sum += c->all[i].weight;
    uint64_t at = sum > 0 ? draw(balance) % sum : 0;
    unsigned i = 0;
    while (i + 1 < c->count && at >= c->all[i].weight)
        at -= c->all[i++].weight;
    return i;
}

/* The better of two: nearly as even as looking at all, and nobody rushes to the one that looks
 * idle to all at once (Mitzenmacher 2001). */
static unsigned random_of(struct balance *balance, const struct upstream_conf *conf,
                          const struct candidates *c, uint64_t key)
{
    (void)conf, (void)key;
    unsigned first = draw_one(balance, c);
    if (c->count == 1)
        return first;
    struct candidates others = *c;
    others.all[first] = others.all[--others.count];
    const struct candidate *second = &others.all[draw_one(balance, &others)];
    if (compare_load(second, &c->all[first]) >= 0)
        return first;
    unsigned i = 0;
    while (c->all[i].index != second->index)
        i++;
    return i;
}

/* Smooth weighted round robin: each is owed its weight, who is owed most is served and pays the sum
 * of all. So 5, 1, 1 gives a a b a c a a, not a a a a a b c. */
static unsigned round_robin(struct balance *balance, const struct upstream_conf *conf,
                            const struct candidates *c, uint64_t key)
{
    (void)key;
    struct balance_place *place = place_of(balance, conf);
    if (place == NULL)
        return draw_one(balance, c);
    int64_t sum = 0;
    unsigned best = 0;
    for (unsigned i = 0; i < c->count; i++) {
        const struct candidate *candidate = &c->all[i];
        place->credit[candidate->index] += (int64_t)candidate->weight;
        sum += (int64_t)candidate->weight;
        if (place->credit[candidate->index] > place->credit[c->all[best].index])
            best = i;
    }
    place->credit[c->all[best].index] -= sum;
    return best;
}

/* Those with the fewest take turns: an idle upstream does not ask its first alone. */
static unsigned least_requests(struct balance *balance, const struct upstream_conf *conf,
                               const struct candidates *c, uint64_t key)
{
    struct candidates least = {.count = 0};
    unsigned at[UPSTREAM_ORIGINS_MAX] = {0};
    for (unsigned i = 0; i < c->count; i++) {
        int order = least.count == 0 ? -1 : compare_load(&c->all[i], &least.all[0]);
        if (order > 0)
            continue;
        if (order < 0)
            least.count = 0;
        at[least.count] = i;
        least.all[least.count++] = c->all[i];
    }
    return at[round_robin(balance, conf, &least, key)];
}

/* In (0, 1): the same for the same key and origin, everywhere. */
static double lot(uint64_t key, const struct origin_shared *origin)
{
    uint64_t hash = hash_stable(key, str_from(&origin->identity, sizeof origin->identity));
    return ((double)(hash >> 11) + 0.5) / (double)(UINT64_C(1) << 53);
}

/* Weighted rendezvous hashing: every origin draws a lot for the key, the lowest wins. Losing an
 * origin moves its own keys alone, and a weight that grows only takes keys, from nobody twice. */
static unsigned by_hash(struct balance *balance, const struct upstream_conf *conf,
                        const struct candidates *c, uint64_t key)
{
    (void)balance, (void)conf;
    unsigned best = 0;
    double lowest = HUGE_VAL;
    for (unsigned i = 0; i < c->count; i++) {
        double score = -log(lot(key, c->all[i].origin)) / (double)c->all[i].weight;
        if (score >= lowest)
            continue;
        lowest = score;
        best = i;
    }
    return best;
}

static unsigned (*const kinds[])(struct balance *balance, const struct upstream_conf *conf,
                                 const struct candidates *c, uint64_t key) = {
    [BALANCE_ROUND_ROBIN] = round_robin, [BALANCE_LEAST_REQUESTS] = least_requests,
    [BALANCE_RANDOM] = random_of,        [BALANCE_HASH_CLIENT] = by_hash,
    [BALANCE_HASH_HEADER] = by_hash,     [BALANCE_HASH_COOKIE] = by_hash,
};

/* ---- who may be chosen ---- */

uint32_t balance_share(const struct origin_shared *origin, uint64_t now_ms)
{
    uint64_t from = atomic_load_explicit(&origin->slow_from_ms, memory_order_relaxed);
    if (now_ms >= from + BALANCE_SLOW_MS)
        return BALANCE_WHOLE;
    uint64_t share = now_ms <= from ? 0 : (now_ms - from) * BALANCE_WHOLE / BALANCE_SLOW_MS;
    return share < BALANCE_SLOW_MIN ? BALANCE_SLOW_MIN : (uint32_t)share;
}

enum fitness { FIT, FIT_AS_BACKUP, UNFIT, NEVER, FITNESSES };

static enum fitness fitness_of(const struct origin_shared *origin, bool backup, uint64_t now_ms)
{
    uint32_t state = origin_shared_state(origin);
    if ((state & ORIGIN_DRAINED) != 0)
        return NEVER;
    if ((state & ORIGIN_DOWN) != 0 || origin_shared_rests(origin, now_ms))
        return UNFIT;
    return backup ? FIT_AS_BACKUP : FIT;
}

/* In service the origins as this thread meets them; for a peek those that are held for it. */
static const struct origin_shared *shared_at(struct origins *origins,
                                             const struct upstream_conf *conf,
                                             struct origin_shared *const *held, unsigned i)
{
    if (held != NULL)
        return held[i];
    const struct origin *origin = origin_get(origins, &conf->origins[i]);
    return origin ? origin->shared : NULL;
}

/* The origins of the best fitness there is. */
static enum fitness gather(struct origins *origins, const struct upstream_conf *conf,
                           struct origin_shared *const *held, uint64_t allowed,
                           struct candidates *c)
{
    uint64_t now_ms = loop_now_ms(origins->loop);
    enum fitness best = FITNESSES;
    for (unsigned i = 0; i < conf->origin_count; i++) {
        const struct origin_shared *origin =
            (allowed >> i & 1) == 0 ? NULL : shared_at(origins, conf, held, i);
        if (origin == NULL)
            continue;
        enum fitness fitness = fitness_of(origin, conf->origins[i].backup, now_ms);
        if (fitness > best)
            continue;
        if (fitness < best)
            c->count = 0;
        best = fitness;
        c->all[c->count++] = (struct candidate){.origin = origin,
                                                .weight = (uint64_t)conf->origins[i].weight *
                                                          balance_share(origin, now_ms),
                                                .index = i};
    }
    return best;
}

/* The one that failed longest ago. */
static unsigned longest_ago(const struct candidates *c)
{
    unsigned best = 0;
    uint64_t best_ms = UINT64_MAX;
    for (unsigned i = 0; i < c->count; i++) {
        uint64_t failed_ms =
            atomic_load_explicit(&c->all[i].origin->last_failed_ms, memory_order_relaxed);
        if (failed_ms >= best_ms)
            continue;
        best = i;
        best_ms = failed_ms;
    }
    return best;
}

static unsigned shortest_queue(const struct candidates *c)
{
    unsigned best = 0;
    uint64_t best_load = 0;
    for (unsigned i = 0; i < c->count; i++) {
        const struct candidate *candidate = &c->all[i];
        uint64_t queued = atomic_load_explicit(&candidate->origin->queued, memory_order_relaxed);
        uint64_t load =
            (in_use(candidate) + queued) * UPSTREAM_WEIGHT_MAX * BALANCE_WHOLE / candidate->weight;
        if (i != 0 && load >= best_load)
            continue;
        best = i;
        best_load = load;
    }
    return c->all[best].index;
}

/* Leaves those with a free connection. */
static void leave_free(struct candidates *c, uint32_t most)
{
    unsigned count = 0;
    for (unsigned i = 0; i < c->count; i++)
        if (slot_free(c->all[i].origin, most))
            c->all[count++] = c->all[i];
    c->count = count;
}

static enum balance_result next(struct balance *balance, struct origins *origins,
                                const struct upstream_conf *conf, struct origin_shared *const *held,
                                uint64_t allowed, uint64_t key, unsigned *index)
{
    struct candidates c;
    c.count = 0;
    enum fitness fitness = gather(origins, conf, held, allowed, &c);
    if (fitness == FITNESSES)
        return BALANCE_NOBODY;
    if (fitness == NEVER)
        return BALANCE_DRAINED;
    if (conf->connections_max != 0) {
        *index = shortest_queue(&c);
        leave_free(&c, conf->connections_max);
        if (c.count == 0)
            return BALANCE_FULL;
    }
    unsigned chosen = c.count == 1       ? 0
                      : fitness == UNFIT ? longest_ago(&c)
                                         : kinds[conf->balance](balance, conf, &c, key);
    *index = c.all[chosen].index;
    return BALANCE_CHOSEN;
}

enum balance_result balance_next(struct balance *balance, struct origins *origins,
                                 const struct upstream_conf *conf, uint64_t allowed, uint64_t key,
                                 unsigned *index)
{
    return next(balance, origins, conf, NULL, allowed, key, index);
}

enum balance_result balance_peek(struct balance *balance, struct origins *origins,
                                 const struct upstream_conf *conf, uint64_t key, unsigned *index)
{
    struct origin_shared *held[UPSTREAM_ORIGINS_MAX];
    int64_t credit[UPSTREAM_ORIGINS_MAX];
    uint64_t random = balance->random;
    struct balance_place *place = conf->origin_count > 1 ? place_of(balance, conf) : NULL;
    if (place != NULL)
        memcpy(credit, place->credit, conf->origin_count * sizeof *credit);
    for (unsigned i = 0; i < conf->origin_count; i++)
        held[i] =
            origin_shared_take(origins->registry, conf->origins[i].identity, conf->origins[i].text);
    enum balance_result result = next(balance, origins, conf, held, UINT64_MAX, key, index);
    for (unsigned i = 0; i < conf->origin_count; i++)
        if (held[i] != NULL)
            origin_shared_give(origins->registry, held[i]);
    if (place != NULL)
        memcpy(place->credit, credit, conf->origin_count * sizeof *credit);
    balance->random = random;
    return result;
}
