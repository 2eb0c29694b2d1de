#include "app/heap_trim.h"

bool heap_trim_due(struct heap_trim *trim, uint64_t open, uint64_t now_ms)
{
    if (open > trim->most)
        trim->most = open;
    bool gone = trim->most >= HEAP_TRIM_CROWD && open <= trim->most / 4;
    if (!gone && !trim->again)
        return false;
    if (trim->last_ms != 0 && now_ms - trim->last_ms < HEAP_TRIM_PAUSE_MS)
        return false;
    trim->again = gone;
    trim->most = open;
    trim->last_ms = now_ms;
    return true;
}
