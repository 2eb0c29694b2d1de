/*
 * The active checks of a worker (`check`): each origin is looked at once per interval for the
 * whole process, however many routes and threads use it. All of it lives on one loop. A check is
 * known by the origin's identity and its own parameters: what a reload leaves as it was keeps its
 * state and its rhythm, what no configuration names any more stops, and counts no more.
 *
 * An origin is up until `fall` looks in a row were not well, then down until `rise` were; of
 * several checks of one origin all must be well. Each change is one line of the log, and stands in
 * the origin's shared record with its cause. What ran out on our side (descriptors, ports) counts
 * neither way.
 */
#ifndef PC_UPSTREAM_HEALTH_H
#define PC_UPSTREAM_HEALTH_H

#include "net/loop.h"
#include "upstream/upstream_conf.h"

struct health;
struct origin_registry;
struct resolver;

struct health_conf {
    struct loop *loop;
    struct resolver *resolver;
    struct origin_registry *origins;
};

struct health *health_new(const struct health_conf *conf) __attribute__((warn_unused_result));
/* Before the registry and the loop. NULL is allowed. */
void health_end(struct health *health);

/*
 * A configuration: begin, add each of its upstreams, then commit. What is added replaces what was
 * known by the same key; from commit on nothing of the configuration before is looked at.
 */
void health_begin(struct health *health);
void health_add(struct health *health, const struct upstream_conf *conf);
void health_commit(struct health *health);

#endif
