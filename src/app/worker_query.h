/*
 * What a running worker answers: one table of questions, each with the function that answers it on
 * the worker's main thread. Whoever asks has been let in by the supervisor (control.h).
 */
#ifndef PC_APP_WORKER_QUERY_H
#define PC_APP_WORKER_QUERY_H

#include "app/query_desk.h"

struct log_thread;
struct snapshot;
struct worker_thread;

/* What the functions may look at. */
struct worker_view {
    struct worker_thread *threads;
    unsigned thread_count;
    struct snapshot *snapshot; /* the latest; NULL: nothing is served yet */
    struct log_thread *log;
};

/* For query_desk_init(); `view` is a struct worker_view. */
bool worker_query_answer(struct query *query, void *view);

#endif
