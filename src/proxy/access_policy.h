/*
 * Who is let in by a route, as far as the configuration decides it before a request is inspected:
 * what two routes must have in common so that it does not matter on which of them a path falls.
 */
#ifndef PC_PROXY_ACCESS_POLICY_H
#define PC_PROXY_ACCESS_POLICY_H

#include "proxy/snapshot.h"

/*
 * Do both let the same clients in, by the lists of all levels? Compared as written: the same rules
 * in the same order. NULL is a route without any.
 */
bool access_policy_same(const struct route_conf *a, const struct route_conf *b);
/* Do the lists of all levels let this client in? */
bool access_policy_admits(const struct route_conf *conf, const struct addr *client);

#endif
