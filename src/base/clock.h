/* Time. Durations and deadlines use the monotonic clock, records the wall clock. */
#ifndef PC_BASE_CLOCK_H
#define PC_BASE_CLOCK_H

#include "base/str.h"

struct text;

uint64_t clock_mono_us(void);
static inline uint64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}
/* Since 1970-01-01 UTC. */
uint64_t clock_wall_us(void);

/* "2026-11-21T12:34:56.789Z" (RFC 3339) */
void clock_add_rfc3339(struct text *text, uint64_t wall_us);

#endif
