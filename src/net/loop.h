/*
 * The event loop of one thread: descriptors (epoll, level-triggered), timers, deferred calls, and a
 * mailbox that other threads may post to. Everything but loop_post() and loop_stop() is called on
 * the loop's own thread. Structures are embedded in their owners, who take them out before they
 * free them. A callback may take out or free anything, itself included, if the freeing goes
 * through loop_defer(): events already fetched for a descriptor that is taken out are dropped.
 */
#ifndef PC_NET_LOOP_H
#define PC_NET_LOOP_H

#include "base/str.h"
#include "net/timer.h"

#include <stdatomic.h>

struct loop;

enum { LOOP_IN = 1, LOOP_OUT = 2, LOOP_HUP = 4 /* reported only: error or both sides closed */ };

struct loop_io {
    int fd;
    uint8_t wanted; /* cached, so that an unchanged interest costs no system call */
    bool first;     /* of the events of one turn its own come before those of others */
    void (*on_event)(struct loop_io *io, uint32_t events);
};

struct loop_task {
    struct loop_task *next;
    void (*run)(struct loop_task *task);
};

struct loop *loop_new(unsigned index) __attribute__((warn_unused_result));
void loop_end(struct loop *loop);
unsigned loop_index(const struct loop *loop);
/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop); /* from any thread */

bool loop_add(struct loop *loop, struct loop_io *io, uint32_t wanted)
    __attribute__((warn_unused_result));
void loop_want(struct loop *loop, struct loop_io *io, uint32_t wanted);
void loop_remove(struct loop *loop, struct loop_io *io);

/* Monotonic, as of the start of this turn. */
uint64_t loop_now_ms(const struct loop *loop);
/* Fires once, never early, at most a few ms (1/64 of the delay) late. Setting again moves it. */
void timer_set(struct loop *loop, struct loop_timer *timer, uint64_t after_ms);
void timer_clear(struct loop_timer *timer);

/* Runs at the end of this turn, after all events: the place to free. */
void loop_defer(struct loop *loop, struct loop_task *task);
/* Runs on the loop's thread soon; from any thread. The poster gives up the task until it has run.
 */
void loop_post(struct loop *loop, struct loop_task *task);

/* Turns and the start of the present one (monotonic ms, 0 while waiting): for a watchdog. */
uint64_t loop_turns(const struct loop *loop);

#endif
