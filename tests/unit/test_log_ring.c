#include "observe/log_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fail.h"

enum { RING_BYTES = 2 * LOG_LINE_MAX };

static struct log_waker waker;
static struct log_ring *ring;
static char long_line[LOG_LINE_MAX + 1];

static int make(void **state)
{
    (void)state;
    memset(long_line, 'x', sizeof long_line);
    atomic_store(&waker.state, LOG_AWAKE);
    waker.event_fd = eventfd(0, EFD_NONBLOCK);
    ring = log_ring_new(&waker, RING_BYTES);
    return ring == NULL;
}

static int end(void **state)
{
    (void)state;
    log_ring_end(ring);
    return close(waker.event_fd);
}

static bool was_woken(void)
{
    uint64_t count;
    return read(waker.event_fd, &count, sizeof count) == sizeof count;
}

/* Takes the oldest line, put together. */
static struct str take(unsigned *target)
{
    static char bytes[LOG_LINE_MAX];
    struct str parts[2];
    assert_true(log_ring_peek(ring, target, parts));
    if (parts[0].len != 0)
        memcpy(bytes, parts[0].at, parts[0].len);
    if (parts[1].len != 0)
        memcpy(bytes + parts[0].len, parts[1].at, parts[1].len);
    size_t len = parts[0].len + parts[1].len;
    log_ring_next(ring);
    return str_from(bytes, len);
}

static void lines_come_out_as_they_went_in(void **state)
{
    (void)state;
    unsigned target = 99;
    struct str parts[2];
    assert_false(log_ring_peek(ring, &target, parts));
    assert_true(log_ring_empty(ring));
    assert_true(log_ring_put(ring, 3, STR("first")));
    assert_true(log_ring_put(ring, 63, STR("")));
    assert_true(log_ring_put(ring, 0, STR("third line")));
    assert_true(str_eq(take(&target), STR("first")));
    assert_int_equal(target, 3);
    assert_true(str_eq(take(&target), STR("")));
    assert_int_equal(target, 63);
    assert_true(str_eq(take(&target), STR("third line")));
    assert_true(log_ring_empty(ring));
}

static void lines_wrap_at_every_offset(void **state)
{
    (void)state;
    char line[200];
    unsigned target;
    for (unsigned i = 0; i < 20000; i++) {
        size_t len = i * 7 % sizeof line;
        memset(line, 'a' + (int)(i % 26), sizeof line);
        assert_true(log_ring_put(ring, i % LOG_TARGETS_MAX, str_from(line, len)));
        assert_true(str_eq(take(&target), str_from(line, len)));
        assert_int_equal(target, i % LOG_TARGETS_MAX);
    }
    assert_int_equal(log_ring_dropped(ring), 0);
}

static void a_full_ring_drops_counts_and_recovers(void **state)
{
    (void)state;
    unsigned put = 0, target;
    while (log_ring_put(ring, 1, str_from(long_line, 1000)))
        put++;
    assert_int_equal(put, RING_BYTES / 1008);
    assert_int_equal(log_ring_dropped(ring), 1);
    assert_false(log_ring_put(ring, 1, str_from(long_line, 1000)));
    assert_int_equal(log_ring_dropped(ring), 2);
    take(&target);
    assert_true(log_ring_put(ring, 1, str_from(long_line, 1000)));
    for (unsigned i = 0; i < put; i++)
        assert_int_equal(take(&target).len, 1000);
    assert_true(log_ring_empty(ring));
}

static void the_longest_line_fits_and_one_longer_is_dropped(void **state)
{
    (void)state;
    unsigned target;
    assert_true(log_ring_put(ring, 1, str_from(long_line, LOG_LINE_MAX)));
    assert_int_equal(take(&target).len, LOG_LINE_MAX);
    assert_false(log_ring_put(ring, 1, str_from(long_line, LOG_LINE_MAX + 1)));
    assert_int_equal(log_ring_dropped(ring), 1);
}

static void only_a_consumer_that_sleeps_is_woken_and_only_once(void **state)
{
    (void)state;
    assert_true(log_ring_put(ring, 1, STR("awake")));
    assert_false(was_woken());
    atomic_store(&waker.state, LOG_ASLEEP);
    assert_true(log_ring_put(ring, 1, STR("asleep")));
    assert_true(was_woken());
    assert_true(log_ring_put(ring, 1, STR("awake by now")));
    assert_false(was_woken());
}

static void a_nap_is_ended_by_a_ring_half_full(void **state)
{
    (void)state;
    atomic_store(&waker.state, LOG_NAPPING);
    assert_true(log_ring_put(ring, 1, str_from(long_line, RING_BYTES / 2 - 8)));
    assert_false(was_woken());
    assert_false(log_ring_half_full(ring));
    assert_true(log_ring_put(ring, 1, STR("")));
    assert_true(log_ring_half_full(ring));
    assert_true(was_woken());
}

static void one_ring(void *unused)
{
    (void)unused;
    struct log_ring *one = log_ring_new(&waker, RING_BYTES);
    assert_true(one != NULL || alloc_has_failed());
    if (one != NULL)
        log_ring_end(one);
}

static void without_memory_there_is_no_ring(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_ring, NULL) > 1);
}

int main(void)
{
#define WITH_RING(test) cmocka_unit_test_setup_teardown(test, make, end)
    const struct CMUnitTest tests[] = {
        WITH_RING(lines_come_out_as_they_went_in),
        WITH_RING(lines_wrap_at_every_offset),
        WITH_RING(a_full_ring_drops_counts_and_recovers),
        WITH_RING(the_longest_line_fits_and_one_longer_is_dropped),
        WITH_RING(only_a_consumer_that_sleeps_is_woken_and_only_once),
        WITH_RING(a_nap_is_ended_by_a_ring_half_full),
        cmocka_unit_test_setup_teardown(without_memory_there_is_no_ring, make, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
