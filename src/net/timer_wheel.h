/*
 * Timers by hashed wheels: setting, moving and clearing cost a few instructions whatever their
 * number. Ticks are 4 ms; four wheels of 256 slots reach 198 days, later ones wait there. A timer
 * never fires early and at most one tick late. The loop's own; others use timer_set() of loop.h.
 */
#ifndef PC_NET_TIMER_WHEEL_H
#define PC_NET_TIMER_WHEEL_H

#include "net/timer.h"

enum { WHEEL_LEVELS = 4, WHEEL_SLOTS = 256, WHEEL_TICK_MS = 4 };

struct timer_wheel {
    uint64_t tick;  /* the last one handled */
    size_t waiting; /* an upper bound: cleared timers are counted until the wheel is empty */
    struct link slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);
void timer_wheel_add(struct timer_wheel *wheel, struct loop_timer *timer);
/* Fires what is due. */
void timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ms);
/* ms until something may be due; -1 when no timer is set. */
int timer_wheel_wait(const struct timer_wheel *wheel, uint64_t now_ms);

#endif
