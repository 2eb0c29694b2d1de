/* `explain` of a running worker: by the configuration it serves, with what it knows of origins. */
#ifndef PC_APP_WORKER_EXPLAIN_H
#define PC_APP_WORKER_EXPLAIN_H

#include "app/query_desk.h"

struct snapshot;
struct worker_thread;

bool worker_explain(struct query *query, struct snapshot *snapshot, struct worker_thread *threads,
                    unsigned thread_count);

#endif
