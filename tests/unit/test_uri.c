#include "http/uri.h"

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

static const struct {
    const char *target, *path; /* NULL: refused with 400 */
} paths[] = {
    {"/", "/"},
    {"/a/b", "/a/b"},
    {"/a%20b", "/a b"},
    {"/%61", "/a"},
    {"/%2541", "/%41"},
    {"/a%2fb", "/a%2fb"},
    {"/a%2Fb", "/a%2fb"},
    {"/a%252fb", "/a%2fb"},
    {"//", "/"},
    {"//a///b//", "/a/b/"},
    {"/a%2f/b", "/a%2f/b"},
    {"/a/%2f/b", "/a/%2f/b"},
    {"/a;b=c", "/a;b=c"},
    {"/a%3fb?c", "/a?b"},
    {"/a%23b", "/a#b"},
    {"/%c3%a9", "/\xc3\xa9"},
    {"/|{}^`\"<>", "/|{}^`\"<>"},
    {"/...", "/..."},
    {"/.a", "/.a"},
    {"/a.", "/a."},
    {"/a..", "/a.."},
    {"/a;..", "/a;.."},
    {"/a;/b", "/a;/b"},
    {"/?/../%00#", NULL},
    {"/?/../%00%zz", "/"},
    {"http://h", "/"},
    {"http://h?q", "/"},
    {"HTTPS://h//a", "/a"},
    {"*", "*"},
    {"", NULL},
    {"a", NULL},
    {"http://", NULL},
    {"http:///a", NULL},
    {"/a b", NULL},
    {"/a#b", NULL},
    {"/\x80", NULL},
    {"/\x01", NULL},
    {"/%00", NULL},
    {"/%0a", NULL},
    {"/%0D%0A", NULL},
    {"/%1f", NULL},
    {"/%7f", NULL},
    {"/%20%80", "/ \x80"},
    {"/?%0d%0a", "/"},
    {"/\\", NULL},
    {"/%5c", NULL},
    {"/%5C", NULL},
    {"/%", NULL},
    {"/%2", NULL},
    {"/%2g", NULL},
    {"/.", NULL},
    {"/..", NULL},
    {"/./a", NULL},
    {"/a/..", NULL},
    {"/a//../b", NULL},
    {"/%2e", NULL},
    {"/%2e%2E/", NULL},
    {"/.%2e", NULL},
    {"/..;", NULL},
    {"/.;a/b", NULL},
    {"/..%3b", NULL},
    {"/..%2fa", NULL},
    {"/a%2f..", NULL},
    {"/a%2f.%2fb", NULL},
    {"/a%252f..", NULL},
    {"http://h/..", NULL},
};

static void every_target_has_one_path_or_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct uri uri;
        struct parse_error error = {0};
        enum parse result = uri_parse(arena, str_from_z(paths[i].target), &uri, &error);
        if (paths[i].path == NULL) {
            if (result != PARSE_BAD || error.status != 400)
                fail_msg("%s was taken", paths[i].target);
        } else if (result != PARSE_DONE || !str_eq(uri.path, str_from_z(paths[i].path))) {
            fail_msg("%s: %.*s", paths[i].target, STR_ARG(uri.path));
        }
    }
}

static void the_parts_of_a_target_stay_raw(void **state)
{
    (void)state;
    struct uri uri;
    struct parse_error error;
    assert_int_equal(uri_parse(arena, STR("http://H:8/%61//b?c?%64"), &uri, &error), PARSE_DONE);
    assert_true(str_eq(uri.authority, STR("H:8")));
    assert_true(str_eq(uri.raw_path, STR("/%61//b")));
    assert_true(uri.has_query && str_eq(uri.query, STR("c?%64")));
    assert_int_equal(uri_parse(arena, STR("/a?"), &uri, &error), PARSE_DONE);
    assert_true(uri.has_query && uri.query.len == 0);
    assert_int_equal(uri_parse(arena, STR("/a"), &uri, &error), PARSE_DONE);
    assert_false(uri.has_query);
}

static const struct {
    const char *target, *prefix, *kept;
} strips[] = {
    {"/api/x", "/api", "/x"},
    {"/api/x", "/api/", "/x"},
    {"/api/", "/api/", "/"},
    {"/api", "/api", "/"},
    {"/api?q", "/api", "/?q"},
    {"//dicom///x//y", "/dicom", "/x//y"},
    {"//dicom///x//y", "/dicom/", "/x//y"},
    {"/%61%70i/%78?%79", "/api/", "/%78?%79"},
    {"/a%2Fb/%2fc", "/a%2fb/", "/%2fc"},
    {"/a%20b/c%20d", "/a b/", "/c%20d"},
    {"http://h/api/x?q", "/api/", "/x?q"},
};

static void a_stripped_prefix_is_cut_where_it_ends_in_the_raw_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof strips / sizeof strips[0]; i++) {
        struct uri uri;
        struct parse_error error;
        struct text out = text_in(arena, 4096);
        assert_int_equal(uri_parse(arena, str_from_z(strips[i].target), &uri, &error), PARSE_DONE);
        assert_true(str_starts(uri.path, str_from_z(strips[i].prefix)));
        uri_add_stripped(&out, &uri, strlen(strips[i].prefix));
        if (!str_eq(text_str(&out), str_from_z(strips[i].kept)))
            fail_msg("%s: %.*s", strips[i].target, STR_ARG(text_str(&out)));
    }
    assert_int_equal(uri_raw_offset(STR("//dicom///x"), 6), 7);
    assert_int_equal(uri_raw_offset(STR("//dicom///x"), 7), 10);
    assert_int_equal(uri_raw_offset(STR("/a"), 0), 0);
    assert_int_equal(uri_raw_offset(STR("/a"), 99), 2);
}

/* The rest of the raw path has the rest of the canonical path: the two walks agree at each byte. */
static void every_cut_of_the_raw_path_leaves_the_rest_of_the_canonical_one(void **state)
{
    (void)state;
    struct uri uri, rest;
    struct parse_error error;
    struct str target = STR("//a%2f%20///b%c3%a9//%2F/c.d%25%41");
    assert_int_equal(uri_parse(arena, target, &uri, &error), PARSE_DONE);
    for (size_t n = 1; n < uri.path.len; n++) {
        struct str tail = str_skip(target, uri_raw_offset(target, n));
        struct text whole = text_in(arena, 4096);
        text_add(&whole, STR("/"));
        text_add(&whole, tail);
        if (uri.path.at[n - 1] == '/' || uri.path.at[n] == '/')
            continue; /* a slash before or behind the cut merges with ours */
        assert_int_equal(uri_parse(arena, text_str(&whole), &rest, &error), PARSE_DONE);
        struct str expected = str_skip(uri.path, n);
        if (str_starts(str_skip(uri.path, n - 1), STR("%2f")) ||
            str_starts(str_skip(uri.path, n - 2), STR("%2f")))
            continue; /* a cut inside `%2f` steps over it */
        assert_true(str_eq(str_skip(rest.path, 1), expected));
    }
}

static void a_target_goes_on_byte_for_byte(void **state)
{
    (void)state;
    static const char *const targets[] = {"//a%2C/%2f?x=%zz&", "/", "/?", "*"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct uri uri;
        struct parse_error error;
        struct text out = text_in(arena, 4096);
        assert_int_equal(uri_parse(arena, str_from_z(targets[i]), &uri, &error), PARSE_DONE);
        uri_add_target(&out, &uri);
        assert_true(str_eq(text_str(&out), str_from_z(targets[i])));
    }
}

static const struct {
    enum uri_place place;
    struct str value;
    const char *text;
} values[] = {
    {URI_PATH, STR_INIT("/a b/\xc3\xa9"), "/a%20b/%C3%A9"},
    {URI_PATH, STR_INIT("a%2fb%41"), "a%2fb%2541"},
    {URI_PATH, STR_INIT("a?b#c\r\nd\\e\0f"), "a%3Fb%23c%0D%0Ad%5Ce%00f"},
    {URI_PATH, STR_INIT("!$&()*+,;=:@-._~"), "!$&()*+,;=:@-._~"},
    {URI_QUERY_VALUE, STR_INIT("a&b=c d%20/?"), "a%26b%3Dc%20d%2520%2F%3F"},
    {URI_RAW_QUERY, STR_INIT("a=b&c=%20|[1]"), "a=b&c=%20|[1]"},
    {URI_RAW_QUERY, STR_INIT("a#b c\r\n\"<"), "a%23b%20c%0D%0A%22%3C"},
    {URI_HOST, STR_INIT("a-b_c.example"), "a-b_c.example"},
    {URI_HOST, STR_INIT("a/b@c:80?#"), "a%2Fb%40c%3A80%3F%23"},
    {URI_HOST, STR_INIT("[2001:db8::1]"), "[2001:db8::1]"},
    {URI_HOST, STR_INIT("2001:db8::1"), "[2001:db8::1]"},
    {URI_HOST, STR_INIT("[::1\0]"), "%5B%3A%3A1%00%5D"},
    {URI_HOST, STR_INIT("a:80"), "a%3A80"},
    {URI_HOST, STR_INIT(""), ""},
    {URI_HOST, STR_INIT("[a/b]"), "%5Ba%2Fb%5D"},
};

static void an_expanded_value_stays_in_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct text out = text_in(arena, 4096);
        uri_add_encoded(&out, values[i].place, values[i].value);
        if (!str_eq(text_str(&out), str_from_z(values[i].text)))
            fail_msg("%s: %.*s", values[i].text, STR_ARG(text_str(&out)));
    }
}

static void a_rewritten_path_is_held_to_the_same_rules(void **state)
{
    (void)state;
    assert_null(uri_path_fault(STR("/a b/c")));
    assert_non_null(uri_path_fault(STR("")));
    assert_non_null(uri_path_fault(STR("a")));
    assert_non_null(uri_path_fault(STR("/a/..")));
    assert_non_null(uri_path_fault(STR("/a\0")));
    assert_non_null(uri_path_fault(STR("/a\\b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_target_has_one_path_or_none),
        cmocka_unit_test(the_parts_of_a_target_stay_raw),
        cmocka_unit_test(a_stripped_prefix_is_cut_where_it_ends_in_the_raw_path),
        cmocka_unit_test(every_cut_of_the_raw_path_leaves_the_rest_of_the_canonical_one),
        cmocka_unit_test(a_target_goes_on_byte_for_byte),
        cmocka_unit_test(an_expanded_value_stays_in_its_place),
        cmocka_unit_test(a_rewritten_path_is_held_to_the_same_rules),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
