#include "http/header.h"

#include "http/grammar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void every_known_name_is_found_in_any_case(void **state)
{
    (void)state;
    for (unsigned id = 1; id < HEADER_COUNT; id++) {
        char copy[64];
        struct str name = header_name((enum header_id)id);
        assert_int_equal(header_lookup(name), id);
        for (size_t i = 0; i < name.len; i++)
            copy[i] = (char)(i % 2 ? char_lower(name.at[i]) : name.at[i]);
        assert_int_equal(header_lookup(str_from(copy, name.len)), id);
        for (size_t i = 0; i < name.len; i++)
            if (char_is_alpha(name.at[i]))
                copy[i] = (char)(name.at[i] & ~0x20);
        assert_int_equal(header_lookup(str_from(copy, name.len)), id);
        /* One other byte makes it another name. */
        copy[name.len - 1] = '~';
        assert_int_equal(header_lookup(str_from(copy, name.len)), HEADER_OTHER);
    }
}

static void names_nobody_knows_are_other(void **state)
{
    (void)state;
    assert_int_equal(header_lookup(STR("")), HEADER_OTHER);
    assert_int_equal(header_lookup(STR("x")), HEADER_OTHER);
    assert_int_equal(header_lookup(STR("X-Forwarded_For")), HEADER_OTHER);
    assert_int_equal(header_lookup(STR("Content-Lengt\x08")), HEADER_OTHER);
    assert_int_equal(header_lookup(STR("Content\rLength")), HEADER_OTHER);
    assert_int_equal(header_lookup(STR("Content\x8dLength")), HEADER_OTHER);
    assert_int_equal(header_lookup(STR("HTTP\x12-Settings")), HEADER_OTHER);
    assert_int_equal(header_lookup(STR("H\xcfST")), HEADER_OTHER);
    assert_false(header_is(STR(""), HEADER_OTHER));
    assert_int_equal(header_lookup(STR("Content-Length-And-Much-More")), HEADER_OTHER);
    assert_int_equal(header_name(HEADER_OTHER).len, 0);
}

static void a_name_is_a_token(void **state)
{
    (void)state;
    assert_true(header_name_ok(STR("X-a_b.c!#$%&'*+^`|~9")));
    static const struct str bad[] = {STR_INIT(""),     STR_INIT("a b"), STR_INIT("a:"),
                                     STR_INIT("a\r"),  STR_INIT("a("),  STR_INIT("\x80"),
                                     STR_INIT("a\0b"), STR_INIT("\x7f")};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(header_name_ok(bad[i]));
}

static void a_value_has_no_control_byte_and_no_space_at_its_ends(void **state)
{
    (void)state;
    assert_true(header_value_ok(STR("")));
    assert_true(header_value_ok(STR("a\tb \xff\x80 c")));
    static const struct str bad[] = {STR_INIT(" a"),   STR_INIT("a "),   STR_INIT("\ta"),
                                     STR_INIT("a\rb"), STR_INIT("a\nb"), STR_INIT("a\0b"),
                                     STR_INIT("\x7f"), STR_INIT("\x1f"), STR_INIT(" ")};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(header_value_ok(bad[i]));
}

static void fast_and_scalar_scan_agree_on_every_byte_and_place(void **state)
{
    (void)state;
    char bytes[48];
    for (size_t place = 0; place < sizeof bytes; place++)
        for (unsigned byte = 0; byte < 256; byte++) {
            memset(bytes, 'a', sizeof bytes);
            bytes[place] = (char)byte;
            for (size_t len = place; len <= sizeof bytes; len += 5) {
                struct str s = str_from(bytes, len);
                assert_int_equal(grammar_text_len(s), grammar_text_len_scalar(s));
            }
        }
}

static void lists_skip_empty_members_and_respect_quotes(void **state)
{
    (void)state;
    struct str rest = STR(" , a,\"b,c\\\",d\" ,,\te f\t,"), member;
    assert_true(header_list_next(&rest, &member) && str_eq(member, STR("a")));
    assert_true(header_list_next(&rest, &member) && str_eq(member, STR("\"b,c\\\",d\"")));
    assert_true(header_list_next(&rest, &member) && str_eq(member, STR("e f")));
    assert_false(header_list_next(&rest, &member));
    assert_true(header_list_has(STR("keep-alive, Upgrade"), STR("upgrade")));
    assert_false(header_list_has(STR("keep-alive, Upgraded"), STR("upgrade")));
    assert_false(header_list_has(STR("\"upgrade, "), STR("upgrade")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_name_is_found_in_any_case),
        cmocka_unit_test(names_nobody_knows_are_other),
        cmocka_unit_test(a_name_is_a_token),
        cmocka_unit_test(a_value_has_no_control_byte_and_no_space_at_its_ends),
        cmocka_unit_test(fast_and_scalar_scan_agree_on_every_byte_and_place),
        cmocka_unit_test(lists_skip_empty_members_and_respect_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
