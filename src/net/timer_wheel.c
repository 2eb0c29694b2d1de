#include "net/timer_wheel.h"

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
    wheel->tick = now_ms / WHEEL_TICK_MS;
    wheel->waiting = 0;
    for (int level = 0; level < WHEEL_LEVELS; level++)
        for (int slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
}

/* The tick at or behind a time: rounding up keeps timers from firing early. */
static uint64_t tick_of(uint64_t at_ms)
{
    return (at_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
}

/* `tick` is not before wheel->tick; the slot of wheel->tick itself is for cascade(), which precedes
 * the running of that slot. */
static void place(struct timer_wheel *wheel, struct loop_timer *timer, uint64_t tick)
{
    uint64_t ahead = tick - wheel->tick;
    int level = 0;
    while (level < WHEEL_LEVELS - 1 && ahead >= (uint64_t)1 << 8 * (level + 1))
        level++;
    if (ahead >= (uint64_t)1 << 8 * WHEEL_LEVELS)
        tick = wheel->tick + ((uint64_t)1 << 8 * WHEEL_LEVELS) - 1;
    size_t slot = tick >> 8 * level & (WHEEL_SLOTS - 1);
    list_add(&wheel->slots[level][slot], &timer->link);
}

void timer_wheel_add(struct timer_wheel *wheel, struct loop_timer *timer)
{
    uint64_t tick = tick_of(timer->at_ms);
    place(wheel, timer, tick > wheel->tick ? tick : wheel->tick + 1);
    wheel->waiting++;
}

/* Deals the timers of a slot out again: to a lower wheel, or what is due now to the slot run next.
 */
static void cascade(struct timer_wheel *wheel, int level)
{
    struct link *slot = &wheel->slots[level][wheel->tick >> 8 * level & (WHEEL_SLOTS - 1)];
    struct link moved;
    list_init(&moved);
    while (!list_empty(slot)) {
        struct link *link = slot->next;
        list_remove(link);
        list_add(&moved, link);
    }
    while (!list_empty(&moved)) {
        struct loop_timer *timer = LIST_OF(moved.next, struct loop_timer, link);
        uint64_t tick = tick_of(timer->at_ms);
        list_remove(&timer->link);
        place(wheel, timer, tick > wheel->tick ? tick : wheel->tick);
    }
}

/* Cleared timers leave no trace in their slot, so an empty wheel is found by looking. */
static bool wheel_empty(const struct timer_wheel *wheel)
{
    for (int level = 0; level < WHEEL_LEVELS; level++)
        for (int slot = 0; slot < WHEEL_SLOTS; slot++)
            if (!list_empty(&wheel->slots[level][slot]))
                return false;
    return true;
}

static void run_tick(struct timer_wheel *wheel)
{
    wheel->tick++;
    int top = 0; /* wheels whose lower ones have gone round are dealt out, highest first */
    while (top < WHEEL_LEVELS - 1 && (wheel->tick & (((uint64_t)1 << 8 * (top + 1)) - 1)) == 0)
        top++;
    for (int level = top; level >= 1; level--)
        cascade(wheel, level);
    if (top > 0 && wheel_empty(wheel)) /* once a round, so that an idle loop comes to sleep */
        wheel->waiting = 0;
    struct link *slot = &wheel->slots[0][wheel->tick & (WHEEL_SLOTS - 1)];
    while (!list_empty(slot)) {
        struct loop_timer *timer = LIST_OF(slot->next, struct loop_timer, link);
        list_remove(&timer->link);
        wheel->waiting--;
        timer->at_ms = 0;
        timer->on_fire(timer);
    }
}

void timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ms)
{
    uint64_t now = now_ms / WHEEL_TICK_MS;
    if (now > wheel->tick + WHEEL_SLOTS && wheel_empty(wheel)) {
        wheel->tick = now;
        wheel->waiting = 0;
    }
    while (wheel->tick < now)
        run_tick(wheel);
}

int timer_wheel_wait(const struct timer_wheel *wheel, uint64_t now_ms)
{
    if (wheel->waiting == 0)
        return -1;
    /* To the next full slot, at most to where the lowest wheel has gone round. */
    uint64_t tick = wheel->tick + 1;
    while ((tick & (WHEEL_SLOTS - 1)) != 0 &&
           list_empty(&wheel->slots[0][tick & (WHEEL_SLOTS - 1)]))
        tick++;
    uint64_t at_ms = tick * WHEEL_TICK_MS;
    return at_ms <= now_ms ? 0 : (int)(at_ms - now_ms);
}
