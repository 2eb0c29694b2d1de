/* `metrics`: where Prometheus asks. */
#ifndef PC_CONFIG_COMPILE_METRICS_H
#define PC_CONFIG_COMPILE_METRICS_H

#include "config/compile_state.h"

void compile_metrics(struct compile *c, const struct statement *s);

#endif
