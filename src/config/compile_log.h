/* `log` and `log_show`. */
#ifndef PC_CONFIG_COMPILE_LOG_H
#define PC_CONFIG_COMPILE_LOG_H

#include "config/compile_state.h"

void compile_log_line(struct compile *c, const struct statement *s);
void compile_log_show(struct compile *c, const struct statement *s);
/* Names the target among those of the site. */
void compile_log_build(struct compile *c, const struct settings *settings, struct log_conf *conf);
/* All targets of all sites, each once, into the snapshot. */
void compile_log_collect(struct compile *c);

#endif
