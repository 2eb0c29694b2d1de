#include "app/drains.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void what_is_drained_is_kept_until_it_is_taken_back(void **state)
{
    (void)state;
    static struct drains d;
    assert_int_equal(drains_set(&d, STR("a:1"), false), DRAINS_ALREADY);
    assert_int_equal(drains_set(&d, STR("a:1"), true), DRAINS_DONE);
    assert_int_equal(drains_set(&d, STR("a:1"), true), DRAINS_ALREADY);
    assert_int_equal(drains_set(&d, STR("a:10"), true), DRAINS_DONE);
    assert_int_equal(d.count, 2);
    assert_int_equal(drains_set(&d, STR("a:1"), false), DRAINS_DONE);
    assert_int_equal(d.count, 1);
    assert_string_equal(d.texts[0], "a:10");
}

static void texts_that_no_origin_has_are_refused(void **state)
{
    (void)state;
    static struct drains d;
    char longest[LETTER_NAME_MAX];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(drains_set(&d, STR(""), true), DRAINS_BAD);
    assert_int_equal(drains_set(&d, STR("a b"), true), DRAINS_BAD);
    assert_int_equal(drains_set(&d, STR("a\n"), true), DRAINS_BAD);
    assert_int_equal(drains_set(&d, STR("a\x7f"), true), DRAINS_BAD);
    assert_int_equal(drains_set(&d, STR("a\x80"), true), DRAINS_BAD);
    assert_int_equal(drains_set(&d, str_from(longest, sizeof longest), true), DRAINS_BAD);
    assert_int_equal(drains_set(&d, str_from(longest, sizeof longest - 1), true), DRAINS_DONE);
}

static void as_many_as_a_worker_remembers_fit_and_one_more_does_not(void **state)
{
    (void)state;
    static struct drains d;
    char text[16];
    for (unsigned i = 0; i <= DRAINS_MAX; i++) {
        size_t len = (size_t)snprintf(text, sizeof text, "a:%u", i);
        assert_int_equal(drains_set(&d, str_from(text, len), true),
                         i < DRAINS_MAX ? DRAINS_DONE : DRAINS_FULL);
    }
}

static void each_is_a_letter_that_a_worker_takes(void **state)
{
    (void)state;
    static struct drains d;
    struct letter out;
    assert_int_equal(drains_set(&d, STR("unix:/run/app.sock"), true), DRAINS_DONE);
    struct letter m = drains_letter(&d, 0);
    assert_true(letter_parse(&m, letter_size(LETTER_ORIGIN), 0, SIDE_SUPERVISOR, &out));
    assert_string_equal(out.u.origin.text, "unix:/run/app.sock");
    assert_int_equal(out.u.origin.drained, 1);
    m = drains_letter_of(STR("a:1"), false);
    assert_true(letter_parse(&m, letter_size(LETTER_ORIGIN), 0, SIDE_SUPERVISOR, &out));
    assert_int_equal(out.u.origin.drained, 0);
    m.u.origin.drained = 2;
    assert_false(letter_parse(&m, letter_size(LETTER_ORIGIN), 0, SIDE_SUPERVISOR, &out));
    m = drains_letter_of(STR(""), true);
    assert_false(letter_parse(&m, letter_size(LETTER_ORIGIN), 0, SIDE_SUPERVISOR, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_drained_is_kept_until_it_is_taken_back),
        cmocka_unit_test(texts_that_no_origin_has_are_refused),
        cmocka_unit_test(as_many_as_a_worker_remembers_fit_and_one_more_does_not),
        cmocka_unit_test(each_is_a_letter_that_a_worker_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
