#include "observe/access_mask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct row {
    struct str in, out;
};

static void check(void (*mask)(struct text *, struct str), const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char bytes[256];
        struct text text = text_over(bytes, sizeof bytes);
        mask(&text, rows[i].in);
        if (!str_eq(text_str(&text), rows[i].out))
            fail_msg("%.*s became %.*s", STR_ARG(rows[i].in), STR_ARG(text_str(&text)));
    }
}

static void values_of_a_query_are_masked_and_names_stay(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {STR_INIT(""), STR_INIT("")},
        {STR_INIT("a=1"), STR_INIT("a=***")},
        {STR_INIT("a=1&b=2"), STR_INIT("a=***&b=***")},
        {STR_INIT("a="), STR_INIT("a=")},
        {STR_INIT("=v"), STR_INIT("=***")},
        {STR_INIT("a=b=c"), STR_INIT("a=***")},
        {STR_INIT("a=1;b=2"), STR_INIT("a=***")},
        {STR_INIT("eyJhbGciOi"), STR_INIT("***")},
        {STR_INIT("a&&b=1&"), STR_INIT("***&&b=***&")},
        {STR_INIT("&"), STR_INIT("&")},
        {STR_INIT("a=?&/x=#"), STR_INIT("a=***&/x=***")},
    };
    check(access_mask_query, rows, sizeof rows / sizeof *rows);
}

static void of_a_url_path_and_host_stay(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {STR_INIT(""), STR_INIT("")},
        {STR_INIT("https://a.example/b"), STR_INIT("https://a.example/b")},
        {STR_INIT("https://a.example"), STR_INIT("https://a.example")},
        {STR_INIT("https://u:p@a.example/b@c"), STR_INIT("https://***@a.example/b@c")},
        {STR_INIT("https://u@v@a.example"), STR_INIT("https://***@a.example")},
        {STR_INIT("https://a.example?x=1"), STR_INIT("https://a.example?x=***")},
        {STR_INIT("https://u:p@a.example?m=n@o"), STR_INIT("https://***@a.example?m=***")},
        {STR_INIT("/a?b=1#token=2"), STR_INIT("/a?b=***#***")},
        {STR_INIT("/a#b?c=1"), STR_INIT("/a#***")},
        {STR_INIT("//u:p@a/b"), STR_INIT("//***@a/b")},
        {STR_INIT("mail@a.example"), STR_INIT("mail@a.example")},
    };
    check(access_mask_url, rows, sizeof rows / sizeof *rows);
}

static void a_value_is_cut_above_its_limit_only(void **state)
{
    (void)state;
    static char bytes[ACCESS_VALUE_MAX + 1];
    memset(bytes, 'x', sizeof bytes);
    bool cut = false;
    assert_int_equal(access_mask_shorten(str_from(bytes, ACCESS_VALUE_MAX), &cut).len,
                     ACCESS_VALUE_MAX);
    assert_false(cut);
    assert_int_equal(access_mask_shorten(str_from(bytes, ACCESS_VALUE_MAX + 1), &cut).len,
                     ACCESS_VALUE_MAX);
    assert_true(cut);
}

static void masking_that_lengthens_stays_in_its_scratch(void **state)
{
    (void)state;
    static char query[ACCESS_VALUE_MAX];
    for (size_t i = 0; i < sizeof query; i++)
        query[i] = "a=1&"[i % 4];
    struct access_record record = {.query = str_from(query, sizeof query), .has_query = true};
    struct access_mask_scratch scratch;
    bool cut = false;
    struct str masked = access_mask_query_of(&record, &scratch, &cut);
    assert_true(cut);
    assert_int_equal(masked.len, sizeof scratch.bytes);
    assert_int_equal(str_find(masked, STR("1")), SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_a_query_are_masked_and_names_stay),
        cmocka_unit_test(of_a_url_path_and_host_stay),
        cmocka_unit_test(a_value_is_cut_above_its_limit_only),
        cmocka_unit_test(masking_that_lengthens_stays_in_its_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
