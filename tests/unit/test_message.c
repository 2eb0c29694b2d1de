#include "http/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct message m;

static int begin(void **state)
{
    (void)state;
    message_init(&m, arena_new(65536, 4096));
    return m.arena == NULL;
}

static int end(void **state)
{
    (void)state;
    arena_end(m.arena);
    return 0;
}

static void fields_are_found_by_id_and_by_name_in_any_case(void **state)
{
    (void)state;
    assert_true(message_push(&m, STR("hOST"), STR("a")));
    assert_true(message_push(&m, STR("X-One"), STR("1")));
    assert_true(message_push(&m, STR("x-one"), STR("2")));
    assert_true(str_eq(message_value(&m, HEADER_HOST), STR("a")));
    assert_true(str_eq(message_find(&m, STR("HOST"))->value, STR("a")));
    assert_true(str_eq(message_find(&m, STR("X-ONE"))->value, STR("1")));
    assert_null(message_find(&m, STR("X-Two")));
    assert_null(message_get(&m, HEADER_COOKIE));
    assert_int_equal(message_value(&m, HEADER_COOKIE).len, 0);
}

static void a_removed_field_is_not_found_but_stays(void **state)
{
    (void)state;
    assert_true(message_push(&m, STR("Cookie"), STR("a=1")));
    assert_true(message_push(&m, STR("cookie"), STR("b=2")));
    message_remove(&m, STR("COOKIE"));
    assert_null(message_get(&m, HEADER_COOKIE));
    assert_null(message_find(&m, STR("Cookie")));
    assert_int_equal(m.count, 2);
    assert_true(str_eq(m.fields[0].value, STR("a=1")));
    message_remove_id(&m, HEADER_OTHER);
}

static void setting_leaves_exactly_one(void **state)
{
    (void)state;
    uint32_t at = 0;
    assert_true(message_push(&m, STR("x-forwarded-for"), STR("evil")));
    assert_true(message_push(&m, STR("X-Forwarded-For"), STR("more")));
    assert_true(message_set_id(&m, HEADER_X_FORWARDED_FOR, STR("10.0.0.1")));
    const struct field *only = message_next(&m, HEADER_X_FORWARDED_FOR, &at);
    assert_true(str_eq(only->value, STR("10.0.0.1")) && only->flags == FIELD_ADDED);
    assert_null(message_next(&m, HEADER_X_FORWARDED_FOR, &at));
    assert_true(message_set(&m, STR("X-Mine"), STR("1")));
    assert_true(message_set(&m, STR("x-mine"), STR("2")));
    assert_true(str_eq(message_find(&m, STR("X-MINE"))->value, STR("2")));
}

static void what_must_not_be_written_cannot_be_added(void **state)
{
    (void)state;
    assert_false(message_add(&m, STR(""), STR("x")));
    assert_false(message_add(&m, STR("a b"), STR("x")));
    assert_false(message_add(&m, STR("a\r\nb"), STR("x")));
    assert_false(message_add(&m, STR("a"), STR("x\r\nb: c")));
    assert_false(message_add(&m, STR("a"), STR("x\0")));
    assert_false(message_add(&m, STR("a"), STR(" x")));
    assert_false(message_add_id(&m, HEADER_LOCATION, STR("x\ny")));
    assert_false(message_add_id(&m, HEADER_OTHER, STR("x")));
    assert_int_equal(m.count, 0);
}

static void the_array_grows_until_the_arena_is_full(void **state)
{
    (void)state;
    unsigned added = 0;
    while (added < 100000 && message_push(&m, STR("A"), STR("b")))
        added++;
    assert_in_range(added, 100, 2000);
    assert_int_equal(m.count, added);
    assert_true(str_eq(m.fields[added - 1].name, STR("A")));
}

static void methods_are_told_apart_by_their_case(void **state)
{
    (void)state;
    assert_int_equal(method_lookup(STR("GET")), METHOD_GET);
    assert_int_equal(method_lookup(STR("CONNECT")), METHOD_CONNECT);
    assert_int_equal(method_lookup(STR("get")), METHOD_OTHER);
    assert_int_equal(method_lookup(STR("")), METHOD_OTHER);
    assert_true(method_is_safe(METHOD_HEAD) && !method_is_safe(METHOD_PUT));
    assert_true(method_is_idempotent(METHOD_DELETE) && !method_is_idempotent(METHOD_POST));
    assert_false(method_is_idempotent(METHOD_OTHER) || method_is_idempotent(METHOD_PATCH));
}

static void every_status_has_a_reason(void **state)
{
    (void)state;
    assert_true(str_eq(status_reason(404), STR("Not Found")));
    for (unsigned status = 0; status < 1100; status++)
        assert_true(status_reason(status).len != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields_are_found_by_id_and_by_name_in_any_case, begin, end),
        cmocka_unit_test_setup_teardown(a_removed_field_is_not_found_but_stays, begin, end),
        cmocka_unit_test_setup_teardown(setting_leaves_exactly_one, begin, end),
        cmocka_unit_test_setup_teardown(what_must_not_be_written_cannot_be_added, begin, end),
        cmocka_unit_test_setup_teardown(the_array_grows_until_the_arena_is_full, begin, end),
        cmocka_unit_test(methods_are_told_apart_by_their_case),
        cmocka_unit_test(every_status_has_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
