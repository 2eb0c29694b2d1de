#include "net/loop.h"

#include "base/clock.h"
#include "net/timer_wheel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Enough that a busy loop asks seldom, few enough that timers and the mailbox get their turn. */
enum { EVENTS_MAX = 256 };

struct loop {
    int epoll_fd;
    unsigned index;
    uint64_t now_ms;
    _Atomic uint64_t turns;
    atomic_bool stopped;
    struct loop_io mail_io; /* an eventfd: something lies in the mailbox */
    _Atomic(struct loop_task *) mailbox;
    struct loop_task *deferred, **deferred_end;
    int event_count, event_at; /* of the turn under way */
    struct epoll_event events[EVENTS_MAX];
    struct timer_wheel wheel;
};

static void on_mail(struct loop_io *io, uint32_t events);

struct loop *loop_new(unsigned index)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return NULL;
    loop->index = index;
    loop->now_ms = clock_mono_ms();
    loop->deferred_end = &loop->deferred;
    timer_wheel_init(&loop->wheel, loop->now_ms);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->mail_io.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->mail_io.on_event = on_mail;
    if (loop->epoll_fd < 0 || loop->mail_io.fd < 0 || !loop_add(loop, &loop->mail_io, LOOP_IN)) {
        loop_end(loop);
        return NULL;
    }
    return loop;
}

unsigned loop_index(const struct loop *loop)
{
    return loop->index;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

uint64_t loop_turns(const struct loop *loop)
{
    return atomic_load_explicit(&loop->turns, memory_order_relaxed);
}

/* ---- descriptors ---- */

static uint32_t to_epoll(uint32_t wanted)
{
    return (wanted & LOOP_IN ? (uint32_t)EPOLLIN : 0U) |
           (wanted & LOOP_OUT ? (uint32_t)EPOLLOUT : 0U);
}

static uint32_t from_epoll(uint32_t events)
{
    return (events & EPOLLIN ? (uint32_t)LOOP_IN : 0U) |
           (events & EPOLLOUT ? (uint32_t)LOOP_OUT : 0U) |
           (events & (EPOLLHUP | EPOLLERR) ? (uint32_t)LOOP_HUP : 0U);
}

bool loop_add(struct loop *loop, struct loop_io *io, uint32_t wanted)
{
    struct epoll_event event = {.events = to_epoll(wanted), .data = {.ptr = io}};
    io->wanted = (uint8_t)wanted;
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, io->fd, &event) == 0;
}

void loop_want(struct loop *loop, struct loop_io *io, uint32_t wanted)
{
    if (io->wanted == wanted)
        return;
    struct epoll_event event = {.events = to_epoll(wanted), .data = {.ptr = io}};
    io->wanted = (uint8_t)wanted;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &event);
}

void loop_remove(struct loop *loop, struct loop_io *io)
{
    struct epoll_event none = {0}; /* kernels before 2.6.9 wanted one */
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, &none);
    for (int i = loop->event_at; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == io)
            loop->events[i].data.ptr = NULL;
}

/* ---- timers ---- */

void timer_set(struct loop *loop, struct loop_timer *timer, uint64_t after_ms)
{
    if (timer->at_ms != 0)
        list_remove(&timer->link);
    timer->at_ms = loop->now_ms + after_ms;
    timer_wheel_add(&loop->wheel, timer);
}

void timer_clear(struct loop_timer *timer)
{
    if (timer->at_ms == 0)
        return;
    timer->at_ms = 0;
    list_remove(&timer->link);
}

/* ---- tasks ---- */

void loop_defer(struct loop *loop, struct loop_task *task)
{
    task->next = NULL;
    *loop->deferred_end = task;
    loop->deferred_end = &task->next;
}

static void run_deferred(struct loop *loop)
{
    while (loop->deferred != NULL) {
        struct loop_task *task = loop->deferred;
        loop->deferred = task->next;
        if (loop->deferred == NULL)
            loop->deferred_end = &loop->deferred;
        task->run(task);
    }
}

static void ring(struct loop *loop)
{
    uint64_t one = 1;
    /* It fails only when the counter is full, and then the loop is awake. */
    if (write(loop->mail_io.fd, &one, sizeof one) < 0)
        return;
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    struct loop_task *head = atomic_load_explicit(&loop->mailbox, memory_order_relaxed);
    do
        task->next = head;
    while (!atomic_compare_exchange_weak_explicit(&loop->mailbox, &head, task, memory_order_release,
                                                  memory_order_relaxed));
    if (head == NULL)
        ring(loop);
}

/* Posted last lies on top: turned round, so that tasks run in the order of posting. */
static void run_mail(struct loop *loop)
{
    struct loop_task *task = atomic_exchange_explicit(&loop->mailbox, NULL, memory_order_acquire);
    struct loop_task *ordered = NULL;
    while (task != NULL) {
        struct loop_task *next = task->next;
        task->next = ordered;
        ordered = task;
        task = next;
    }
    while (ordered != NULL) {
        struct loop_task *next = ordered->next;
        ordered->run(ordered);
        ordered = next;
    }
}

static void on_mail(struct loop_io *io, uint32_t events)
{
    struct loop *loop = LIST_OF(io, struct loop, mail_io);
    uint64_t rung;
    (void)events;
    if (read(io->fd, &rung, sizeof rung) < 0)
        return;
    run_mail(loop);
}

/* ---- turns ---- */

/* What tells of a thing that others are about to use goes before them. */
static void run_first(struct loop *loop)
{
    for (int i = 0; i < loop->event_count; i++) {
        struct loop_io *io = loop->events[i].data.ptr;
        if (io == NULL || !io->first)
            continue;
        loop->events[i].data.ptr = NULL;
        io->on_event(io, from_epoll(loop->events[i].events));
    }
}

static void loop_turn(struct loop *loop)
{
    int wait_ms = loop->deferred ? 0 : timer_wheel_wait(&loop->wheel, clock_mono_ms());
    int count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_MAX, wait_ms);
    loop->now_ms = clock_mono_ms();
    atomic_fetch_add_explicit(&loop->turns, 1, memory_order_relaxed);
    loop->event_count = count < 0 ? 0 : count;
    loop->event_at = 0;
    if (count > 1)
        run_first(loop);
    while (loop->event_at < loop->event_count) {
        struct epoll_event *event = &loop->events[loop->event_at++];
        struct loop_io *io = event->data.ptr;
        if (io != NULL)
            io->on_event(io, from_epoll(event->events));
    }
    loop->event_count = 0;
    timer_wheel_run(&loop->wheel, loop->now_ms);
    run_deferred(loop);
}

void loop_run(struct loop *loop)
{
    while (!atomic_load_explicit(&loop->stopped, memory_order_acquire))
        loop_turn(loop);
    atomic_store_explicit(&loop->stopped, false, memory_order_relaxed); /* it may run again */
}

void loop_stop(struct loop *loop)
{
    atomic_store_explicit(&loop->stopped, true, memory_order_release);
    ring(loop);
}

void loop_end(struct loop *loop)
{
    if (loop == NULL)
        return;
    run_mail(loop);
    run_deferred(loop);
    if (loop->mail_io.fd >= 0)
        close(loop->mail_io.fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    free(loop);
}
