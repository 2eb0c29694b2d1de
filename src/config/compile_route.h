/* Routes: patterns, `when`, `strip`, `rewrite`, and the block. */
#ifndef PC_CONFIG_COMPILE_ROUTE_H
#define PC_CONFIG_COMPILE_ROUTE_H

#include "config/compile_state.h"

void compile_route(struct compile *c, const struct statement *s);
/* The one route of `site HOST… -> TARGET`; the arrow is the word `arrow`. */
void compile_route_short(struct compile *c, const struct statement *s, size_t arrow);

void compile_route_when(struct compile *c, const struct statement *s);
void compile_route_strip(struct compile *c, const struct statement *s);
void compile_route_rewrite(struct compile *c, const struct statement *s);

#endif
