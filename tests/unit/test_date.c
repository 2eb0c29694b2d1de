#include "http/date.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW_S 1795265064 /* 2026-11-21 */

static void dates_are_written_as_imf_fixdate(void **state)
{
    (void)state;
    static const struct {
        int64_t s;
        const char *text;
    } cases[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
        {4107542399, "Sun, 28 Feb 2100 23:59:59 GMT"},
        {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MIN, "Mon, 01 Jan 0001 00:00:00 GMT"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[DATE_LEN];
        date_write(cases[i].s, out);
        assert_memory_equal(out, cases[i].text, DATE_LEN);
    }
}

static void all_three_forms_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t s;
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Wed Nov 16 08:49:37 1994", 784975777},
        {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777}, /* a wrong day name does not matter */
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
        {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
        {"Wednesday, 01-Jan-76 00:00:00 GMT", 3345062400}, /* 50 years ahead */
        {"Saturday, 01-Jan-77 00:00:00 GMT", 220924800},   /* 51 are in the past */
        {"Thursday, 01-Jan-26 00:00:00 GMT", 1767225600},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t s;
        assert_true(date_parse(str_from_z(cases[i].text), NOW_S, &s));
        assert_int_equal(s, cases[i].s);
    }
}

static void what_is_no_date_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "0",
        "Sun",
        "Sunday",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Tue, 29 Feb 1900 08:49:37 GMT",
        "Sun, 06 Nov 1600 08:49:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sonntag, 06-Nov-94 08:49:37 GMT",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t s;
        assert_false(date_parse(str_from_z(cases[i]), NOW_S, &s));
    }
}

static void every_day_comes_back_as_it_was_written(void **state)
{
    (void)state;
    for (int64_t day = -134774; day < 2932896; day += 7) {
        char out[DATE_LEN];
        int64_t s, was = day * 86400 + (day & 0xffff);
        date_write(was, out);
        assert_true(date_parse(str_from(out, DATE_LEN), NOW_S, &s));
        assert_int_equal(s, was);
    }
}

static void now_is_a_date_of_this_moment(void **state)
{
    (void)state;
    int64_t s, before_s = (int64_t)(clock_wall_us() / 1000000);
    assert_true(date_parse(date_now(), before_s, &s));
    assert_in_range(s, before_s, before_s + 60);
    assert_ptr_equal(date_now().at, date_now().at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_written_as_imf_fixdate),
        cmocka_unit_test(all_three_forms_are_read),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(every_day_comes_back_as_it_was_written),
        cmocka_unit_test(now_is_a_date_of_this_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
