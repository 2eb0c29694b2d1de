/*
 * Named upstreams: `upstream NAME { server ORIGIN …; … }` at top level, and routes that name one as
 * their target. Each is compiled once to tell its errors, and then into every site that uses it,
 * since sites live on over reloads; what has a memory of its own is known by the origins' identity
 * and is one all the same.
 */
#ifndef PC_CONFIG_COMPILE_NAMED_H
#define PC_CONFIG_COMPILE_NAMED_H

#include "config/compile_state.h"

/* The rows `upstream` and `server`. Blocks are compiled after all that stands at top level, which
 * is their default, and before the sites. */
void compile_named_block(struct compile *c, const struct statement *s);
void compile_named_server(struct compile *c, const struct statement *s);
/* Warns of those that no route names. */
void compile_named_tell_unused(struct compile *c, const struct tree *tree);

/* The upstream that the target beginning at this word names, or NULL when it is something else. */
struct named *compile_named_target(const struct compile *c, const struct statement *s, size_t from);
/* For the site being built; NULL when its errors are told. */
const struct upstream_conf *compile_named_conf(struct compile *c, struct named *named,
                                               const struct statement *s, size_t from);
/* What its block says for routes: `host` and the timeouts of answers. Before the route's own. */
void compile_named_lend(struct compile *c, const struct named *named, struct settings *settings);
/* Tells what a route says that its upstream says already. */
void compile_named_check_route(struct compile *c, const struct named *named,
                               const struct block *block);

#endif
