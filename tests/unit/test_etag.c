#include "http/etag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void tags_are_read_as_written(void **state)
{
    (void)state;
    static const struct {
        const char *text, *opaque; /* NULL: not a tag */
        bool weak;
    } cases[] = {
        {"\"a\"", "a", false},     {"W/\"a\"", "a", true},    {"\"\"", "", false},
        {"\"a,b\"", "a,b", false}, {"\"W/\"", "W/", false},   {"\"\xc3\xa9\"", "\xc3\xa9", false},
        {"\"!#~\"", "!#~", false}, {"w/\"a\"", NULL, false},  {"a", NULL, false},
        {"\"a", NULL, false},      {"a\"", NULL, false},      {"\"", NULL, false},
        {"", NULL, false},         {"W/", NULL, false},       {"W/a", NULL, false},
        {"\"a b\"", NULL, false},  {"\"a\tb\"", NULL, false}, {"\"a\x7f\"", NULL, false},
        {"\"a\" ", NULL, false},   {"\"a\"b", NULL, false},   {"\"a\"\"", NULL, false},
        {"*", NULL, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct etag etag;
        bool ok = etag_parse(str_from_z(cases[i].text), &etag);
        assert_int_equal(ok, cases[i].opaque != NULL);
        if (ok) {
            assert_true(str_eq(etag.opaque, str_from_z(cases[i].opaque)));
            assert_int_equal(etag.weak, cases[i].weak);
        }
    }
}

static void a_list_is_read_until_it_is_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned tags;
        bool bad;
    } cases[] = {
        {"\"a\"", 1, false},         {"\"a\", W/\"b\",\"c\"", 3, false},
        {" , \"a\" ,,", 1, false},   {"", 0, false},
        {"\"a\" \"b\"", 0, true},    {"\"a\", b", 1, true},
        {"\"a,b\",\"c\"", 2, false}, {"*", 0, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str rest = str_from_z(cases[i].text);
        struct etag etag;
        bool bad;
        unsigned tags = 0;
        while (etag_next(&rest, &etag, &bad))
            tags++;
        assert_int_equal(tags, cases[i].tags);
        assert_int_equal(bad, cases[i].bad);
    }
}

static void comparison_is_that_of_the_rfc(void **state)
{
    (void)state;
    /* the table of RFC 9110 8.8.3.2 */
    struct etag weak1 = {STR_INIT("1"), true}, weak2 = {STR_INIT("2"), true},
                strong1 = {STR_INIT("1"), false};
    assert_false(etag_same_strong(weak1, weak1));
    assert_true(etag_same_weak(weak1, weak1));
    assert_false(etag_same_strong(weak1, weak2));
    assert_false(etag_same_weak(weak1, weak2));
    assert_false(etag_same_strong(weak1, strong1));
    assert_true(etag_same_weak(weak1, strong1));
    assert_true(etag_same_strong(strong1, strong1));
    assert_true(etag_same_weak(strong1, strong1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_are_read_as_written),
        cmocka_unit_test(a_list_is_read_until_it_is_malformed),
        cmocka_unit_test(comparison_is_that_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
