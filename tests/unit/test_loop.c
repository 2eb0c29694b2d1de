#include "net/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

struct probe {
    struct loop *loop;
    struct loop_timer timer;
    uint64_t due_ms, fired_ms;
    unsigned *left;
};

static void on_fire(struct loop_timer *timer)
{
    struct probe *probe = LIST_OF(timer, struct probe, timer);
    probe->fired_ms = loop_now_ms(probe->loop);
    if (--*probe->left == 0)
        loop_stop(probe->loop);
}

static void timers_fire_in_time_and_never_early(void **state)
{
    (void)state;
    static const uint64_t delays[] = {0, 1, 3, 4, 5, 17, 100, 250, 1021, 1024, 1100};
    enum { COUNT = sizeof delays / sizeof *delays };
    struct probe probes[COUNT] = {0};
    unsigned left = COUNT;
    struct loop *loop = loop_new(0);
    assert_non_null(loop);
    for (size_t i = 0; i < COUNT; i++) {
        probes[i].loop = loop;
        probes[i].left = &left;
        probes[i].timer.on_fire = on_fire;
        probes[i].due_ms = loop_now_ms(loop) + delays[i];
        timer_set(loop, &probes[i].timer, delays[i]);
    }
    loop_run(loop);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(probes[i].fired_ms >= probes[i].due_ms);
    loop_end(loop);
}

static void a_cleared_timer_does_not_fire_and_a_moved_one_fires_once(void **state)
{
    (void)state;
    unsigned left = 2;
    struct loop *loop = loop_new(0);
    struct probe cleared = {.loop = loop, .left = &left, .timer.on_fire = on_fire};
    struct probe moved = cleared, last = cleared;
    timer_set(loop, &cleared.timer, 5);
    timer_set(loop, &moved.timer, 5);
    timer_set(loop, &moved.timer, 30);
    timer_set(loop, &last.timer, 60);
    timer_clear(&cleared.timer);
    timer_clear(&cleared.timer);
    loop_run(loop);
    assert_int_equal(cleared.fired_ms, 0);
    assert_true(moved.fired_ms != 0 && moved.fired_ms <= last.fired_ms);
    loop_end(loop);
}

struct mail {
    struct loop_task task;
    struct loop *loop;
    unsigned *sum, value;
    bool last;
};

static void on_mail(struct loop_task *task)
{
    struct mail *mail = LIST_OF(task, struct mail, task);
    *mail->sum = *mail->sum * 10 + mail->value;
    if (mail->last)
        loop_stop(mail->loop);
}

static void *post_three(void *argument)
{
    struct mail *mails = argument;
    for (int i = 0; i < 3; i++)
        loop_post(mails[i].loop, &mails[i].task);
    return NULL;
}

static void tasks_of_another_thread_run_in_order(void **state)
{
    (void)state;
    unsigned sum = 0;
    struct loop *loop = loop_new(0);
    struct mail mails[3];
    for (unsigned i = 0; i < 3; i++)
        mails[i] = (struct mail){.task.run = on_mail, .loop = loop, .sum = &sum, .value = i + 1};
    mails[2].last = true;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post_three, mails), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    assert_int_equal(sum, 123);
    loop_end(loop);
}

struct pipe_end {
    struct loop_io io;
    struct loop *loop;
    struct pipe_end *other;
    int events;
};

/* Both ends are readable in the same turn; the first to run takes the other out. */
static void on_pipe(struct loop_io *io, uint32_t events)
{
    struct pipe_end *end = LIST_OF(io, struct pipe_end, io);
    (void)events;
    end->events++;
    loop_remove(end->loop, &end->other->io);
    loop_stop(end->loop);
}

static void events_of_a_removed_descriptor_are_dropped(void **state)
{
    (void)state;
    int fds[2][2];
    struct loop *loop = loop_new(0);
    struct pipe_end ends[2] = {0};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(fds[i]), 0);
        assert_int_equal(write(fds[i][1], "x", 1), 1);
        ends[i] = (struct pipe_end){
            .io = {.fd = fds[i][0], .on_event = on_pipe}, .loop = loop, .other = &ends[1 - i]};
        assert_true(loop_add(loop, &ends[i].io, LOOP_IN));
    }
    loop_run(loop);
    assert_int_equal(ends[0].events + ends[1].events, 1);
    loop_end(loop);
    for (int i = 0; i < 2; i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
}

struct ordered {
    struct loop_io io;
    struct loop *loop;
    unsigned *order, name;
};

static void on_ordered(struct loop_io *io, uint32_t events)
{
    struct ordered *o = LIST_OF(io, struct ordered, io);
    (void)events;
    *o->order = *o->order * 10 + o->name;
    loop_remove(o->loop, io);
    loop_stop(o->loop);
}

static void what_is_first_runs_before_others_of_its_turn(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 3; first++) {
        int fds[3][2];
        unsigned order = 0;
        struct loop *loop = loop_new(0);
        struct ordered all[3];
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(pipe(fds[i]), 0);
            assert_int_equal(write(fds[i][1], "x", 1), 1);
            all[i] = (struct ordered){
                .io = {.fd = fds[i][0], .first = i == first, .on_event = on_ordered},
                .loop = loop,
                .order = &order,
                .name = i + 1};
            assert_true(loop_add(loop, &all[i].io, LOOP_IN));
        }
        loop_run(loop);
        assert_int_equal(order / 100, first + 1); /* and each once */
        assert_int_equal(order % 10 + order / 10 % 10 + order / 100, 6);
        loop_end(loop);
        for (unsigned i = 0; i < 3; i++) {
            close(fds[i][0]);
            close(fds[i][1]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_time_and_never_early),
        cmocka_unit_test(a_cleared_timer_does_not_fire_and_a_moved_one_fires_once),
        cmocka_unit_test(tasks_of_another_thread_run_in_order),
        cmocka_unit_test(events_of_a_removed_descriptor_are_dropped),
        cmocka_unit_test(what_is_first_runs_before_others_of_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
