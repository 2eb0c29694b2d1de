#include "base/clock.h"

#include "base/text.h"

#include <time.h>

static uint64_t now_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_mono_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

uint64_t clock_wall_us(void)
{
    return now_us(CLOCK_REALTIME);
}

void clock_add_rfc3339(struct text *text, uint64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    text_printf(text, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", tm.tm_year + 1900, tm.tm_mon + 1,
                tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(wall_us / 1000 % 1000));
}
