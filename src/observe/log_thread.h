/*
 * The log thread: takes lines from one ring per loop and writes them to up to LOG_TARGETS_MAX
 * targets, which are slots numbered by the caller. Loops never wait for it: a full ring drops and
 * counts, and a line is on its way to the target within about 10 ms.
 *
 * It opens nothing: descriptors come from above (the process that writes may open no file) and are
 * replaced at run time, for rotation and SIGUSR1. What it needs it says by `on_want`, on its own
 * thread. Threads that call the functions below, other than a ring's producer, may be any.
 *
 *     log_thread_new -> log_thread_set_target, log_thread_ring … -> log_thread_stop
 */
#ifndef PC_OBSERVE_LOG_THREAD_H
#define PC_OBSERVE_LOG_THREAD_H

#include "observe/log_ring.h"
#include "observe/log_sink.h"

struct log_thread;

/* At 50,000 lines of 500 bytes a second a quarter of a megabyte lasts the nap of 10 ms. */
#define LOG_RING_BYTES ((size_t)256 * 1024)

struct log_thread_conf {
    unsigned rings;    /* one per producing thread */
    size_t ring_bytes; /* a power of two; 0: LOG_RING_BYTES */
    /* Called on the log thread; must not wait. May be NULL. See enum log_want. */
    void (*on_want)(void *user, unsigned target, enum log_want want);
    void *user;
};

/* Starts the thread, with all signals blocked. NULL without memory, descriptors or threads. */
struct log_thread *log_thread_new(const struct log_thread_conf *conf)
    __attribute__((warn_unused_result));
struct log_ring *log_thread_ring(struct log_thread *thread, unsigned index);

/*
 * Opens the slot, or changes what it is; `fd` is taken over: a file opened with O_APPEND, a dup of
 * stderr, a datagram socket connected to /dev/log, or -1 when it comes later. Lines put after this
 * returned find the slot open; where it was open, those put before go to the old descriptor.
 */
void log_thread_set_target(struct log_thread *thread, unsigned target,
                           const struct log_sink_conf *conf, int fd);
/* Another descriptor for the same target; -1 is allowed: lines wait as far as 64 KiB go. */
void log_thread_set_fd(struct log_thread *thread, unsigned target, int fd);
/* Closes the slot, after what is queued was written. Later lines for it are dropped and counted. */
void log_thread_clear_target(struct log_thread *thread, unsigned target);

struct log_counts {
    uint64_t lines, bytes, dropped;
};
/* Of one slot, over all it has been. */
struct log_counts log_thread_counts(const struct log_thread *thread, unsigned target);
/* Lines dropped by full rings. */
uint64_t log_thread_dropped(const struct log_thread *thread);
/* All lines that were lost: those, and what a slot could not write (a full disk, a slow reader). */
uint64_t log_thread_lost(const struct log_thread *thread);

/*
 * Writes what is queued, for at most `wait_ms`, ends the thread and frees all. Producers must have
 * stopped. False when the thread hangs in a write: then it is left behind, with its memory.
 */
bool log_thread_stop(struct log_thread *thread, unsigned wait_ms);

#endif
