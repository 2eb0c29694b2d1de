#include "app/worker_thread.h"

#include "base/log.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "proxy/snapshot.h"
#include "upstream/health.h"
#include "upstream/name_check.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum call_kind { CALL_USE, CALL_LISTEN, CALL_UNLISTEN, CALL_DRAIN, CALL_LOOK, CALL_END };

/* What is to be done on the loop's thread; freed there. */
struct call {
    struct loop_task task;
    enum call_kind kind;
    struct worker_thread *thread;
    struct snapshot *snapshot;
    struct addr addr;
    bool flag; /* tls, now */
    int fd;
    struct front_log *logs; /* freed with the call */
    size_t log_count;
};

static void wake_main(const struct worker_thread *t)
{
    const uint64_t one = 1;
    /* Fails only when the counter is full: then the main thread is awake anyway. */
    if (write(t->wake, &one, sizeof one) < 0)
        return;
}

static void each_upstream(const struct snapshot *s,
                          void (*each)(struct worker_thread *t, const struct upstream_conf *conf),
                          struct worker_thread *t)
{
    for (size_t i = 0; i < s->site_count; i++)
        for (size_t n = 0; n < s->sites[i]->route_count; n++)
            for (const struct target *target = &s->sites[i]->routes[n].target; target != NULL;
                 target = target->otherwise)
                if (target->upstream != NULL)
                    each(t, target->upstream);
}

static void check_names(struct worker_thread *t, const struct upstream_conf *conf)
{
    name_check_add(t->names, conf);
}

static void check_health(struct worker_thread *t, const struct upstream_conf *conf)
{
    health_add(t->health, conf);
}

/* One thread looks at the origins and their names for all. Afterwards nothing of the configuration
 * before is in use here. */
static void look_at_origins(struct worker_thread *t, const struct snapshot *s)
{
    if (t->conf.thread != 0)
        return;
    health_begin(t->health);
    each_upstream(s, check_health, t);
    health_commit(t->health);
    name_check_end(t->names);
    t->names = name_check_new(t->resolver);
    if (t->names != NULL)
        each_upstream(s, check_names, t);
}

static void make_call(struct call *call)
{
    struct worker_thread *t = call->thread;
    switch (call->kind) {
    case CALL_USE:
        front_set_logs(t->front, call->logs, call->log_count);
        front_use(t->front, call->snapshot);
        look_at_origins(t, call->snapshot);
        atomic_store(&t->in_use, call->snapshot->generation);
        break;
    case CALL_LISTEN:
        if (!front_listen(t->front, &call->addr, call->flag, call->fd))
            log_error("a listening socket cannot be served: out of memory or descriptors");
        break;
    case CALL_UNLISTEN:
        front_unlisten(t->front, &call->addr);
        break;
    case CALL_DRAIN:
        front_drain(t->front, call->flag);
        atomic_store(&t->idle, front_idle(t->front));
        break;
    case CALL_LOOK:
        atomic_store(&t->idle, front_idle(t->front));
        break;
    case CALL_END:
        name_check_end(t->names);
        t->names = NULL;
        health_end(t->health);
        front_end(t->front);
        t->front = NULL;
        loop_stop(t->loop);
        break;
    }
}

static void run_call(struct loop_task *task)
{
    struct call *call = (struct call *)(void *)task; /* its first member */
    make_call(call);
    wake_main(call->thread);
    free(call->logs);
    free(call);
}

static void *must_have(void *memory)
{
    if (memory != NULL)
        return memory;
    log_error("no memory to speak to a thread");
    _exit(1); /* the supervisor starts another worker */
}

static void post(struct worker_thread *t, struct call content)
{
    struct call *call = must_have(malloc(sizeof *call));
    *call = content;
    call->thread = t;
    call->task.run = run_call;
    loop_post(t->loop, &call->task);
}

bool worker_thread_init(struct worker_thread *t, unsigned index, int wake)
{
    t->wake = wake;
    t->loop = loop_new(index);
    return t->loop != NULL;
}

static void *thread_main(void *argument)
{
    struct worker_thread *t = argument;
    char name[16];
    snprintf(name, sizeof name, "loop %u", t->conf.thread);
    pthread_setname_np(pthread_self(), name);
    loop_run(t->loop);
    return NULL;
}

bool worker_thread_start(struct worker_thread *t)
{
    t->conf.loop = t->loop;
    t->conf.resolver = t->resolver;
    t->front = front_new(&t->conf);
    if (t->front == NULL)
        return false;
    const struct health_conf health = {
        .loop = t->loop, .resolver = t->resolver, .origins = t->conf.origins};
    if (t->conf.thread == 0 && (t->health = health_new(&health)) == NULL)
        return false;
    t->running = pthread_create(&t->thread, NULL, thread_main, t) == 0;
    return t->running;
}

void worker_thread_use(struct worker_thread *t, struct snapshot *snapshot,
                       const struct front_log *logs, size_t log_count)
{
    struct front_log *copy = must_have(calloc(log_count + 1, sizeof *copy));
    if (log_count > 0)
        memcpy(copy, logs, log_count * sizeof *copy);
    post(t, (struct call){
                .kind = CALL_USE, .snapshot = snapshot, .logs = copy, .log_count = log_count});
}

void worker_thread_listen(struct worker_thread *t, const struct addr *addr, bool tls, int fd)
{
    post(t, (struct call){.kind = CALL_LISTEN, .addr = *addr, .flag = tls, .fd = fd});
}

void worker_thread_unlisten(struct worker_thread *t, const struct addr *addr)
{
    post(t, (struct call){.kind = CALL_UNLISTEN, .addr = *addr});
}

void worker_thread_drain(struct worker_thread *t, bool now)
{
    post(t, (struct call){.kind = CALL_DRAIN, .flag = now});
}

void worker_thread_look(struct worker_thread *t)
{
    post(t, (struct call){.kind = CALL_LOOK});
}

/* ---- waiting for a loop ---- */

enum visit_state { VISIT_WAITS, VISIT_RUNS, VISIT_OVER, VISIT_GIVEN_UP };

/* Freed by the main thread, or by the loop when the main thread has given up. */
struct visit {
    struct loop_task task;
    struct front *front;
    void (*what)(struct front *front, void *arg);
    void *arg;
    _Atomic int state;
    sem_t done;
};

static void run_visit(struct loop_task *task)
{
    struct visit *visit = (struct visit *)(void *)task; /* its first member */
    int expected = VISIT_WAITS;
    if (atomic_compare_exchange_strong(&visit->state, &expected, VISIT_RUNS)) {
        visit->what(visit->front, visit->arg);
        /* The semaphore orders this too, but ThreadSanitizer does not know sem_clockwait(). */
        atomic_store_explicit(&visit->state, VISIT_OVER, memory_order_release);
        sem_post(&visit->done);
        return;
    }
    sem_destroy(&visit->done);
    free(visit);
}

static bool await(struct visit *visit)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += THREAD_DO_MS / 1000;
    int got;
    do
        got = sem_clockwait(&visit->done, CLOCK_MONOTONIC, &until);
    while (got != 0 && errno == EINTR);
    int expected = VISIT_WAITS;
    if (got != 0 && atomic_compare_exchange_strong(&visit->state, &expected, VISIT_GIVEN_UP))
        return false;
    /* It has begun, or is over: then its end is near. */
    while (got != 0)
        got = sem_wait(&visit->done);
    return atomic_load_explicit(&visit->state, memory_order_acquire) == VISIT_OVER;
}

bool worker_thread_do(struct worker_thread *t, void (*what)(struct front *front, void *arg),
                      void *arg)
{
    struct visit *visit = must_have(calloc(1, sizeof *visit));
    if (!t->running || t->front == NULL || sem_init(&visit->done, 0, 0) != 0) {
        free(visit);
        return false;
    }
    visit->front = t->front;
    visit->what = what;
    visit->arg = arg;
    visit->task.run = run_visit;
    loop_post(t->loop, &visit->task);
    if (!await(visit))
        return false;
    sem_destroy(&visit->done);
    free(visit);
    return true;
}

void worker_thread_end(struct worker_thread *t)
{
    if (t->running) {
        post(t, (struct call){.kind = CALL_END});
        pthread_join(t->thread, NULL);
        t->running = false;
    }
}
