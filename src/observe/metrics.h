/*
 * What is counted about requests, by site and route: how many, how they were answered, how long
 * they took, how much went through, who refused. A series is a pair of names of the configuration;
 * nothing that a client sends becomes a name, so the number of series is the operator's.
 *
 * The registry belongs to the worker's main thread and lives as long as the worker: a reload asks
 * for the numbers of its names and gets the old ones where the names are the same, so counters go
 * on. Each loop counts in cells of its own, made when a series is first used in that thread; no
 * thread writes what another one writes, and nobody locks. metrics_sum() adds the threads up.
 *
 * Units: microseconds and bytes, as in the record; whoever shows them makes seconds of them.
 */
#ifndef PC_OBSERVE_METRICS_H
#define PC_OBSERVE_METRICS_H

#include "observe/access_record.h"

enum {
    /* Upper bounds of the histograms' buckets are METRICS_BOUNDS_US; the last has none. */
    METRICS_BUCKETS = 13,
    METRICS_LAYERS = ACCESS_BY_PROXY + 1,
    /* 1xx to 5xx by their first digit; 0: no status was sent. */
    METRICS_CLASSES = 6,
    METRICS_PAGE = 1024,
    /* Names of a worker's whole life. Ten thousand routes may all be renamed five times; what comes
     * after that is counted for its site alone. Costs 21 bytes each, and 8 more for each thread. */
    METRICS_SERIES_MAX = 64 * METRICS_PAGE,
};

extern const uint32_t metrics_bounds_us[METRICS_BUCKETS - 1];

struct metrics_histogram {
    uint64_t buckets[METRICS_BUCKETS]; /* each for itself, not cumulative */
    uint64_t sum_us;
};

/* Of one series, or a sum of several. */
struct metrics_sum {
    uint64_t classes[METRICS_CLASSES];
    uint64_t refused[METRICS_LAYERS]; /* by enum access_layer */
    uint64_t bytes_in, bytes_out;
    struct metrics_histogram total;    /* of requests that did not become WebSockets */
    struct metrics_histogram upstream; /* connection at hand to first byte of the answer */
};

struct metrics;
/* One thread's cells. */
struct metrics_thread;

struct metrics *metrics_new(unsigned threads) __attribute__((warn_unused_result));
void metrics_end(struct metrics *metrics);
struct metrics_thread *metrics_of_thread(struct metrics *metrics, unsigned thread);

/*
 * The number of a series, from 1; 0 when there are too many or no memory is left. Of the main
 * thread; a loop may count for a number that it learnt from the main thread after this returned.
 * Series 0 always exists: what belongs to no site.
 */
uint32_t metrics_series(struct metrics *metrics, struct str site, struct str route);

/* Of the loop's thread: one request, at its end. Without memory for a cell it is not counted. */
void metrics_count(struct metrics_thread *thread, uint32_t series,
                   const struct access_record *record);
/* A connection that was refused before it was a request. */
void metrics_count_refused(struct metrics_thread *thread, uint32_t series, enum access_layer layer);

/* Of the main thread: adds a series' counts of all threads to `sum`; false when nothing was
 * counted. */
bool metrics_add_to(const struct metrics *metrics, uint32_t series, struct metrics_sum *sum);
/* Which bucket a duration falls into; a bound belongs to the bucket below it. */
unsigned metrics_bucket(uint64_t us);

#endif
