/*
 * Lines on their way from one thread (a loop) to another (the log thread): a bounded queue of bytes
 * with one producer and one consumer, without locks. Putting a line never waits: a full ring drops
 * it and counts. The consumer is woken by a system call only when it sleeps, or naps while the ring
 * is filling up; see `struct log_waker`.
 */
#ifndef PC_OBSERVE_LOG_RING_H
#define PC_OBSERVE_LOG_RING_H

#include "base/str.h"

#include <stdatomic.h>

struct log_ring;

enum {
    /* Twice the longest access line; what is longer is dropped. */
    LOG_LINE_MAX = 32 * 1024,
    /* Slots that a line can be meant for. */
    LOG_TARGETS_MAX = 64,
};

/* What the consumer is doing. It naps after work, so that lines gather and are written together. */
enum log_waker_state { LOG_AWAKE, LOG_NAPPING, LOG_ASLEEP };

/* Shared by all rings of one consumer, which owns it. */
struct log_waker {
    atomic_int state; /* enum log_waker_state */
    int event_fd;     /* an eventfd */
};

/* Wakes the consumer if it is not awake; from any thread. */
void log_waker_wake(struct log_waker *waker);

/* `bytes` is a power of two, at least 2 * LOG_LINE_MAX. NULL without memory. */
struct log_ring *log_ring_new(struct log_waker *waker, size_t bytes)
    __attribute__((warn_unused_result));
void log_ring_end(struct log_ring *ring);

/*
 * The producer: copies one line, without its newline, for the slot `target` (below
 * LOG_TARGETS_MAX). False when it was dropped: the ring is full or the line too long.
 */
bool log_ring_put(struct log_ring *ring, unsigned target, struct str line);

/* The consumer: the oldest line, in two parts where it wraps; false when there is none. */
bool log_ring_peek(const struct log_ring *ring, unsigned *target, struct str parts[2]);
/* Gives up the line just seen by log_ring_peek(). */
void log_ring_next(struct log_ring *ring);
bool log_ring_empty(const struct log_ring *ring);
bool log_ring_half_full(const struct log_ring *ring);

/* Lines dropped so far; from any thread. */
uint64_t log_ring_dropped(const struct log_ring *ring);

#endif
