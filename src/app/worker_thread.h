/*
 * One loop thread of the worker with its front. The calls here are made on the worker's main thread
 * and carried out on the loop's; what they lead to is read back from atomics. After each the
 * `wake` descriptor is written to, so that the main thread looks again.
 */
#ifndef PC_APP_WORKER_THREAD_H
#define PC_APP_WORKER_THREAD_H

#include "net/addr.h"
#include "proxy/front.h"

#include <pthread.h>
#include <stdatomic.h>

struct worker_thread {
    struct loop *loop;
    struct front *front;
    struct resolver *resolver;
    struct health *health;    /* the first thread's: looks at origins */
    struct name_check *names; /* the first thread's: warns of names that do not resolve */
    pthread_t thread;
    bool running;
    int wake;                /* eventfd of the main thread */
    _Atomic uint64_t in_use; /* the generation it serves by */
    atomic_bool idle;        /* nothing is open any more; meaningful while draining */
    struct front_conf conf;
};

/* Makes loop and front; the thread runs from worker_thread_start() on. */
bool worker_thread_init(struct worker_thread *t, unsigned index, int wake)
    __attribute__((warn_unused_result));
bool worker_thread_start(struct worker_thread *t) __attribute__((warn_unused_result));

/* Copies the list of logs, which go with the snapshot. */
void worker_thread_use(struct worker_thread *t, struct snapshot *snapshot,
                       const struct front_log *logs, size_t log_count);
/* The descriptor is given away. */
void worker_thread_listen(struct worker_thread *t, const struct addr *addr, bool tls, int fd);
void worker_thread_unlisten(struct worker_thread *t, const struct addr *addr);
void worker_thread_drain(struct worker_thread *t, bool now);
/* Looks whether it is idle. */
void worker_thread_look(struct worker_thread *t);
/*
 * Runs `what` on the loop's thread and waits for it, so that the main thread may read what belongs
 * to the loop; for people's questions, not for the path of requests. False when the loop did not
 * get to it within THREAD_DO_MS: then it never will run.
 */
#define THREAD_DO_MS 2000
bool worker_thread_do(struct worker_thread *t, void (*what)(struct front *front, void *arg),
                      void *arg) __attribute__((warn_unused_result));
/* Closes everything and waits for the thread's end. */
void worker_thread_end(struct worker_thread *t);

#endif
