#include "base/regex.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct regex *compiled(struct arena *arena, struct str pattern)
{
    const char *why;
    size_t at;
    struct regex *regex = regex_new(arena, pattern, &why, &at);
    if (regex == NULL)
        fail_msg("%.*s: %s at %zu", STR_ARG(pattern), why, at);
    return regex;
}

static void matching_is_unanchored_and_by_bytes(void **state)
{
    (void)state;
    static const struct {
        struct str pattern, subject;
        enum regex_result result;
    } rows[] = {
        {STR_INIT("b"), STR_INIT("abc"), REGEX_MATCH},
        {STR_INIT("^b"), STR_INIT("abc"), REGEX_NO_MATCH},
        {STR_INIT(""), STR_INIT(""), REGEX_MATCH},
        {STR_INIT("^a$"), STR_INIT("a\n"), REGEX_NO_MATCH}, /* $ is the end, not before a line's */
        {STR_INIT("a"), STR_INIT("A"), REGEX_NO_MATCH},
        {STR_INIT("(?i)a"), STR_INIT("A"), REGEX_MATCH},
        {STR_INIT("a.c"), STR_INIT("a\0c"), REGEX_MATCH},
        {STR_INIT("^.$"), STR_INIT("\xff"), REGEX_MATCH},
        {STR_INIT("^/api/v\\d+/"), STR_INIT("/api/v12/x"), REGEX_MATCH},
    };
    struct arena *arena = arena_new(1 << 20, 1024);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(regex_match(compiled(arena, rows[i].pattern), rows[i].subject, NULL),
                         rows[i].result);
    assert_int_equal(regex_match(compiled(arena, STR("^$")), (struct str){0}, NULL), REGEX_MATCH);
    arena_end(arena);
}

static void groups_that_took_no_part_are_empty(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 1024);
    struct str groups[REGEX_GROUPS_MAX];
    struct regex *regex = compiled(arena, STR("(a)|(b)(c)?"));
    assert_int_equal(regex_match(regex, STR("xbc"), groups), REGEX_MATCH);
    assert_true(str_eq(groups[0], STR("bc")));
    assert_int_equal(groups[1].len, 0);
    assert_true(str_eq(groups[2], STR("b")));
    assert_true(str_eq(groups[3], STR("c")));
    assert_int_equal(groups[9].len, 0);
    assert_int_equal(regex_match(regex, STR("a"), groups), REGEX_MATCH);
    assert_true(str_eq(groups[1], STR("a")));
    assert_int_equal(groups[2].len, 0); /* nothing is left of the match before */
    assert_int_equal(groups[3].len, 0);
    /* More groups than are kept: the first nine. */
    regex = compiled(arena, STR("(1)(2)(3)(4)(5)(6)(7)(8)(9)(a)(b)"));
    assert_int_equal(regex_match(regex, STR("123456789ab"), groups), REGEX_MATCH);
    assert_true(str_eq(groups[0], STR("123456789ab")));
    assert_true(str_eq(groups[9], STR("9")));
    arena_end(arena);
}

static void a_bad_pattern_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        struct str pattern;
        size_t at;
    } rows[] = {
        {STR_INIT("a("), 2}, {STR_INIT("a)"), 1},  {STR_INIT("a[b"), 3},
        {STR_INIT("*"), 0},  {STR_INIT("\\C"), 2},
    };
    struct arena *arena = arena_new(1 << 20, 1024);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *why = NULL;
        size_t at = 99;
        assert_null(regex_new(arena, rows[i].pattern, &why, &at));
        assert_true(why != NULL && why[0] != '\0');
        assert_int_equal(at, rows[i].at);
    }
    arena_end(arena);
}

static void a_match_that_runs_away_is_stopped(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 1024);
    char as[40];
    memset(as, 'a', sizeof as);
    as[39] = 'b';
    struct regex *regex = compiled(arena, STR("^(a+)+$"));
    assert_int_equal(regex_match(regex, str_from(as, sizeof as), NULL), REGEX_LIMIT);
    assert_int_equal(regex_match(regex, str_from(as, 39), NULL), REGEX_MATCH);
    arena_end(arena);
}

static void without_memory_there_is_no_regex_and_no_leak(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        struct arena *arena = arena_new(1 << 20, 1024);
        const char *why = NULL;
        size_t at;
        arena_fail_at(n);
        assert_null(regex_new(arena, STR("a"), &why, &at));
        arena_fail_at(0);
        assert_string_equal(why, "out of memory");
        arena_end(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matching_is_unanchored_and_by_bytes),
        cmocka_unit_test(groups_that_took_no_part_are_empty),
        cmocka_unit_test(a_bad_pattern_is_refused_with_its_place),
        cmocka_unit_test(a_match_that_runs_away_is_stopped),
        cmocka_unit_test(without_memory_there_is_no_regex_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
