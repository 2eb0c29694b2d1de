/* Origins for `portcullis status`: what all threads know of each, as JSON. */
#ifndef PC_APP_ORIGIN_STATUS_H
#define PC_APP_ORIGIN_STATUS_H

#include "app/query_desk.h"

struct worker_thread;

/* Those that are not up come first; of more than these only the number is said. */
enum { ORIGIN_STATUS_MAX = 1000 };

/* A row of worker_query.c: {"origins":[…],"origins_not_shown":N}. */
bool origin_status_answer(struct query *query, struct worker_thread *threads,
                          unsigned thread_count);

#endif
