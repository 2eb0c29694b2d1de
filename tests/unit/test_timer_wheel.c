#include "net/timer_wheel.h"

#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* One timer that notes when it fired, in the wheel's own time. */
struct probe {
    struct loop_timer timer;
    struct timer_wheel *wheel;
    uint64_t fired_ms;
    unsigned fired;
    uint64_t again_ms; /* set again from inside the callback */
    struct probe *clears, *moves;
    uint64_t move_to_ms;
};

static uint64_t now_ms; /* the test's clock */

static void on_fire(struct loop_timer *timer)
{
    struct probe *probe = LIST_OF(timer, struct probe, timer);
    probe->fired++;
    probe->fired_ms = now_ms;
    if (probe->clears != NULL && probe->clears->timer.at_ms != 0) {
        list_remove(&probe->clears->timer.link);
        probe->clears->timer.at_ms = 0;
    }
    if (probe->moves != NULL) {
        if (probe->moves->timer.at_ms != 0)
            list_remove(&probe->moves->timer.link);
        probe->moves->timer.at_ms = probe->move_to_ms;
        timer_wheel_add(probe->wheel, &probe->moves->timer);
    }
    if (probe->again_ms != 0) {
        timer->at_ms = probe->again_ms;
        probe->again_ms = 0;
        timer_wheel_add(probe->wheel, timer);
    }
}

static void set(struct timer_wheel *wheel, struct probe *probe, uint64_t at_ms)
{
    probe->wheel = wheel;
    probe->timer.on_fire = on_fire;
    probe->timer.at_ms = at_ms;
    timer_wheel_add(wheel, &probe->timer);
}

static void run_to(struct timer_wheel *wheel, uint64_t to_ms, uint64_t step_ms)
{
    while (now_ms < to_ms) {
        now_ms = to_ms - now_ms > step_ms ? now_ms + step_ms : to_ms;
        timer_wheel_run(wheel, now_ms);
    }
}

/* Every boundary of the wheels, from starts on and beside a boundary: due ones fire in time. */
static void a_timer_fires_on_its_tick_at_every_boundary(void **state)
{
    (void)state;
    static const uint64_t starts[] = {0, 1, 254, 255, 256, 257, 65534, 65535, 65536, 65537};
    static const uint64_t ahead[] = {1,     2,     254,   255,    256,    257,   511,   512,
                                     513,   767,   768,   65279,  65280,  65534, 65535, 65536,
                                     65537, 65791, 65792, 131071, 131072, 131073};
    for (size_t s = 0; s < sizeof starts / sizeof *starts; s++) {
        static struct timer_wheel wheel;
        struct probe probes[sizeof ahead / sizeof *ahead] = {0};
        now_ms = starts[s] * WHEEL_TICK_MS;
        timer_wheel_init(&wheel, now_ms);
        uint64_t from_ms = now_ms;
        for (size_t i = 0; i < sizeof ahead / sizeof *ahead; i++)
            set(&wheel, &probes[i], from_ms + ahead[i] * WHEEL_TICK_MS);
        run_to(&wheel, from_ms + 131080ULL * WHEEL_TICK_MS, WHEEL_TICK_MS);
        for (size_t i = 0; i < sizeof ahead / sizeof *ahead; i++) {
            assert_int_equal(probes[i].fired, 1);
            assert_int_equal(probes[i].fired_ms, from_ms + ahead[i] * WHEEL_TICK_MS);
        }
        assert_int_equal(timer_wheel_wait(&wheel, now_ms), -1);
    }
}

/* A timer set every few ticks for any distance: none early, none more than a tick late. */
static void no_timer_is_early_or_more_than_a_tick_late(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static struct probe probes[COUNT];
    static uint64_t due_ms[COUNT];
    static struct timer_wheel wheel;
    uint64_t random = 42;
    now_ms = 1000003;
    timer_wheel_init(&wheel, now_ms);
    for (size_t i = 0; i < COUNT; i++) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        due_ms[i] = now_ms + (random >> 33) % (i % 3 == 0 ? 900000 : i % 3 == 1 ? 3000 : 40);
        set(&wheel, &probes[i], due_ms[i]);
        run_to(&wheel, now_ms + i % 7, 1);
    }
    run_to(&wheel, now_ms + 1000000, 1);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(probes[i].fired, 1);
        assert_true(probes[i].fired_ms >= due_ms[i]);
        assert_true(probes[i].fired_ms <= due_ms[i] + 2 * WHEEL_TICK_MS);
    }
}

static void what_the_wheel_waits_for_never_oversleeps(void **state)
{
    (void)state;
    static const uint64_t delays[] = {1,    3,    4,    5,    1019,   1020,
                                      1023, 1024, 1025, 2044, 262144, 263000};
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        static struct timer_wheel wheel;
        struct probe probe = {0};
        now_ms = 4003;
        timer_wheel_init(&wheel, now_ms);
        set(&wheel, &probe, now_ms + delays[i]);
        uint64_t due_ms = now_ms + delays[i];
        for (unsigned turns = 0; probe.fired == 0; turns++) {
            int wait_ms = timer_wheel_wait(&wheel, now_ms);
            assert_true(wait_ms >= 0 && wait_ms <= WHEEL_SLOTS * WHEEL_TICK_MS);
            assert_true(turns < 400);
            now_ms += (uint64_t)wait_ms;
            timer_wheel_run(&wheel, now_ms);
        }
        assert_true(probe.fired_ms >= due_ms && probe.fired_ms <= due_ms + 2 * WHEEL_TICK_MS);
    }
}

static void a_callback_may_clear_and_move_its_neighbours(void **state)
{
    (void)state;
    static struct timer_wheel wheel;
    struct probe first = {0}, cleared = {0}, moved = {0}, same = {0};
    now_ms = 0;
    timer_wheel_init(&wheel, now_ms);
    first.clears = &cleared;
    first.moves = &moved;
    first.move_to_ms = 2000;
    set(&wheel, &first, 100); /* all in one slot */
    set(&wheel, &cleared, 100);
    set(&wheel, &moved, 100);
    set(&wheel, &same, 100);
    run_to(&wheel, 1999, 1);
    assert_int_equal(first.fired, 1);
    assert_int_equal(cleared.fired, 0);
    assert_int_equal(moved.fired, 0);
    assert_int_equal(same.fired, 1);
    run_to(&wheel, 2004, 1);
    assert_int_equal(moved.fired, 1);
    assert_int_equal(moved.fired_ms, 2000);
}

static void a_timer_set_again_inside_its_callback_fires_later_not_at_once(void **state)
{
    (void)state;
    static struct timer_wheel wheel;
    struct probe probe = {0};
    now_ms = 0;
    timer_wheel_init(&wheel, now_ms);
    probe.again_ms = 100; /* the tick that is being run */
    set(&wheel, &probe, 100);
    now_ms = 100;
    timer_wheel_run(&wheel, now_ms);
    assert_int_equal(probe.fired, 1);
    now_ms = 104;
    timer_wheel_run(&wheel, now_ms);
    assert_int_equal(probe.fired, 2);
    probe.again_ms = 104 + 1024; /* a whole round ahead */
    set(&wheel, &probe, 108);
    run_to(&wheel, 104 + 1023, 1);
    assert_int_equal(probe.fired, 3);
    run_to(&wheel, 104 + 1024, 1);
    assert_int_equal(probe.fired, 4);
}

static void a_long_jump_of_time_fires_what_is_due_and_nothing_else(void **state)
{
    (void)state;
    static struct timer_wheel wheel;
    struct probe near = {0}, far = {0}, farther = {0};
    now_ms = 12345;
    timer_wheel_init(&wheel, now_ms);
    set(&wheel, &near, now_ms + 50);
    set(&wheel, &far, now_ms + 3600 * 1000);
    set(&wheel, &farther, now_ms + 7200 * 1000);
    now_ms += 3700 * 1000;
    timer_wheel_run(&wheel, now_ms);
    assert_int_equal(near.fired, 1);
    assert_int_equal(far.fired, 1);
    assert_int_equal(farther.fired, 0);
    now_ms += 3600 * 1000;
    timer_wheel_run(&wheel, now_ms);
    assert_int_equal(farther.fired, 1);
    now_ms += 86400ULL * 365 * 1000; /* empty: a year at once */
    timer_wheel_run(&wheel, now_ms);
    assert_int_equal(timer_wheel_wait(&wheel, now_ms), -1);
    set(&wheel, &near, now_ms + 10);
    run_to(&wheel, now_ms + 16, 1);
    assert_int_equal(near.fired, 2);
}

static void a_timer_beyond_the_wheels_is_not_early(void **state)
{
    (void)state;
    static struct timer_wheel wheel;
    struct probe probe = {0};
    uint64_t reach_ms = ((uint64_t)1 << 32) * WHEEL_TICK_MS;
    now_ms = 0;
    timer_wheel_init(&wheel, now_ms);
    set(&wheel, &probe, reach_ms + 5000);
    /* Only its place is looked at: walking 198 days of ticks is not a unit test's work. */
    assert_false(list_empty(&wheel.slots[WHEEL_LEVELS - 1][WHEEL_SLOTS - 1]));
    list_remove(&probe.timer.link);
}

static void an_idle_wheel_forgets_cleared_timers_after_a_round(void **state)
{
    (void)state;
    static struct timer_wheel wheel;
    struct probe probe = {0};
    now_ms = 0;
    timer_wheel_init(&wheel, now_ms);
    for (unsigned i = 0; i < 10; i++) {
        set(&wheel, &probe, now_ms + 100);
        list_remove(&probe.timer.link);
    }
    run_to(&wheel, WHEEL_SLOTS * WHEEL_TICK_MS, 4);
    assert_int_equal(timer_wheel_wait(&wheel, now_ms), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_on_its_tick_at_every_boundary),
        cmocka_unit_test(no_timer_is_early_or_more_than_a_tick_late),
        cmocka_unit_test(what_the_wheel_waits_for_never_oversleeps),
        cmocka_unit_test(a_callback_may_clear_and_move_its_neighbours),
        cmocka_unit_test(a_timer_set_again_inside_its_callback_fires_later_not_at_once),
        cmocka_unit_test(a_long_jump_of_time_fires_what_is_due_and_nothing_else),
        cmocka_unit_test(a_timer_beyond_the_wheels_is_not_early),
        cmocka_unit_test(an_idle_wheel_forgets_cleared_timers_after_a_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
