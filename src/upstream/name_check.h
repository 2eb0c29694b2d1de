/*
 * Asks once for the names of a new configuration's origins and warns of those that do not resolve,
 * naming the line. The proxy serves all the same: such an origin is a 502 until its name resolves.
 * Each name is warned about once. It also fills the cache of the resolver it asks.
 */
#ifndef PC_UPSTREAM_NAME_CHECK_H
#define PC_UPSTREAM_NAME_CHECK_H

#include "net/resolver.h"
#include "upstream/upstream_conf.h"

struct name_check;

struct name_check *name_check_new(struct resolver *resolver) __attribute__((warn_unused_result));
/* Asks for all names among the origins; what is needed of them is copied. */
void name_check_add(struct name_check *check, const struct upstream_conf *conf);
/* Warns no more. Before resolver_end(); NULL is allowed. */
void name_check_end(struct name_check *check);

#endif
