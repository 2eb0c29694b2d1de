/* Origins as an upstream_conf: what a route forwards to, with its TLS. */
#ifndef PC_CONFIG_COMPILE_UPSTREAM_H
#define PC_CONFIG_COMPILE_UPSTREAM_H

#include "config/compile_state.h"

struct upstream_conf;

/* Of the words from `from` on, under the settings in force. NULL after telling what is wrong. */
const struct upstream_conf *compile_upstream(struct compile *c, const struct settings *settings,
                                             const struct statement *s, size_t from);
#endif
