/* What stands behind `->`: origins or an action. */
#ifndef PC_CONFIG_COMPILE_TARGET_H
#define PC_CONFIG_COMPILE_TARGET_H

#include "config/compile_state.h"

/* The words of `s` from `from` on. False after telling what is wrong. */
bool compile_target(struct compile *c, const struct settings *settings, const struct statement *s,
                    size_t from, struct target *target);

#endif
