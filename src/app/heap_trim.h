/*
 * When the worker's heap is worth giving back. Between requests it is kept (worker.c), but what a
 * flood has taken would stay for good: once most of the connections of a crowd are gone, it is
 * trimmed. That holds up the loops' allocations for a millisecond or three, so it is done seldom.
 */
#ifndef PC_APP_HEAP_TRIM_H
#define PC_APP_HEAP_TRIM_H

#include <stdbool.h>
#include <stdint.h>

enum {
    HEAP_TRIM_CROWD = 100,         /* fewer never take what is worth it */
    HEAP_TRIM_PAUSE_MS = 5 * 1000, /* from one to the next */
};

/* Zeroed at the start. */
struct heap_trim {
    uint64_t most; /* connections open at once since the last one */
    uint64_t last_ms;
    bool again; /* once more after the pause, for what the last of them had */
};

/* Called about twice a second with how many connections are open. True: it is time. */
bool heap_trim_due(struct heap_trim *trim, uint64_t open, uint64_t now_ms)
    __attribute__((warn_unused_result));

#endif
