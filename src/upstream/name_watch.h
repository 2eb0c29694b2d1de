/*
 * Follows the addresses of an origin that is a name, as long as connections to it are kept: every
 * NAME_WATCH_MS it asks the resolver, which knows their TTL, and when addresses have vanished from
 * the answer, idle connections to them go. So kept-alive connections do not hold on to a server
 * that the DNS has moved away from. While the DNS fails the last good answer stands (resolver.h);
 * when it says that the name is gone, all addresses are.
 */
#ifndef PC_UPSTREAM_NAME_WATCH_H
#define PC_UPSTREAM_NAME_WATCH_H

#include "net/resolver.h"
#include "upstream/pool.h"

enum { NAME_WATCH_MS = 1000 };

struct name_watch;

/* Of one pool, on its loop; the host is copied. */
struct name_watch *name_watch_new(struct resolver *resolver, struct str host, struct pool *pool)
    __attribute__((warn_unused_result));
/* NULL is allowed. */
void name_watch_end(struct name_watch *watch);

/* A connection is about to be kept: false when its address is known to have vanished. */
bool name_watch_keep(struct name_watch *watch, const struct addr *peer);

#endif
