#include "config/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void distances_count_single_slips(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned distance;
    } cases[] = {
        {"", "", 0},
        {"a", "", 1},
        {"listen", "listen", 0},
        {"listen", "lsten", 1},
        {"listen", "lisetn", 1},
        {"balanse", "balance", 1},
        {"abc", "ca", 3},
        {"kitten", "sitting", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str a = str_from_z(cases[i].a), b = str_from_z(cases[i].b);
        assert_int_equal(nearest_distance(a, b, 9), cases[i].distance);
        assert_int_equal(nearest_distance(b, a, 9), cases[i].distance);
        if (cases[i].distance != 0)
            assert_int_equal(nearest_distance(a, b, cases[i].distance - 1), cases[i].distance);
    }
}

static void only_what_is_near_is_offered(void **state)
{
    (void)state;
    struct nearest nearest;
    nearest_init(&nearest, STR("keepalve"));
    nearest_try(&nearest, STR("keep"));
    nearest_try(&nearest, STR("keepalive"));
    nearest_try(&nearest, STR("keepsafe"));
    assert_true(str_eq(nearest.best, STR("keepalive")));
    nearest_init(&nearest, STR("on"));
    nearest_try(&nearest, STR("off"));
    assert_int_equal(nearest.best.len, 0);
    char long_word[NEAREST_BYTES_MAX + 1] = {0};
    assert_int_equal(nearest_distance(str_from(long_word, sizeof long_word),
                                      str_from(long_word, sizeof long_word), 5),
                     6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_count_single_slips),
        cmocka_unit_test(only_what_is_near_is_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
