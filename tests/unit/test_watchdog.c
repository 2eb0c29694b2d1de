/* Real loops on threads of their own; the time is given. */
#include "app/watchdog.h"

#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct stage {
    struct loop *loops[2];
    pthread_t threads[2];
    struct watchdog dog;
    uint64_t now_ms;
};

static atomic_bool held, holds;

/* A turn that does not end until it may. */
static void hold_loop(struct loop_task *task)
{
    (void)task;
    atomic_store(&holds, true);
    while (atomic_load(&held))
        usleep(1000);
}

static void *run_loop(void *loop)
{
    loop_run(loop);
    return NULL;
}

static int start(void **state)
{
    static struct stage stage;
    struct stage *s = &stage;
    memset(s, 0, sizeof *s);
    s->now_ms = 1000000;
    watchdog_init(&s->dog);
    for (unsigned i = 0; i < 2; i++) {
        s->loops[i] = loop_new(i);
        assert_non_null(s->loops[i]);
        assert_int_equal(pthread_create(&s->threads[i], NULL, run_loop, s->loops[i]), 0);
        watchdog_watch(&s->dog, s->loops[i], s->threads[i]);
    }
    assert_int_equal(watchdog_look(&s->dog, s->now_ms), -1);
    *state = s;
    return 0;
}

static int stop(void **state)
{
    struct stage *s = *state;
    atomic_store(&held, false);
    for (unsigned i = 0; i < 2; i++) {
        loop_stop(s->loops[i]);
        pthread_join(s->threads[i], NULL);
        loop_end(s->loops[i]);
    }
    return 0;
}

static void hold(struct stage *s, unsigned i)
{
    static struct loop_task task;
    task.run = hold_loop;
    atomic_store(&holds, false);
    atomic_store(&held, true);
    loop_post(s->loops[i], &task);
    while (!atomic_load(&holds))
        usleep(1000);
}

static int look_after(struct stage *s, uint64_t ms)
{
    s->now_ms += ms;
    return watchdog_look(&s->dog, s->now_ms);
}

/* Gives an idle loop the moment it needs. */
static void wait_for_pongs(struct stage *s, unsigned but)
{
    for (unsigned i = 0; i < 2; i++)
        while (i != but && atomic_load(&s->dog.loops[i].asked))
            usleep(1000);
}

static void a_loop_that_idles_never_stands_still(void **state)
{
    struct stage *s = *state;
    for (int i = 0; i < 20; i++) {
        wait_for_pongs(s, 2);
        assert_int_equal(look_after(s, WATCHDOG_LOOK_MS), -1);
    }
}

static void a_loop_whose_turn_does_not_end_stands_still(void **state)
{
    struct stage *s = *state;
    wait_for_pongs(s, 2);
    hold(s, 1);
    assert_int_equal(look_after(s, WATCHDOG_LOOK_MS), -1); /* asked */
    for (int ms = WATCHDOG_LOOK_MS; ms < WATCHDOG_MS; ms += WATCHDOG_LOOK_MS) {
        wait_for_pongs(s, 1);
        assert_int_equal(look_after(s, WATCHDOG_LOOK_MS), -1);
    }
    wait_for_pongs(s, 1);
    assert_int_equal(look_after(s, WATCHDOG_LOOK_MS), 1);
}

static void a_turn_that_ends_in_time_is_forgiven(void **state)
{
    struct stage *s = *state;
    for (int round = 0; round < 3; round++) {
        wait_for_pongs(s, 2);
        hold(s, 0);
        assert_int_equal(look_after(s, WATCHDOG_LOOK_MS), -1);
        for (int ms = WATCHDOG_LOOK_MS; ms < WATCHDOG_MS; ms += WATCHDOG_LOOK_MS)
            assert_int_equal(look_after(s, WATCHDOG_LOOK_MS), -1);
        atomic_store(&held, false);
    }
}

static void time_that_the_worker_did_not_have_does_not_count(void **state)
{
    struct stage *s = *state;
    wait_for_pongs(s, 2);
    hold(s, 0);
    assert_int_equal(look_after(s, WATCHDOG_LOOK_MS), -1);
    assert_int_equal(look_after(s, (uint64_t)3600 * 1000), -1); /* the machine slept */
    assert_int_equal(look_after(s, WATCHDOG_LOOK_MS), -1);
}

static void it_is_looked_twice_a_second_at_most(void **state)
{
    struct stage *s = *state;
    assert_int_equal(watchdog_timeout(&s->dog, s->now_ms), WATCHDOG_LOOK_MS);
    assert_int_equal(watchdog_timeout(&s->dog, s->now_ms + 100), WATCHDOG_LOOK_MS - 100);
    assert_int_equal(watchdog_timeout(&s->dog, s->now_ms + 10000), 0);
    const struct watchdog none = {0};
    assert_int_equal(watchdog_timeout(&none, s->now_ms), -1);
    wait_for_pongs(s, 2);
    hold(s, 0);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(look_after(s, 0), -1);
}

static void the_stack_of_a_held_loop_is_told(void **state)
{
    struct stage *s = *state;
    int ends[2], before = dup(STDERR_FILENO);
    char text[8192] = "";
    size_t len = 0;
    hold(s, 1);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    dup2(ends[1], STDERR_FILENO);
    watchdog_tell(&s->dog, 1);
    dup2(before, STDERR_FILENO);
    close(ends[1]);
    close(before);
    for (ssize_t got;
         len < sizeof text - 1 && (got = read(ends[0], text + len, sizeof text - 1 - len)) > 0;)
        len += (size_t)got;
    close(ends[0]);
    assert_non_null(strstr(text, "loop 1 has made no turn"));
    assert_non_null(strstr(text, "test_watchdog(")); /* frames of this program */
}

int main(void)
{
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        CLAIM(a_loop_that_idles_never_stands_still),
        CLAIM(a_loop_whose_turn_does_not_end_stands_still),
        CLAIM(a_turn_that_ends_in_time_is_forgiven),
        CLAIM(time_that_the_worker_did_not_have_does_not_count),
        CLAIM(it_is_looked_twice_a_second_at_most),
        CLAIM(the_stack_of_a_held_loop_is_told),
    };
    log_init(STDERR_FILENO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
