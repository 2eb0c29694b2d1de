/* What those who answer questions (worker_query.h) may look at, on the worker's main thread. */
#ifndef PC_APP_WORKER_VIEW_H
#define PC_APP_WORKER_VIEW_H

#include <stdbool.h>

struct log_thread;
struct snapshot;
struct worker_thread;

struct worker_view {
    struct worker_thread *threads;
    unsigned thread_count;
    struct snapshot *snapshot; /* the latest; NULL: nothing is served yet */
    struct log_thread *log;
    bool draining; /* another worker takes its place, or the end has come */
};

#endif
