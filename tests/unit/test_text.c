#include "base/text.h"

#include "base/arena.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef void add_function(struct text *text, struct str s);

static void add_percent(struct text *text, struct str s)
{
    text_add_percent(text, s, "/!");
}

static void escapes_are_as_said(void **state)
{
    (void)state;
    static const struct {
        struct str in, escaped, json, html;
    } rows[] = {
        {STR_INIT("plain"), STR_INIT("plain"), STR_INIT("\"plain\""), STR_INIT("plain")},
        {STR_INIT(""), STR_INIT(""), STR_INIT("\"\""), STR_INIT("")},
        {STR_INIT("\0"), STR_INIT("\\x00"), STR_INIT("\"\\u0000\""), STR_INIT("")},
        {STR_INIT("\n"), STR_INIT("\\x0a"), STR_INIT("\"\\u000a\""), STR_INIT("\n")},
        {STR_INIT("\t"), STR_INIT("\\x09"), STR_INIT("\"\\u0009\""), STR_INIT("\t")},
        {STR_INIT("\r\x1b[0m"), STR_INIT("\\x0d\\x1b[0m"), STR_INIT("\"\\u000d\\u001b[0m\""),
         STR_INIT("[0m")},
        {STR_INIT("\x1f \x7e\x7f"), STR_INIT("\\x1f ~\\x7f"), STR_INIT("\"\\u001f ~\\u007f\""),
         STR_INIT(" ~")},
        {STR_INIT("a\\b\"c"), STR_INIT("a\\\\b\"c"), STR_INIT("\"a\\\\b\\\"c\""),
         STR_INIT("a\\b&quot;c")},
        {STR_INIT("<&>'"), STR_INIT("<&>'"), STR_INIT("\"<&>'\""), STR_INIT("&lt;&amp;&gt;&#39;")},
        /* letters, and both sides of C1 */
        {STR_INIT("\xc3\xa4"), STR_INIT("\xc3\xa4"), STR_INIT("\"\xc3\xa4\""),
         STR_INIT("\xc3\xa4")},
        {STR_INIT("\xc2\x80"), STR_INIT("\\u0080"), STR_INIT("\"\\u0080\""), STR_INIT("")},
        {STR_INIT("\xc2\x9b"), STR_INIT("\\u009b"), STR_INIT("\"\\u009b\""), STR_INIT("")},
        {STR_INIT("\xc2\x9f\xc2\xa0"), STR_INIT("\\u009f\xc2\xa0"), STR_INIT("\"\\u009f\xc2\xa0\""),
         STR_INIT("\xc2\xa0")},
        /* bidirectional marks, both sides of their ranges */
        {STR_INIT("\xd8\x9c"), STR_INIT("\\u061c"), STR_INIT("\"\\u061c\""), STR_INIT("\xd8\x9c")},
        {STR_INIT("\xe2\x80\xae"), STR_INIT("\\u202e"), STR_INIT("\"\\u202e\""),
         STR_INIT("\xe2\x80\xae")},
        {STR_INIT("\xe2\x80\xa7"), STR_INIT("\xe2\x80\xa7"), STR_INIT("\"\xe2\x80\xa7\""),
         STR_INIT("\xe2\x80\xa7")},
        {STR_INIT("\xe2\x80\xaf"), STR_INIT("\xe2\x80\xaf"), STR_INIT("\"\xe2\x80\xaf\""),
         STR_INIT("\xe2\x80\xaf")},
        {STR_INIT("\xe2\x81\xa6\xe2\x81\xa9"), STR_INIT("\\u2066\\u2069"),
         STR_INIT("\"\\u2066\\u2069\""), STR_INIT("\xe2\x81\xa6\xe2\x81\xa9")},
        {STR_INIT("\xef\xbb\xbf"), STR_INIT("\\ufeff"), STR_INIT("\"\\ufeff\""),
         STR_INIT("\xef\xbb\xbf")},
        {STR_INIT("\xf0\x9f\x98\x80"), STR_INIT("\xf0\x9f\x98\x80"),
         STR_INIT("\"\xf0\x9f\x98\x80\""), STR_INIT("\xf0\x9f\x98\x80")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        add_function *const adds[] = {text_add_escaped, text_add_json, text_add_html};
        const struct str want[] = {rows[i].escaped, rows[i].json, rows[i].html};
        for (int k = 0; k < 3; k++) {
            char room[64];
            struct text text = text_over(room, sizeof room);
            adds[k](&text, rows[i].in);
            assert_true(text_ok(&text));
            if (!str_eq(text_str(&text), want[k]))
                fail_msg("row %zu kind %d: %.*s", i, k, STR_ARG(text_str(&text)));
        }
    }
}

static void what_is_no_utf8_is_shown_byte_by_byte(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *escaped;
    } rows[] = {
        {STR_INIT("\x80"), "\\x80"},                            /* a lone continuation */
        {STR_INIT("\xc3"), "\\xc3"},                            /* cut short */
        {STR_INIT("\xc3("), "\\xc3("},                          /* no continuation */
        {STR_INIT("\xe2\x82"), "\\xe2\\x82"},                   /* cut short in the third */
        {STR_INIT("\xf0\x9f\x98"), "\\xf0\\x9f\\x98"},          /* and in the fourth */
        {STR_INIT("\xc0\x80"), "\\xc0\\x80"},                   /* overlong NUL */
        {STR_INIT("\xc1\xbf"), "\\xc1\\xbf"},                   /* overlong DEL */
        {STR_INIT("\xe0\x9f\xbf"), "\\xe0\\x9f\\xbf"},          /* overlong of three */
        {STR_INIT("\xf0\x8f\xbf\xbf"), "\\xf0\\x8f\\xbf\\xbf"}, /* overlong of four */
        {STR_INIT("\xed\xa0\x80"), "\\xed\\xa0\\x80"},          /* the first surrogate */
        {STR_INIT("\xed\xbf\xbf"), "\\xed\\xbf\\xbf"},          /* the last */
        {STR_INIT("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"}, /* behind U+10FFFF */
        {STR_INIT("\xf5\x80\x80\x80"), "\\xf5\\x80\\x80\\x80"},
        {STR_INIT("\xff\xfe"), "\\xff\\xfe"},
        {STR_INIT("\xed\x9f\xbf"), "\xed\x9f\xbf"}, /* beside them: well-formed */
        {STR_INIT("\xf4\x8f\xbf\xbf"), "\xf4\x8f\xbf\xbf"},
        {STR_INIT("\xe0\xa0\x80"), "\xe0\xa0\x80"},
        {STR_INIT("\xc2\xa1"), "\xc2\xa1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char room[64];
        struct text text = text_over(room, sizeof room);
        text_add_escaped(&text, rows[i].in);
        if (!str_eq(text_str(&text), str_from_z(rows[i].escaped)))
            fail_msg("row %zu: %.*s", i, STR_ARG(text_str(&text)));
        /* The other reader of UTF-8 agrees. */
        assert_int_equal(utf8_length(rows[i].in) == 0, rows[i].escaped[0] == '\\');
    }
    char room[64];
    struct text text = text_over(room, sizeof room);
    text_add_json(&text, STR("\xff"));
    text_add_html(&text, STR("\xff<\xc3"));
    assert_true(str_eq(text_str(&text), STR("\"\\u00ff\"\xef\xbf\xbd&lt;\xef\xbf\xbd")));
}

static void percent_encoding_keeps_the_unreserved_and_what_is_named(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char in = (char)c, room[4];
        struct text text = text_over(room, sizeof room);
        add_percent(&text, str_from(&in, 1));
        bool kept = c != 0 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~/!",
                                     c) != NULL;
        char want[4];
        snprintf(want, sizeof want, kept ? "%c" : "%%%02X", (unsigned)c);
        assert_true(text_ok(&text));
        assert_true(str_eq(text_str(&text), str_from_z(want)));
    }
}

static void a_bound_holds_on_both_sides(void **state)
{
    (void)state;
    char room[8];
    struct text text = text_over(room, 4);
    text_add(&text, STR("abcd"));
    assert_true(text_ok(&text));
    text_add(&text, STR(""));
    assert_true(text_ok(&text));
    text_add_byte(&text, 'e');
    assert_false(text_ok(&text));
    assert_true(str_eq(text_str(&text), STR("abcd")));

    text = text_over(room, 4);
    text_add(&text, STR("abcde")); /* as much as fits */
    assert_false(text_ok(&text));
    assert_true(str_eq(text_str(&text), STR("abcd")));

    text = text_over(room, 4);
    text_add(&text, STR("ab"));
    text_add(&text, STR("cde"));
    text_add(&text, STR("f")); /* nothing comes behind a cut */
    assert_true(str_eq(text_str(&text), STR("abcd")));

    for (size_t room_bytes = 4; room_bytes <= 5;
         room_bytes++) { /* the last one fits, or does not */
        text = text_over(room, room_bytes);
        text_add(&text, STR("abcd"));
        text_add(&text, (struct str){0});
        assert_true(text_ok(&text));
        text_add_byte(&text, 'e');
        assert_int_equal(text_ok(&text), room_bytes == 5);
        assert_true(str_eq(text_str(&text), str_from("abcde", room_bytes)));
        text_add_byte(&text, 'f');
        text_add(&text, STR("f"));
        assert_false(text_ok(&text));
        assert_true(str_eq(text_str(&text), str_from("abcde", room_bytes)));
    }
}

/* Whatever the room, an escape or a character is there whole or not at all. */
static void escapes_are_cut_between_characters_only(void **state)
{
    (void)state;
    static const char in[] = "a\x01\xc3\xa4\xe2\x80\xae\xff<\\\"";
    add_function *const adds[] = {text_add_escaped, text_add_html, add_percent};
    for (size_t k = 0; k < 3; k++) {
        char whole[128], part[128];
        struct text all = text_over(whole, sizeof whole);
        adds[k](&all, STR("a\x01\xc3\xa4\xe2\x80\xae\xff<\\\""));
        assert_true(text_ok(&all));
        for (size_t room = 0; room < all.len; room++) {
            struct text text = text_over(part, room);
            adds[k](&text, str_from(in, sizeof in - 1));
            assert_false(text_ok(&text));
            assert_true(text.len <= room);
            assert_memory_equal(part, whole, text.len);
            for (size_t i = 0; i < text.len;) {
                size_t len = utf8_length(str_from(part + i, text.len - i));
                assert_true(len != 0);
                i += len;
            }
            assert_true(text.len == 0 || part[text.len - 1] != '%');
        }
    }
}

static void text_in_an_arena_grows_to_its_bound(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 256);
    struct text text = text_in(arena, 1000);
    for (int i = 0; i < 1000; i++)
        text_add_byte(&text, (char)('a' + i % 26));
    assert_true(text_ok(&text));
    assert_int_equal(text.len, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(text.at[i], 'a' + i % 26);
    text_add_byte(&text, 'x');
    assert_false(text_ok(&text));
    assert_int_equal(text.len, 1000);
    text = text_in(arena, 10);
    text_add(&text, STR("12345678901"));
    assert_false(text_ok(&text));
    assert_int_equal(text.len, 0);
    arena_end(arena);
}

static void numbers_and_formats(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 256);
    struct text text = text_in(arena, 1 << 16);
    text_add_u64(&text, 0);
    text_add_byte(&text, ' ');
    text_add_u64(&text, UINT64_MAX);
    text_printf(&text, " %d%s", -7, "x");
    text_add_z(&text, NULL);
    assert_true(str_eq(text_str(&text), STR("0 18446744073709551615 -7x")));
    /* Around the room that is tried first. */
    for (int width = 510; width <= 514; width++) {
        text = text_in(arena, 1 << 16);
        text_printf(&text, "%*d", width, 7);
        assert_true(text_ok(&text));
        assert_int_equal(text.len, width);
        assert_int_equal(text.at[width - 1], '7');
    }
    char room[600];
    text = text_over(room, 100);
    text_printf(&text, "%200d", 7);
    assert_false(text_ok(&text));
    assert_int_equal(text.len, 100);
    text = text_over(room, 520);
    text_printf(&text, "%600d", 7);
    assert_false(text_ok(&text));
    assert_true(text.len <= 520);
    arena_end(arena);
}

static void without_memory_text_says_that_it_is_cut(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct arena *arena = arena_new(1 << 20, 256);
        struct text text = text_in(arena, 1 << 16);
        arena_fail_at(n);
        for (int i = 0; i < 100; i++)
            text_add_json(&text, STR("0123\n\xff\xc3\xa4"));
        arena_fail_at(0);
        bool ok = text_ok(&text);
        assert_true(ok == (text.len == 100 * 20));
        arena_end(arena);
        if (ok)
            break;
        assert_true(n < 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_as_said),
        cmocka_unit_test(what_is_no_utf8_is_shown_byte_by_byte),
        cmocka_unit_test(percent_encoding_keeps_the_unreserved_and_what_is_named),
        cmocka_unit_test(a_bound_holds_on_both_sides),
        cmocka_unit_test(escapes_are_cut_between_characters_only),
        cmocka_unit_test(text_in_an_arena_grows_to_its_bound),
        cmocka_unit_test(numbers_and_formats),
        cmocka_unit_test(without_memory_text_says_that_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
