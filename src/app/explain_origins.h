/*
 * The origins of an explanation: their state, and which would be asked. In a worker each thread is
 * asked, since each has a round of its own; without an instance a fresh one is supposed.
 */
#ifndef PC_APP_EXPLAIN_ORIGINS_H
#define PC_APP_EXPLAIN_ORIGINS_H

#include "proxy/report.h"
#include "upstream/upstream.h"

struct origin_registry;

/* What one thread would do. */
struct explain_choice {
    enum upstream_choice choice;
    unsigned index;
};

/* A line for each origin, with its state; `registry` NULL: that is not known. */
void explain_origins_tell(struct report *report, const struct upstream_conf *upstream,
                          struct origin_registry *registry);
/* Tells what the threads would do; answers the origin that all would ask, or -1. */
int explain_origins_choose(struct report *report, const struct upstream_conf *upstream,
                           const struct explain_choice *choices, unsigned count);

/* explain_live.origins without an instance. `user` is not looked at. */
int explain_origins_fresh(void *user, const struct upstream_conf *upstream, uint64_t key,
                          struct report *report);

#endif
