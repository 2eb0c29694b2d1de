#include "base/diag.h"

#include "base/arena.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct str rendered(struct arena *arena, const struct diag *diag, bool colour)
{
    struct text out = text_in(arena, 1 << 20);
    diag_render(diag, &out, colour);
    assert_true(text_ok(&out));
    return text_str(&out);
}

static void expect(struct arena *arena, const struct diag *diag, const char *want)
{
    struct str got = rendered(arena, diag, false);
    if (!str_eq(got, str_from_z(want)))
        fail_msg("got\n%.*swant\n%s", STR_ARG(got), want);
}

static void an_error_shows_its_line_a_caret_and_the_remedy(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 1024);
    struct diag diag;
    diag_init(&diag, arena);
    struct diag_pos pos = {.file = STR("portcullis.conf"),
                           .line = 17,
                           .column = 9,
                           .width = 7,
                           .text = STR("        balanse least-requests")};
    diag_error(&diag, &pos, "unknown directive '%s' in a route", "balanse");
    diag_hint(&diag, "did you mean '%s'?", "balance");
    expect(arena, &diag,
           "portcullis.conf:17:9: unknown directive 'balanse' in a route\n"
           "       17 |         balanse least-requests\n"
           "          |         ^~~~~~~ did you mean 'balance'?\n");
    arena_end(arena);
}

static void levels_and_places_of_every_kind(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 1024);
    struct diag diag;
    diag_init(&diag, arena);
    struct diag_pos outer = {
        .file = STR("a.conf"), .line = 3, .column = 1, .width = 1, .text = STR("include b.conf")};
    struct diag_pos inner = {
        .file = STR("b.conf"), .line = 1, .column = 1, .width = 1, .text = STR("x"), .in = &outer};
    struct diag_pos file = {.file = STR("c.conf")};
    diag_error(&diag, NULL, "no place");
    diag_warning(&diag, &file, "the file as a whole");
    diag_hint(&diag, "look at it");
    diag_notice(&diag, &inner, "inside");
    assert_int_equal(diag.errors, 1);
    assert_int_equal(diag.warnings, 1);
    assert_int_equal(diag.notices, 1);
    expect(arena, &diag,
           "no place\n"
           "c.conf: warning: the file as a whole\n"
           "          = look at it\n"
           "b.conf:1:1: notice: inside\n"
           "        1 | x\n"
           "          | ^\n"
           "          included from a.conf:3\n");
    arena_end(arena);
}

static void the_caret_stands_under_its_word_whatever_came_before(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        uint32_t column, width;
        const char *line, *caret;
    } rows[] = {
        {STR_INIT("\tx"), 2, 1, " x", " ^"},                  /* a tab is one space */
        {STR_INIT("\xc3\xa4x y"), 3, 1, "\xc3\xa4x y", " ^"}, /* two bytes, one column */
        {STR_INIT("a\x01x"), 3, 1, "a\\x01x", "     ^"},      /* escaped, four columns */
        {STR_INIT("\x1b[m"), 1, 3, "\\x1b[m", "^~~~~~"},
        {STR_INIT("a\\b"), 2, 2, "a\\b", " ^~"}, /* a backslash is itself */
        {STR_INIT("ab"), 3, 1, "ab", "  ^"},     /* behind the end */
        {STR_INIT("ab"), 5, 1, "ab", "    ^"},
        {STR_INIT("abc"), 2, 99, "abc", " ^~"}, /* not longer than the line */
        {STR_INIT(""), 1, 1, "", "^"},
    };
    struct arena *arena = arena_new(1 << 20, 1024);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct diag diag;
        diag_init(&diag, arena);
        struct diag_pos pos = {.file = STR("f"),
                               .line = 1,
                               .column = rows[i].column,
                               .width = rows[i].width,
                               .text = rows[i].text};
        diag_error(&diag, &pos, "m");
        expect(arena, &diag,
               str_printf(arena, "f:1:%u: m\n        1 | %s\n          | %s\n", rows[i].column,
                          rows[i].line, rows[i].caret)
                   .at);
    }
    arena_end(arena);
}

static void nothing_that_a_file_says_reaches_the_terminal_raw(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 1024);
    struct diag diag;
    diag_init(&diag, arena);
    struct diag_pos pos = {.file = STR("\x1b]0;f"),
                           .line = 1,
                           .column = 1,
                           .width = 1,
                           .text = STR("\x1b[2J\xe2\x80\xae\xff")};
    diag_error(&diag, &pos, "word '%s'", "\x1b[1m\n");
    diag_hint(&diag, "say '%s'", "\x9b\r");
    struct str got = rendered(arena, &diag, false);
    for (size_t i = 0; i < got.len; i++)
        assert_true(got.at[i] == '\n' || (got.at[i] >= 0x20 && got.at[i] < 0x7f));
    assert_true(str_find_byte(rendered(arena, &diag, true), '\x1b') != SIZE_MAX);
    arena_end(arena);
}

static void json_says_the_same(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 1024);
    struct diag diag;
    struct text out = text_in(arena, 4096);
    diag_init(&diag, arena);
    diag_render_json(&diag, &out);
    assert_true(str_eq(text_str(&out), STR("[]\n")));
    struct diag_pos pos = {
        .file = STR("a\"b"), .line = 2, .column = 3, .width = 1, .text = STR("x")};
    diag_error(&diag, &pos, "m");
    diag_hint(&diag, "h");
    diag_notice(&diag, NULL, "n");
    out = text_in(arena, 4096);
    diag_render_json(&diag, &out);
    assert_true(str_eq(
        text_str(&out),
        STR("[\n{\"level\":\"error\",\"file\":\"a\\\"b\",\"line\":2,\"column\":3,"
            "\"message\":\"m\",\"hint\":\"h\"},\n{\"level\":\"notice\",\"message\":\"n\"}]\n")));
    arena_end(arena);
}

static void entries_are_bounded_and_counted_on(void **state)
{
    (void)state;
    struct arena *arena = arena_new(8 << 20, 4096);
    struct diag diag;
    diag_init(&diag, arena);
    diag_hint(&diag, "a remedy for nothing");
    for (int i = 0; i < 1500; i++) {
        diag_error(&diag, NULL, "error %d", i);
        diag_hint(&diag, "hint %d", i);
    }
    assert_int_equal(diag.errors, 1500);
    size_t count = 0;
    for (const struct diag_entry *entry = diag.first; entry != NULL; entry = entry->next)
        assert_true(str_eq(entry->hint, str_printf(arena, "hint %zu", count++)));
    assert_int_equal(count, 1000);
    arena_end(arena);
}

static void without_memory_errors_are_still_counted(void **state)
{
    (void)state;
    struct diag_pos pos = {.file = STR("f"), .line = 1, .column = 1, .width = 1, .text = STR("x")};
    for (uint64_t n = 1; n < 12; n++) {
        struct arena *arena = arena_new(1 << 20, 1024);
        struct diag diag;
        diag_init(&diag, arena);
        arena_fail_at(n);
        diag_error(&diag, &pos, "first");
        diag_hint(&diag, "hint");
        diag_error(&diag, &pos, "second");
        arena_fail_at(0);
        assert_int_equal(diag.errors, 2);
        (void)rendered(arena, &diag, false);
        arena_end(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_shows_its_line_a_caret_and_the_remedy),
        cmocka_unit_test(levels_and_places_of_every_kind),
        cmocka_unit_test(the_caret_stands_under_its_word_whatever_came_before),
        cmocka_unit_test(nothing_that_a_file_says_reaches_the_terminal_raw),
        cmocka_unit_test(json_says_the_same),
        cmocka_unit_test(entries_are_bounded_and_counted_on),
        cmocka_unit_test(without_memory_errors_are_still_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
