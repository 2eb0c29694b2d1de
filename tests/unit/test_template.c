/* Text with values of the request in it. */
#include "proxy/template.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;

static int start(void **state)
{
    (void)state;
    arena = arena_new((size_t)1 << 20, 4096);
    return arena == NULL;
}

static int stop(void **state)
{
    (void)state;
    arena_end(arena);
    return 0;
}

static const struct str groups[10] = {[1] = STR_INIT("//evil.example"), [2] = STR_INIT("two")};
static const struct template_values values = {
    .client = STR_INIT("192.0.2.7"),
    .host = STR_INIT("www.example.com"),
    .scheme = STR_INIT("https"),
    .method = STR_INIT("GET"),
    .path = STR_INIT("/a b/\xc3\xa4%2fx"),
    .query = STR_INIT("q=1&r=%20#"),
    .request_id = STR_INIT("0011"),
    .rest = STR_INIT("\\x/y?z"),
    .groups = groups,
};

static const struct {
    const char *text;
    enum template_place place;
    const char *expected;
} good[] = {
    {"plain", TEMPLATE_IN_HEADER, "plain"},
    {"", TEMPLATE_IN_HEADER, ""},
    {"$client-$host-$scheme-$method-$request_id", TEMPLATE_IN_HEADER,
     "192.0.2.7-www.example.com-https-GET-0011"},
    {"a $$5 note", TEMPLATE_IN_TEXT, "a $5 note"},
    {"$$$2$$", TEMPLATE_IN_TEXT, "$two$"},
    {"$9", TEMPLATE_IN_TEXT, ""},
    {"/new/*", TEMPLATE_IN_URL, "/new/%5Cx/y%3Fz"},
    {"/new/$path", TEMPLATE_IN_URL, "/new//a%20b/%C3%A4%2fx"},
    {"/find?for=$path", TEMPLATE_IN_URL, "/find?for=%2Fa%20b%2F%C3%A4%252fx"},
    {"/find?$query", TEMPLATE_IN_URL, "/find?q=1&r=%20%23"},
    {"https://$host/x", TEMPLATE_IN_URL, "https://www.example.com/x"},
    {"/$1", TEMPLATE_IN_URL, "/evil.example"},
    {"$1", TEMPLATE_IN_URL, "/evil.example"},
    {"//cdn.example/$2", TEMPLATE_IN_URL, "//cdn.example/two"},
    {"/$9/evil.example", TEMPLATE_IN_URL, "/evil.example"},
    {"/*/*", TEMPLATE_IN_PATH, "/*/\\x/y?z"},
};

static void what_is_expanded_is_encoded_for_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct template t;
        size_t at, len;
        bool with_rest = good[i].place == TEMPLATE_IN_URL || good[i].place == TEMPLATE_IN_PATH;
        assert_true(template_compile(arena, str_from_z(good[i].text), with_rest, &t, &at, &len));
        char bytes[200] = "";
        struct text out = text_over(bytes, sizeof bytes - 1);
        template_expand(&t, &values, good[i].place, &out);
        assert_true(text_ok(&out));
        bytes[out.len] = '\0';
        assert_string_equal(bytes, good[i].expected);
    }
}

static void a_value_can_never_add_a_line_to_a_header(void **state)
{
    (void)state;
    const struct str hostile[10] = {[1] = STR_INIT(" a\r\nX: b\x7f\xc3\xa4\t ")};
    const struct template_values v = {.groups = hostile};
    struct template t;
    size_t at, len;
    assert_true(template_compile(arena, STR("$1"), false, &t, &at, &len));
    char bytes[64] = "";
    struct text out = text_over(bytes, sizeof bytes - 1);
    template_expand(&t, &v, TEMPLATE_IN_HEADER, &out);
    bytes[out.len] = '\0';
    assert_string_equal(bytes, "aX: b\xc3\xa4");
}

static void a_value_can_never_add_markup_to_a_page(void **state)
{
    (void)state;
    const struct template_values v = {.path = STR_INIT("/<b>\"&")};
    struct template t;
    size_t at, len;
    assert_true(template_compile(arena, STR("<p>$path"), false, &t, &at, &len));
    char bytes[64] = "";
    struct text out = text_over(bytes, sizeof bytes - 1);
    template_expand(&t, &v, TEMPLATE_IN_HTML, &out);
    assert_string_equal(bytes, "<p>/&lt;b&gt;&quot;&amp;");
}

static const struct {
    const char *text;
    size_t at, len;
} bad[] = {
    {"$hots", 0, 5}, {"/x/$user", 3, 5}, {"$0", 0, 2},        {"$12", 0, 3},
    {"100 $", 4, 1}, {"$ ", 0, 1},       {"$hostname", 0, 9}, {"$${a}$Host", 5, 5},
};

static void unknown_values_are_named_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct template t;
        size_t at, len;
        assert_false(template_compile(arena, str_from_z(bad[i].text), true, &t, &at, &len));
        assert_int_equal(at, bad[i].at);
        assert_int_equal(len, bad[i].len);
    }
}

static void without_memory_no_value_is_blamed(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        struct template t;
        size_t at, len;
        arena_fail_at(n);
        assert_false(template_compile(arena, STR("/x"), true, &t, &at, &len));
        arena_fail_at(0);
        assert_int_equal(len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_expanded_is_encoded_for_its_place),
        cmocka_unit_test(a_value_can_never_add_a_line_to_a_header),
        cmocka_unit_test(a_value_can_never_add_markup_to_a_page),
        cmocka_unit_test(unknown_values_are_named_with_their_place),
        cmocka_unit_test(without_memory_no_value_is_blamed),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
