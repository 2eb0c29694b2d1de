/* `allow` and `deny`. */
#ifndef PC_CONFIG_COMPILE_ACCESS_H
#define PC_CONFIG_COMPILE_ACCESS_H

#include "config/compile_state.h"

void compile_access_rule(struct compile *c, const struct statement *s);
/* Builds the list of a level in the site's arena, into `access_built`; tells rules that never
 * match. */
void compile_access_build(struct compile *c, struct settings *settings, enum level level);
/* A list of its own: the `allow` and `deny` lines of a block; NULL when there are none. */
const struct access_list *compile_access_block(struct compile *c, const struct block *block);
/* The CIDR words of a statement from `from` on; NULL when there are none. */
struct cidr *compile_access_nets(struct compile *c, const struct statement *s, size_t from,
                                 size_t *count);

#endif
