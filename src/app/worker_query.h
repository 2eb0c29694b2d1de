/*
 * What a running worker answers: one table of questions, each with the function that answers it on
 * the worker's main thread. Whoever asks has been let in by the supervisor (control.h).
 */
#ifndef PC_APP_WORKER_QUERY_H
#define PC_APP_WORKER_QUERY_H

#include "app/query_desk.h"
#include "app/worker_view.h"

/* For query_desk_init(); `view` is a struct worker_view. */
bool worker_query_answer(struct query *query, void *view);

#endif
