/* `header` lines. */
#ifndef PC_CONFIG_COMPILE_HEADER_H
#define PC_CONFIG_COMPILE_HEADER_H

#include "config/compile_state.h"

void compile_header_line(struct compile *c, const struct statement *s);
/* The lines in force, outer first. */
void compile_header_build(struct compile *c, const struct settings *settings,
                          struct route_conf *conf);

/*
 * Compiles a template from a word and tells what is wrong with it; false then. `groups`: may it use
 * $1 to $9? `with_rest`: may it end in a `*`?
 */
bool compile_header_template(struct compile *c, struct arena *arena, const struct word *word,
                             bool with_rest, bool groups, struct template *out);

#endif
