#include "base/str.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void comparisons_are_by_bytes_and_ascii_case_only(void **state)
{
    (void)state;
    static const struct {
        struct str a, b;
        bool eq, nocase;
    } rows[] = {
        {STR_INIT(""), STR_INIT(""), true, true},
        {STR_INIT("a"), STR_INIT("a"), true, true},
        {STR_INIT("a"), STR_INIT("A"), false, true},
        {STR_INIT("z"), STR_INIT("Z"), false, true},
        {STR_INIT("@"), STR_INIT("`"), false, false}, /* beside the letters on both sides */
        {STR_INIT("["), STR_INIT("{"), false, false},
        {STR_INIT("a\0b"), STR_INIT("a\0c"), false, false},
        {STR_INIT("a"), STR_INIT("ab"), false, false},
        {STR_INIT("\xe4"), STR_INIT("\xc4"), false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(str_eq(rows[i].a, rows[i].b), rows[i].eq);
        assert_int_equal(str_eq_nocase(rows[i].a, rows[i].b), rows[i].nocase);
    }
    assert_true(str_eq((struct str){0}, STR("")));
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("b"), STR("ab")) > 0);
    assert_int_equal(str_cmp(STR("ab"), STR("ab")), 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0); /* bytes, not chars with a sign */
}

static void prefixes_suffixes_and_finds(void **state)
{
    (void)state;
    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_true(str_starts(STR("abc"), STR("")));
    assert_false(str_starts(STR("ab"), STR("abc")));
    assert_true(str_ends(STR("abc"), STR("bc")));
    assert_true(str_ends((struct str){0}, (struct str){0}));
    assert_false(str_ends(STR("bc"), STR("abc")));
    assert_true(str_starts_nocase(STR("Basic x"), STR("basic ")));
    assert_false(str_starts_nocase(STR("Bas"), STR("basic ")));
    assert_int_equal(str_find_byte(STR("abcb"), 'b'), 1);
    assert_true(str_find_byte(STR("abc"), 'x') == SIZE_MAX);
    assert_true(str_find_byte((struct str){0}, 'x') == SIZE_MAX);
    assert_int_equal(str_find(STR("a\0bc"), STR("\0b")), 1);
    assert_int_equal(str_find(STR("abc"), STR("")), 0);
    assert_true(str_find(STR("ab"), STR("abc")) == SIZE_MAX);
    assert_true(str_find((struct str){0}, STR("a")) == SIZE_MAX);
}

static void parts_never_leave_the_string(void **state)
{
    (void)state;
    static const struct {
        size_t from, len;
        struct str part;
    } rows[] = {
        {0, 3, STR_INIT("abc")},      {0, SIZE_MAX, STR_INIT("abc")},
        {1, 1, STR_INIT("b")},        {3, 1, STR_INIT("")},
        {4, 1, STR_INIT("")},         {SIZE_MAX, SIZE_MAX, STR_INIT("")},
        {2, SIZE_MAX, STR_INIT("c")}, {1, 0, STR_INIT("")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true(str_eq(str_sub(STR("abc"), rows[i].from, rows[i].len), rows[i].part));
    assert_int_equal(str_sub((struct str){0}, 5, 5).len, 0);
    assert_true(str_eq(str_skip(STR("abc"), 2), STR("c")));
    assert_int_equal(str_skip(STR("abc"), 9).len, 0);
    assert_true(str_eq(str_trim(STR(" \t a b\t ")), STR("a b")));
    assert_true(str_eq(str_trim(STR("\n a")), STR("\n a"))); /* only SP and HTAB are OWS */
    assert_int_equal(str_trim(STR(" \t")).len, 0);
}

static void splitting_gives_every_part_but_an_empty_last_one(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *parts[4];
        size_t count;
    } rows[] = {
        {STR_INIT(""), {0}, 0},   {STR_INIT("a"), {"a"}, 1},  {STR_INIT("a,,b"), {"a", "", "b"}, 3},
        {STR_INIT(","), {""}, 1}, {STR_INIT("a,"), {"a"}, 1}, {STR_INIT(",a"), {"", "a"}, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str rest = rows[i].text, part;
        size_t count = 0;
        while (str_split(&rest, ',', &part)) {
            assert_true(count < rows[i].count);
            assert_true(str_eq(part, str_from_z(rows[i].parts[count++])));
        }
        assert_int_equal(count, rows[i].count);
    }
}

static void numbers_are_digits_only_and_bounded(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        uint64_t max;
        bool ok;
        uint64_t value;
    } rows[] = {
        {STR_INIT("0"), 10, true, 0},
        {STR_INIT("10"), 10, true, 10},
        {STR_INIT("11"), 10, false, 0},
        {STR_INIT("0010"), 10, true, 10},
        {STR_INIT(""), 10, false, 0},
        {STR_INIT("+1"), 10, false, 0},
        {STR_INIT("-1"), 10, false, 0},
        {STR_INIT(" 1"), 10, false, 0},
        {STR_INIT("1 "), 10, false, 0},
        {STR_INIT("0x1"), 10, false, 0},
        {STR_INIT("18446744073709551615"), UINT64_MAX, true, UINT64_MAX},
        {STR_INIT("18446744073709551616"), UINT64_MAX, false, 0},
        {STR_INIT("99999999999999999999"), UINT64_MAX, false, 0},
        {STR_INIT("184467440737095516150"), UINT64_MAX, false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t value = 0;
        assert_int_equal(str_to_u64(rows[i].text, rows[i].max, &value), rows[i].ok);
        if (rows[i].ok)
            assert_true(value == rows[i].value);
    }
    uint64_t value = 0;
    assert_true(str_to_hex64(STR("ffffffffffffffff"), &value) && value == UINT64_MAX);
    assert_false(str_to_hex64(STR("10000000000000000"), &value));
    assert_true(str_to_hex64(STR("aF0"), &value) && value == 0xaf0);
    assert_false(str_to_hex64(STR(""), &value));
    assert_false(str_to_hex64(STR("g"), &value));
    assert_false(str_to_hex64(STR("0x1"), &value));
}

static void hex_digits_are_these_and_no_others(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char *digits = "0123456789abcdef";
        const char *at = c ? strchr(digits, char_lower((char)c)) : NULL;
        assert_int_equal(char_hex((char)c), at ? at - digits : -1);
    }
}

static void copies_end_in_a_nul_and_fail_without_memory(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096, 256);
    struct str copy = str_dup(arena, STR("a\0b"));
    assert_true(str_eq(copy, STR("a\0b")));
    assert_int_equal(copy.at[3], '\0');
    assert_non_null(str_dup(arena, (struct str){0}).at);
    assert_true(str_eq(str_lower(arena, STR("AZ@[\xc4")), STR("az@[\xc4")));
    assert_true(str_eq(str_printf(arena, "%s-%d", "x", 7), STR("x-7")));
    assert_string_equal(str_to_z(arena, STR("zz")), "zz");
    for (int i = 0; i < 4; i++) {
        arena_fail_at(1);
        const char *at = i == 0   ? str_dup(arena, STR("a")).at
                         : i == 1 ? str_lower(arena, STR("a")).at
                         : i == 2 ? str_printf(arena, "%d", 1).at
                                  : str_to_z(arena, STR("a"));
        assert_null(at);
        arena_fail_at(0);
    }
    arena_end(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparisons_are_by_bytes_and_ascii_case_only),
        cmocka_unit_test(prefixes_suffixes_and_finds),
        cmocka_unit_test(parts_never_leave_the_string),
        cmocka_unit_test(splitting_gives_every_part_but_an_empty_last_one),
        cmocka_unit_test(numbers_are_digits_only_and_bounded),
        cmocka_unit_test(hex_digits_are_these_and_no_others),
        cmocka_unit_test(copies_end_in_a_nul_and_fail_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
