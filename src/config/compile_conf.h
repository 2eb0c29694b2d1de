/* The settings in force at a level, as a route_conf of the site being built. */
#ifndef PC_CONFIG_COMPILE_CONF_H
#define PC_CONFIG_COMPILE_CONF_H

#include "config/compile_state.h"

/* NULL without memory. */
const struct route_conf *compile_conf_build(struct compile *c, struct settings *settings);

#endif
