/*
 * Sees to it that no event loop stands still: one that makes no turn for WATCHDOG_MS, though it was
 * given something to do, serves nobody, and the worker is better replaced than kept. It runs on the
 * worker's main thread, which twice a second posts a task to each loop that has run the last one.
 *
 * Time that the main thread did not have either does not count: a machine that slept, or a worker
 * that was stopped, has hung nowhere.
 */
#ifndef PC_APP_WATCHDOG_H
#define PC_APP_WATCHDOG_H

#include "app/channel.h"
#include "net/loop.h"

#include <pthread.h>

/* Far above the worst turn of a loop that is merely busy; under sanitizers everything is slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { WATCHDOG_MS = 10 * 1000 };
#else
enum { WATCHDOG_MS = 2000 };
#endif
enum { WATCHDOG_LOOK_MS = 500 };

struct watched {
    struct loop *loop;
    pthread_t thread;
    struct loop_task ping;
    atomic_bool asked;  /* the ping was posted and has not run */
    uint64_t stands_ms; /* since then, of the main thread's own time */
};

struct watchdog {
    uint64_t looked_ms;
    unsigned count;
    struct watched loops[THREADS_MAX];
};

/* Before the worker locks itself up: loads what a stack is found with, takes SIGUSR2. */
void watchdog_init(struct watchdog *dog);
/* The loop runs on that thread from now on. Both outlive the watchdog's last look. */
void watchdog_watch(struct watchdog *dog, struct loop *loop, pthread_t thread);
/* To be called every WATCHDOG_LOOK_MS or more often. Answers which loop stands still, or -1. */
int watchdog_look(struct watchdog *dog, uint64_t now_ms) __attribute__((warn_unused_result));
/* When it is to be called again, in ms; -1: there is nothing to watch. */
int watchdog_timeout(const struct watchdog *dog, uint64_t now_ms);
/* Logs that it stands still, and where: that thread writes its stack to stderr. */
void watchdog_tell(const struct watchdog *dog, unsigned index);

#endif
