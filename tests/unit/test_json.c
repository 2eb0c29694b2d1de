#include "config/json.h"

#include "base/arena.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct json *read(struct arena *arena, const char *text, const char **why, size_t *at)
{
    return json_read(arena, str_from_z(text), why, at);
}

static void values_are_read(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 4096);
    const char *why;
    size_t at;
    const struct json *top = read(arena,
                                  " {\"a\": [1, -2.5e+3, \"x\\n\\u00e4\\ud83d\\ude00\\/\"], "
                                  "\"b\": {\"\": null}, \"c\": true, \"d\": false}\n",
                                  &why, &at);
    assert_non_null(top);
    assert_int_equal(top->kind, JSON_OBJECT);
    const struct json *a = json_get(top, STR("a"));
    assert_int_equal(a->first->kind, JSON_NUMBER);
    assert_true(str_eq(a->first->next->text, STR("-2.5e+3")));
    assert_true(str_eq(a->last->text, STR("x\n\xc3\xa4\xf0\x9f\x98\x80/")));
    assert_int_equal(a->last->at, 20);
    assert_int_equal(json_get(json_get(top, STR("b")), STR(""))->kind, JSON_NULL);
    assert_int_equal(json_get(top, STR("c"))->kind, JSON_TRUE);
    assert_int_equal(json_get(top, STR("d"))->kind, JSON_FALSE);
    assert_null(json_get(top, STR("e")));
    arena_end(arena);
}

static void what_is_no_json_is_refused_where_it_goes_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t at;
    } cases[] = {
        {"", 0},
        {" ", 1},
        {"{", 1},
        {"[1,]", 3},
        {"[1 2]", 3},
        {"{\"a\" 1}", 5},
        {"{a: 1}", 1},
        {"{\"a\": 1,}", 8},
        {"01", 0},
        {"1.", 0},
        {"1e", 0},
        {"-", 0},
        {"+1", 0},
        {"nul", 0},
        {"\"a", 2},
        {"\"\\x\"", 3},
        {"\"\\ud83d\"", 7},
        {"\"\\udc00\"", 7},
        {"\"\\u12g4\"", 3},
        {"\"a\nb\"", 2},
        {"\"\xff\"", 1},
        {"1 1", 2},
        {"{\"a\":1,\"a\":2}", 7},
        {"// x\n1", 0},
        {"NaN", 0},
        {"'a'", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new(1 << 20, 4096);
        const char *why = NULL;
        size_t at = 0;
        assert_null(read(arena, cases[i].text, &why, &at));
        assert_non_null(why);
        if (at != cases[i].at)
            print_error("%s: %zu\n", cases[i].text, at);
        assert_int_equal(at, cases[i].at);
        arena_end(arena);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    for (unsigned more = 0; more < 2; more++) {
        struct arena *arena = arena_new(1 << 20, 4096);
        struct text text = text_in(arena, 4096);
        for (unsigned i = 0; i < JSON_DEPTH_MAX + more; i++)
            text_add_byte(&text, '[');
        for (unsigned i = 0; i < JSON_DEPTH_MAX + more; i++)
            text_add_byte(&text, ']');
        const char *why;
        size_t at;
        assert_int_equal(json_read(arena, text_str(&text), &why, &at) != NULL, !more);
        arena_end(arena);
    }
}

static void memory_may_end_anywhere(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 12; n++) {
        struct arena *arena = arena_new(1 << 20, 4096);
        const char *why = NULL;
        size_t at;
        arena_fail_at(n);
        const struct json *top = read(arena, "{\"a\": [1, \"b\\n\", {}]}", &why, &at);
        arena_fail_at(0);
        assert_true(top != NULL || why != NULL);
        arena_end(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(what_is_no_json_is_refused_where_it_goes_wrong),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(memory_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
