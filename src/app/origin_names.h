/* Which origins of the configuration somebody means: for `portcullis drain ORIGIN`. */
#ifndef PC_APP_ORIGIN_NAMES_H
#define PC_APP_ORIGIN_NAMES_H

#include "app/query_desk.h"

struct snapshot;

/* A row of worker_query.c: "origin" TEXT. Answers the texts it stands for, as the configuration
 * writes them (http:// may be left out), a line each; fails where there is none. */
bool origin_names_answer(struct query *query, const struct snapshot *snapshot);

#endif
