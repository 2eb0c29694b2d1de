#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int order[3], ended;

static void note(void *argument)
{
    order[ended++] = *(int *)argument;
}

static void cap_refuses_and_leaves_the_rest(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1024, 256);
    assert_non_null(arena_alloc(arena, 1000));
    assert_null(arena_alloc(arena, 100));
    assert_non_null(arena_alloc(arena, 16));
    assert_null(arena_alloc(arena, 1));
    arena_end(arena);
}

static void deferred_functions_run_last_first(void **state)
{
    (void)state;
    int values[] = {1, 2, 3};
    ended = 0;
    struct arena *arena = arena_new(4096, 256);
    for (int i = 0; i < 3; i++)
        assert_true(arena_defer(arena, note, &values[i]));
    arena_end(arena);
    assert_int_equal(ended, 3);
    assert_int_equal(order[0], 3);
    assert_int_equal(order[2], 1);
}

static void an_array_whose_size_overflows_is_refused(void **state)
{
    (void)state;
    struct arena *arena = arena_new(SIZE_MAX, 256);
    assert_null(arena_array(arena, SIZE_MAX / 2, 4));
    arena_end(arena);
}

static void the_nth_allocation_fails_when_told(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096, 256);
    arena_fail_at(2);
    assert_non_null(arena_alloc(arena, 1));
    assert_null(arena_alloc(arena, 1));
    assert_non_null(arena_alloc(arena, 1));
    arena_end(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cap_refuses_and_leaves_the_rest),
        cmocka_unit_test(deferred_functions_run_last_first),
        cmocka_unit_test(an_array_whose_size_overflows_is_refused),
        cmocka_unit_test(the_nth_allocation_fails_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
