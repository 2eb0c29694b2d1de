#include "http/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;

static int begin(void **state)
{
    (void)state;
    arena = arena_new(1 << 20, 4096);
    return arena == NULL;
}

static int end(void **state)
{
    (void)state;
    arena_end(arena);
    return 0;
}

static void pairs_come_one_by_one_however_odd(void **state)
{
    (void)state;
    struct str rest = STR(" a=1; b = \"2;  ;; =x; y ;z=;a=b=c"), name, value;
    static const char *const expected[][2] = {{"a", "1"}, {"b", "\"2"}, {"", "x"},
                                              {"", "y"},  {"z", ""},    {"a", "b=c"}};
    for (size_t i = 0; i < 6; i++) {
        assert_true(cookie_next(&rest, &name, &value));
        if (!str_eq(name, str_from_z(expected[i][0])) || !str_eq(value, str_from_z(expected[i][1])))
            fail_msg("%zu: %.*s=%.*s", i, STR_ARG(name), STR_ARG(value));
    }
    assert_false(cookie_next(&rest, &name, &value));
}

static void a_cookie_is_found_over_all_fields_by_its_exact_name(void **state)
{
    (void)state;
    struct message m;
    struct str value;
    message_init(&m, arena);
    assert_true(message_push(&m, STR("Cookie"), STR("a=1; b=2")));
    assert_true(message_push(&m, STR("cookie"), STR("c=3; a=4")));
    assert_true(cookie_get(&m, STR("a"), &value) && str_eq(value, STR("1")));
    assert_true(cookie_get(&m, STR("c"), &value) && str_eq(value, STR("3")));
    assert_true(cookie_get(&m, STR("b"), NULL));
    assert_false(cookie_get(&m, STR("A"), &value));
}

static const struct {
    const char *cookie, *prefix, *host, *expected; /* NULL: unchanged */
} cases[] = {
    {"a=1; Path=/", "/p", "", "a=1; Path=/p/"},
    {"a=1; Path=/x; HttpOnly", "/p", "", "a=1; Path=/p/x; HttpOnly"},
    {"a=1;path=/x", "/p", "", "a=1; Path=/p/x"},
    {"a=1; PATH = /x ;Secure", "/p", "", "a=1; Path=/p/x;Secure"},
    {"a=1; Path=/p", "/p", "", NULL},
    {"a=1; Path=/p/x", "/p", "", NULL},
    {"a=1; Path=/px", "/p", "", "a=1; Path=/p/px"},
    {"a=1; Path=x", "/p", "", NULL},
    {"a=1; Path=", "/p", "", NULL},
    {"a=1; Path", "/p", "", NULL},
    {"a=1", "/p", "", NULL},
    {"a=1; Path=/", "", "", NULL},
    {"__Host-a=1; Path=/; Secure", "/p", "", NULL},
    {"__Secure-a=1; Path=/; Secure", "/p", "", "__Secure-a=1; Path=/p/; Secure"},
    {"Path=/x; Path=/y", "/p", "", "Path=/x; Path=/p/y"},
    {"a=\"; Path=/x\"; Path=/y", "/p", "", "a=\"; Path=/p/x\"; Path=/p/y"},
    {"a=1; Domain=localhost; Path=/x", "/p", "localhost", "a=1; Path=/p/x"},
    {"a=1; domain=.LOCALHOST", "", "localhost", "a=1"},
    {"a=1; Domain=other.test", "", "localhost", NULL},
    {"a=1; Domain=", "", "", NULL},
    {"a=1; Domain=.", "", "", NULL},
    {"", "/p", "a", NULL},
    {";", "/p", "a", NULL},
    {"a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/", "/p", "",
     "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/p/"},
};

static void set_cookie_moves_below_the_prefix(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text out = text_in(arena, 4096);
        struct cookie_route route = {str_from_z(cases[i].prefix), str_from_z(cases[i].host)};
        text_add(&out, STR("|"));
        bool changed = cookie_rewrite(&out, str_from_z(cases[i].cookie), &route);
        struct str got = str_skip(text_str(&out), 1);
        if (changed != (cases[i].expected != NULL) ||
            !str_eq(got, str_from_z(changed ? cases[i].expected : "")))
            fail_msg("%s: %.*s", cases[i].cookie, STR_ARG(got));
    }
}

static void masking_leaves_names_and_attributes(void **state)
{
    (void)state;
    struct text out = text_in(arena, 4096), set = text_in(arena, 4096);
    cookie_add_masked(&out, STR("a=secret; b=x; c"), false);
    assert_true(str_eq(text_str(&out), STR("a=***; b=***; ***")));
    cookie_add_masked(&set, STR("a=secret; Path=/; Secure"), true);
    assert_true(str_eq(text_str(&set), STR("a=***; Path=/; Secure")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_come_one_by_one_however_odd),
        cmocka_unit_test(a_cookie_is_found_over_all_fields_by_its_exact_name),
        cmocka_unit_test(set_cookie_moves_below_the_prefix),
        cmocka_unit_test(masking_leaves_names_and_attributes),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
