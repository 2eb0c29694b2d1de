/* `check`: how origins are looked at. */
#ifndef PC_CONFIG_COMPILE_CHECK_H
#define PC_CONFIG_COMPILE_CHECK_H

#include "config/compile_state.h"

struct check_conf;

/* A row of the table: tells what is wrong with the line, and keeps it. */
void compile_check_line(struct compile *c, const struct statement *s);
/* What the settings in force say, in the arena of what is being built; NULL: nothing, or no memory.
 */
const struct check_conf *compile_check(struct compile *c, const struct settings *settings);

#endif
