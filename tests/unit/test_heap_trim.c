#include "app/heap_trim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_crowd_that_has_left_is_tidied_up_after_twice(void **state)
{
    (void)state;
    struct heap_trim trim = {0};
    assert_false(heap_trim_due(&trim, 1000, 1));
    assert_false(heap_trim_due(&trim, 251, 1000));
    assert_true(heap_trim_due(&trim, 250, 1500));
    assert_false(heap_trim_due(&trim, 90, 2000));
    assert_true(heap_trim_due(&trim, 90, 1500 + HEAP_TRIM_PAUSE_MS)); /* the others left later */
    assert_false(heap_trim_due(&trim, 90, 100000));
}

static void a_few_are_no_crowd(void **state)
{
    (void)state;
    struct heap_trim trim = {0};
    assert_false(heap_trim_due(&trim, HEAP_TRIM_CROWD - 1, 1));
    assert_false(heap_trim_due(&trim, 0, 100000));
    assert_false(heap_trim_due(&trim, HEAP_TRIM_CROWD, 200000));
    assert_true(heap_trim_due(&trim, 0, 300000));
}

static void crowds_that_come_and_go_all_the_time_are_left_alone_for_a_while(void **state)
{
    (void)state;
    struct heap_trim trim = {0};
    assert_false(heap_trim_due(&trim, 1000, 1));
    assert_true(heap_trim_due(&trim, 0, 500));
    assert_false(heap_trim_due(&trim, 1000, 1000));
    assert_false(heap_trim_due(&trim, 0, 500 + HEAP_TRIM_PAUSE_MS - 1));
    assert_true(heap_trim_due(&trim, 0, 500 + HEAP_TRIM_PAUSE_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd_that_has_left_is_tidied_up_after_twice),
        cmocka_unit_test(a_few_are_no_crowd),
        cmocka_unit_test(crowds_that_come_and_go_all_the_time_are_left_alone_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
