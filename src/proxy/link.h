/*
 * Links in an origin's answer that name its own side of a route: Location, Content-Location,
 * Refresh and cookies get the public prefix back that `strip` took away, and absolute URLs of the
 * origin or of the public name become paths of the public side.
 */
#ifndef PC_PROXY_LINK_H
#define PC_PROXY_LINK_H

#include "http/message.h"

struct exchange;
struct route;

/* What `strip` removes, without its final slash, as it stands in a URL: "/my%20app"; empty where
 * nothing is stripped, and at the arena's cap. */
struct str link_prefix(struct arena *arena, const struct route *route);
/* The new value of a field of an answer, in the exchange's arena; false where it stays. */
bool link_rewrite(struct exchange *x, const struct field *field, struct str *value);

#endif
