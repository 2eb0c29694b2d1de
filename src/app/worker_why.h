/*
 * The worker's side of `why` and `tail`: records as lines of JSON, as the log has them.
 *
 *     why ref REFERENCE | from ADDRESS [unmask 1]     what the loops remember, the latest first
 *     tail [host H] [route R] [status S] [from CIDR] [slow MS]
 *                                                     records as they end, without end; between
 *         them {"kind":"lost","count":N} and, last, {"kind":"replaced"} when this worker drains
 *
 * Values are masked as in a log without `log_show`; root may ask for them unmasked.
 */
#ifndef PC_APP_WORKER_WHY_H
#define PC_APP_WORKER_WHY_H

#include "app/query_desk.h"
#include "app/worker_view.h"

enum {
    /* Refusals of an address that are shown. */
    WHY_REFUSALS_MAX = 20,
};
/* Text that waits for one reader of `tail`; beyond it records are lost for him. */
#define TAIL_BACKLOG_BYTES ((size_t)256 * 1024)

bool worker_why(struct query *query, const struct worker_view *view);
bool worker_tail(struct query *query, const struct worker_view *view);

#endif
