#include "observe/metrics.h"

#include "base/hash.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* From a file out of memory to an origin that thinks; the last is what people wait for at most. */
const uint32_t metrics_bounds_us[METRICS_BUCKETS - 1] = {
    1000, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

/* The members of struct metrics_sum, in their order, written by one thread and read by another. */
enum { COUNTERS = sizeof(struct metrics_sum) / sizeof(uint64_t) };

struct cell {
    _Atomic uint64_t counters[COUNTERS];
};

typedef _Atomic(struct cell *) cell_slot;

struct metrics_thread {
    cell_slot *pages[METRICS_SERIES_MAX / METRICS_PAGE];
};

/*
 * Names are known by their hash alone, 64 bits under the process's key: that two of 65,536 names
 * have the same happens once in eight billion workers, and mixes two counters.
 */
struct name {
    uint64_t hash; /* 0: free */
    uint32_t number;
};

struct metrics {
    struct name *names;    /* open addressing, at most three quarters full */
    uint32_t room, series; /* of `names`, a power of two; used so far, series 0 included */
    unsigned threads;
    struct metrics_thread *of_thread;
};

enum { NAMES_ROOM_FIRST = 64 };

/* ---- the registry ---- */

static bool add_page(struct metrics *m, unsigned page)
{
    for (unsigned i = 0; i < m->threads; i++) {
        if (m->of_thread[i].pages[page] == NULL)
            m->of_thread[i].pages[page] = calloc(METRICS_PAGE, sizeof(cell_slot));
        if (m->of_thread[i].pages[page] == NULL)
            return false;
    }
    return true;
}

struct metrics *metrics_new(unsigned threads)
{
    struct metrics *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->threads = threads;
    m->series = 1;
    m->room = NAMES_ROOM_FIRST;
    m->names = calloc(m->room, sizeof *m->names);
    m->of_thread = calloc(threads, sizeof *m->of_thread);
    if (m->names != NULL && m->of_thread != NULL && add_page(m, 0))
        return m;
    metrics_end(m);
    return NULL;
}

static void end_page(cell_slot *page)
{
    for (unsigned i = 0; page != NULL && i < METRICS_PAGE; i++)
        free(atomic_load_explicit(&page[i], memory_order_relaxed));
    free(page);
}

void metrics_end(struct metrics *m)
{
    if (m == NULL)
        return;
    for (unsigned i = 0; m->of_thread != NULL && i < m->threads; i++)
        for (unsigned page = 0; page < METRICS_SERIES_MAX / METRICS_PAGE; page++)
            end_page(m->of_thread[i].pages[page]);
    free(m->of_thread);
    free(m->names);
    free(m);
}

struct metrics_thread *metrics_of_thread(struct metrics *m, unsigned thread)
{
    return &m->of_thread[thread];
}

/* Where a name stands, or the free place where it would. */
static struct name *place_of(struct name *names, uint32_t room, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (room - 1);
    while (names[at].hash != 0 && names[at].hash != hash)
        at = (at + 1) & (room - 1);
    return &names[at];
}

static bool make_room(struct metrics *m)
{
    if (m->series < m->room / 4 * 3)
        return true;
    struct name *names = calloc((size_t)m->room * 2, sizeof *names);
    if (names == NULL)
        return false;
    for (uint32_t i = 0; i < m->room; i++)
        if (m->names[i].hash != 0)
            *place_of(names, m->room * 2, m->names[i].hash) = m->names[i];
    free(m->names);
    m->names = names;
    m->room *= 2;
    return true;
}

static uint64_t hash_of(struct str site, struct str route)
{
    const uint64_t both[] = {hash_bytes(site), hash_bytes(route)};
    uint64_t hash = hash_bytes(str_from(both, sizeof both));
    return hash + (hash == 0);
}

uint32_t metrics_series(struct metrics *m, struct str site, struct str route)
{
    uint64_t hash = hash_of(site, route);
    const struct name *known = place_of(m->names, m->room, hash);
    if (known->hash != 0)
        return known->number;
    if (m->series == METRICS_SERIES_MAX || !make_room(m) ||
        (m->series % METRICS_PAGE == 0 && !add_page(m, m->series / METRICS_PAGE)))
        return 0;
    *place_of(m->names, m->room, hash) = (struct name){hash, m->series};
    return m->series++;
}

/* ---- counting ---- */

static struct cell *cell_of(struct metrics_thread *t, uint32_t series)
{
    cell_slot *slot = &t->pages[series / METRICS_PAGE][series % METRICS_PAGE];
    struct cell *cell = atomic_load_explicit(slot, memory_order_relaxed);
    if (cell != NULL)
        return cell;
    cell = calloc(1, sizeof *cell);
    atomic_store_explicit(slot, cell, memory_order_release);
    return cell;
}

/* One writer: a plain load and store are enough, readers only want no torn value. */
static void add(struct cell *cell, size_t counter, uint64_t n)
{
    _Atomic uint64_t *c = &cell->counters[counter];
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

#define AT(member) (offsetof(struct metrics_sum, member) / sizeof(uint64_t))

unsigned metrics_bucket(uint64_t us)
{
    unsigned at = 0;
    while (at < METRICS_BUCKETS - 1 && us > metrics_bounds_us[at])
        at++;
    return at;
}

static void observe(struct cell *cell, size_t histogram, uint64_t us)
{
    add(cell, histogram + metrics_bucket(us), 1);
    add(cell, histogram + METRICS_BUCKETS, us);
}

static void count_layer(struct cell *cell, unsigned layer)
{
    if (layer != ACCESS_NOT_REFUSED && layer < METRICS_LAYERS)
        add(cell, AT(refused) + layer, 1);
}

void metrics_count(struct metrics_thread *t, uint32_t series, const struct access_record *record)
{
    struct cell *cell = cell_of(t, series);
    if (cell == NULL)
        return;
    unsigned class = record->status / 100U;
    add(cell, AT(classes) + (class < METRICS_CLASSES ? class : 0), 1);
    count_layer(cell, record->refused_layer);
    add(cell, AT(bytes_in), record->bytes_in);
    add(cell, AT(bytes_out), record->bytes_out);
    if (!record->websocket)
        observe(cell, AT(total), record->total_us);
    if (record->connected_us != 0 && record->answer_us >= record->connected_us)
        observe(cell, AT(upstream), record->answer_us - record->connected_us);
}

void metrics_count_refused(struct metrics_thread *t, uint32_t series, enum access_layer layer)
{
    struct cell *cell = cell_of(t, series);
    if (cell != NULL)
        count_layer(cell, layer);
}

/* ---- reading ---- */

bool metrics_add_to(const struct metrics *m, uint32_t series, struct metrics_sum *sum)
{
    bool any = false;
    uint64_t values[COUNTERS];
    memcpy(values, sum, sizeof values);
    for (unsigned i = 0; i < m->threads; i++) {
        cell_slot *slot = &m->of_thread[i].pages[series / METRICS_PAGE][series % METRICS_PAGE];
        const struct cell *cell = atomic_load_explicit(slot, memory_order_acquire);
        for (size_t k = 0; cell != NULL && k < COUNTERS; k++)
            values[k] += atomic_load_explicit(&cell->counters[k], memory_order_relaxed);
        any = any || cell != NULL;
    }
    memcpy(sum, values, sizeof values);
    return any;
}
