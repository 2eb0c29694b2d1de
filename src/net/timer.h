/* A timer, embedded in whoever waits. Set and cleared by timer_set() and timer_clear() of loop.h.
 */
#ifndef PC_NET_TIMER_H
#define PC_NET_TIMER_H

#include "base/list.h"

#include <stdint.h>

struct loop_timer {
    struct link link;
    uint64_t at_ms; /* on the loop's clock; 0: not set */
    void (*on_fire)(struct loop_timer *timer);
};

#endif
