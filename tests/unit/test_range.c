#include "http/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *result_names[] = {"ignored", "ok", "416"};

/* What the field means for `size` bytes, as text: "ok 0-9 20-29". */
static struct str read_range(const char *value, uint64_t size, char *memory, size_t bytes)
{
    struct range_set set;
    struct text text = text_over(memory, bytes);
    text_add_z(&text, result_names[range_parse(str_from_z(value), size, &set)]);
    for (unsigned i = 0; i < set.count; i++)
        text_printf(&text, " %llu-%llu", (unsigned long long)set.ranges[i].first,
                    (unsigned long long)set.ranges[i].last);
    return text_str(&text);
}

static const struct {
    const char *value;
    uint64_t size;
    const char *means;
} cases[] = {
    {"bytes=0-0", 100, "ok 0-0"},
    {"bytes=10-19", 100, "ok 10-19"},
    {"bytes=10-", 100, "ok 10-99"},
    {"bytes=-1", 100, "ok 99-99"},
    {"bytes=-100", 100, "ok 0-99"},
    {"bytes=-101", 100, "ok 0-99"},
    {"bytes=99-", 100, "ok 99-99"},
    {"bytes=100-", 100, "416"},
    {"bytes=-0", 100, "416"},
    {"bytes=0-100", 100, "ok 0-99"},
    {"bytes=0-99999999999999999999999", 100, "ok 0-99"},
    {"bytes=99999999999999999999999-", 100, "416"},
    {"bytes=-99999999999999999999999", 100, "ok 0-99"},
    {"bytes=0-18446744073709551615", 18446744073709551615ULL, "ok 0-18446744073709551614"},
    {"Bytes=1-2", 100, "ok 1-2"},
    /* several */
    {"bytes=0-9,20-29", 100, "ok 0-9 20-29"},
    {"bytes=20-29, 0-9", 100, "ok 20-29 0-9"},
    {"bytes=0-9 ,\t20-29,,-5,", 100, "ok 0-9 20-29 95-99"},
    {"bytes=0-9,200-,20-29", 100, "ok 0-9 20-29"},
    {"bytes=200-,300-", 100, "416"},
    /* joined */
    {"bytes=0-9,10-19", 100, "ok 0-19"},
    {"bytes=10-19,0-9", 100, "ok 0-19"},
    {"bytes=0-9,11-19", 100, "ok 0-9 11-19"},
    {"bytes=0-9,5-14", 100, "ok 0-14"},
    {"bytes=5-6,0-99", 100, "ok 0-99"},
    {"bytes=0-9,20-29,40-49,8-41", 100, "ok 0-49"},
    {"bytes=50-59,0-9,20-29,10-19", 100, "ok 50-59 0-29"},
    {"bytes=0-,0-,0-,0-", 100, "ok 0-99"},
    /* at most sixteen */
    {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30",
     100,
     "ok 0-0 2-2 4-4 6-6 8-8 10-10 12-12 14-14 16-16 18-18 20-20 22-22 24-24 26-26 28-28 30-30"},
    {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,"
     "32-32",
     100, "ignored"},
    {"bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-", 100, "ignored"},
    /* an empty representation */
    {"bytes=0-", 0, "416"},
    {"bytes=0-0", 0, "416"},
    {"bytes=-1", 0, "416"},
    /* garbage, and units we do not know */
    {"", 100, "ignored"},
    {"bytes", 100, "ignored"},
    {"bytes=", 100, "ignored"},
    {"bytes=,", 100, "ignored"},
    {"bytes=-", 100, "ignored"},
    {"bytes=--1", 100, "ignored"},
    {"bytes=5", 100, "ignored"},
    {"bytes=9-5", 100, "ignored"},
    {"bytes=0-9,9-5", 100, "ignored"},
    {"bytes=a-b", 100, "ignored"},
    {"bytes=1-2x", 100, "ignored"},
    {"bytes=+1-2", 100, "ignored"},
    {"bytes=1 -2", 100, "ignored"},
    {"bytes=1-2;3-4", 100, "ignored"},
    {"bytes = 1-2", 100, "ignored"},
    {"bytes:1-2", 100, "ignored"},
    {"lines=1-2", 100, "ignored"},
    {"0-9", 100, "ignored"},
};

static void a_range_field_means_what_the_rfc_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char memory[256];
        struct str means = read_range(cases[i].value, cases[i].size, memory, sizeof memory);
        if (!str_eq(means, str_from_z(cases[i].means)))
            fail_msg("%s of %llu: %.*s, not %s", cases[i].value, (unsigned long long)cases[i].size,
                     STR_ARG(means), cases[i].means);
    }
}

static void a_list_without_end_is_not_read_to_its_end(void **state)
{
    (void)state;
    char value[200] = "bytes=0-1", memory[64];
    struct str within, above;
    for (size_t i = 9; i < 9 + 60; i++)
        value[i] = ',';
    within = read_range(value, 100, memory, sizeof memory);
    assert_true(str_eq(within, STR("ok 0-1")));
    for (size_t i = 9; i < 9 + 70; i++)
        value[i] = ',';
    above = read_range(value, 100, memory, sizeof memory);
    assert_true(str_eq(above, STR("ignored")));
}

static void parts_are_framed_as_multipart(void **state)
{
    (void)state;
    char memory[512];
    struct text text = text_over(memory, sizeof memory);
    const char boundary[] = "0123456789abcdef0123";
    range_add_content_type(&text, boundary);
    range_add_head(&text, boundary, STR("text/plain"), (struct range){0, 9}, 100);
    range_add_head(&text, boundary, STR(""), (struct range){20, 29}, 100);
    range_add_end(&text, boundary);
    assert_true(
        str_eq(text_str(&text), STR("multipart/byteranges; boundary=0123456789abcdef0123"
                                    "\r\n--0123456789abcdef0123\r\nContent-Type: text/plain"
                                    "\r\nContent-Range: bytes 0-9/100\r\n\r\n"
                                    "\r\n--0123456789abcdef0123\r\nContent-Range: bytes 20-29/100"
                                    "\r\n\r\n\r\n--0123456789abcdef0123--\r\n")));
    text = text_over(memory, sizeof memory);
    range_add_unsatisfied(&text, 7);
    assert_true(str_eq(text_str(&text), STR("bytes */7")));
}

static void two_boundaries_are_not_the_same(void **state)
{
    (void)state;
    char a[RANGE_BOUNDARY_LEN], b[RANGE_BOUNDARY_LEN];
    range_boundary(a);
    range_boundary(b);
    assert_memory_not_equal(a, b, sizeof a);
    for (size_t i = 0; i < sizeof a; i++)
        assert_true(char_hex(a[i]) >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_field_means_what_the_rfc_says),
        cmocka_unit_test(a_list_without_end_is_not_read_to_its_end),
        cmocka_unit_test(parts_are_framed_as_multipart),
        cmocka_unit_test(two_boundaries_are_not_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
