/* Everything `metrics` serves, written out: docs/metrics.md lists the families. */
#ifndef PC_APP_WORKER_METRICS_H
#define PC_APP_WORKER_METRICS_H

#include "app/channel.h"

struct log_thread;
struct metrics;
struct origin_registry;
struct process_facts;
struct snapshot;
struct text;
struct worker_thread;

/* More routes than this get no histograms of their own, their site has them. */
enum { WORKER_METRICS_DETAILED_MAX = 1000 };

struct worker_metrics {
    struct metrics *counts;
    const struct process_facts *process;
    const struct worker_thread *threads;
    unsigned thread_count;
    struct snapshot *snapshot; /* the latest; NULL: nothing is served yet */
    struct origin_registry *origins;
    struct log_thread *log;
    const struct front_log *logs; /* which log is in which slot */
    unsigned log_count;
    struct letter_history history; /* of the instance, as the supervisor tells it */
};

/* Numbers for the names of a new snapshot, before any loop gets it. */
void worker_metrics_name(struct metrics *counts, struct snapshot *snapshot);
/* Cut where the text's bound or memory ends. */
void worker_metrics_write(const struct worker_metrics *m, struct text *out);

#endif
