/* The families of `metrics` about origins; docs/metrics.md lists them. */
#ifndef PC_APP_ORIGIN_METRICS_H
#define PC_APP_ORIGIN_METRICS_H

#include <stdint.h>

struct origin_registry;
struct text;

/* What is the same as written is one origin, though it may be reached in several ways. */
void origin_metrics_write(struct origin_registry *registry, uint64_t now_ms, struct text *out);

#endif
