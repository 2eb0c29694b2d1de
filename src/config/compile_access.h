/* `allow` and `deny`. */
#ifndef PC_CONFIG_COMPILE_ACCESS_H
#define PC_CONFIG_COMPILE_ACCESS_H

#include "config/compile_state.h"

void compile_access_rule(struct compile *c, const struct statement *s);
/* Builds the list of a level in the site's arena, into `access_built`; tells rules that never
 * match. */
void compile_access_build(struct compile *c, struct settings *settings, enum level level);
/* The CIDR words of a statement from `from` on; NULL when there are none. */
struct cidr *compile_access_nets(struct compile *c, const struct statement *s, size_t from,
                                 size_t *count);

#endif
