#include "base/map.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 5000 };
static int values[KEYS];

static void every_key_is_found_and_no_other(void **state)
{
    (void)state;
    struct arena *arena = arena_new(16 << 20, 4096);
    struct map map;
    map_init(&map, arena);
    assert_null(map_get(&map, STR("x")));
    for (size_t i = 0; i < KEYS; i++)
        assert_true(map_set(&map, str_printf(arena, "key%zu", i), &values[i]));
    assert_int_equal(map.count, KEYS);
    for (size_t i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(&map, str_printf(arena, "key%zu", i)), &values[i]);
    assert_null(map_get(&map, STR("key5000")));
    assert_null(map_get(&map, STR("")));
    assert_null(map_get(&map, STR("KEY1")));
    arena_end(arena);
}

static void setting_again_replaces(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 256);
    struct map map;
    map_init(&map, arena);
    assert_true(map_set(&map, STR(""), &values[0]));
    assert_true(map_set(&map, STR("a\0b"), &values[1]));
    assert_true(map_set(&map, STR("a\0c"), &values[2]));
    assert_true(map_set(&map, STR("a\0b"), &values[3]));
    assert_int_equal(map.count, 3);
    assert_ptr_equal(map_get(&map, STR("")), &values[0]);
    assert_ptr_equal(map_get(&map, STR("a\0b")), &values[3]);
    assert_ptr_equal(map_get(&map, STR("a\0c")), &values[2]);
    arena_end(arena);
}

static void walking_meets_every_slot_once(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 256);
    struct map map;
    bool seen[100] = {0};
    map_init(&map, arena);
    size_t at = 0;
    assert_null(map_next(&map, &at));
    for (size_t i = 0; i < 100; i++)
        assert_true(map_set(&map, str_printf(arena, "%zu", i), &values[i]));
    size_t count = 0;
    at = 0;
    for (const struct map_slot *slot; (slot = map_next(&map, &at)) != NULL; count++) {
        size_t i = (size_t)((int *)slot->value - values);
        assert_false(seen[i]);
        seen[i] = true;
    }
    assert_int_equal(count, 100);
    arena_end(arena);
}

static void without_memory_the_map_is_as_it_was(void **state)
{
    (void)state;
    struct arena *arena = arena_new(16 << 20, 4096);
    struct str keys[200];
    struct map map;
    map_init(&map, arena);
    for (size_t i = 0; i < 200; i++) {
        keys[i] = str_printf(arena, "%zu", i);
        arena_fail_at(1);
        bool first = map_set(&map, keys[i], &values[i]);
        arena_fail_at(0);
        if (!first) {
            assert_int_equal(map.count, i);
            assert_null(map_get(&map, keys[i]));
            assert_true(map_set(&map, keys[i], &values[i]));
        }
        for (size_t k = 0; k <= i; k++)
            assert_ptr_equal(map_get(&map, keys[k]), &values[k]);
    }
    arena_end(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_found_and_no_other),
        cmocka_unit_test(setting_again_replaces),
        cmocka_unit_test(walking_meets_every_slot_once),
        cmocka_unit_test(without_memory_the_map_is_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
