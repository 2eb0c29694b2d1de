#include "observe/metrics_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char memory[8192];

static void expect(const struct text *text, const char *wanted)
{
    assert_true(text_ok(text));
    assert_int_equal(text->len, strlen(wanted));
    assert_memory_equal(text->at, wanted, text->len);
}

static void label_values_are_escaped_and_stay_utf8(void **state)
{
    (void)state;
    static const struct {
        struct str value;
        const char *wanted;
    } rows[] = {
        {STR_INIT("/x/*"), "m{a=\"/x/*\"} 1\n"},
        {STR_INIT("say \"hi\""), "m{a=\"say \\\"hi\\\"\"} 1\n"},
        {STR_INIT("^/a\\.b$"), "m{a=\"^/a\\\\.b$\"} 1\n"},
        {STR_INIT("two\nlines"), "m{a=\"two\\nlines\"} 1\n"},
        {STR_INIT("\"} 99\nforged 1"), "m{a=\"\\\"} 99\\nforged 1\"} 1\n"},
        {STR_INIT("gr\xc3\xbc\xc3\x9f"), "m{a=\"gr\xc3\xbc\xc3\x9f\"} 1\n"},
        {STR_INIT("\xff/\xc3"), "m{a=\"\xef\xbf\xbd/\xef\xbf\xbd\"} 1\n"},
        {STR_INIT(""), "m 1\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct text text = text_over(memory, sizeof memory);
        const struct metrics_label label = {"a", rows[i].value};
        metrics_text_sample(&text, "m", &label, 1, 1);
        expect(&text, rows[i].wanted);
    }
}

static void empty_labels_are_left_out_wherever_they_stand(void **state)
{
    (void)state;
    const struct metrics_label labels[] = {
        {"a", STR("")}, {"b", STR("1")}, {"c", STR("")}, {"d", STR("2")}};
    struct text text = text_over(memory, sizeof memory);
    metrics_text_sample(&text, "m", labels, 4, UINT64_MAX);
    expect(&text, "m{b=\"1\",d=\"2\"} 18446744073709551615\n");
}

static void times_are_written_as_seconds(void **state)
{
    (void)state;
    struct text text = text_over(memory, sizeof memory);
    metrics_text_seconds(&text, "t", NULL, 0, 1500042);
    expect(&text, "t 1.500042\n");
}

static void a_head_names_help_and_type(void **state)
{
    (void)state;
    struct text text = text_over(memory, sizeof memory);
    metrics_text_head(&text, "m_total", METRICS_COUNTER, "What it counts.");
    expect(&text, "# HELP m_total What it counts.\n# TYPE m_total counter\n");
}

static void buckets_are_cumulative_and_end_with_all(void **state)
{
    (void)state;
    struct metrics_histogram histogram = {.sum_us = 4500000};
    histogram.buckets[0] = 1;
    histogram.buckets[3] = 2;
    histogram.buckets[METRICS_BUCKETS - 1] = 4;
    struct text text = text_over(memory, sizeof memory);
    const struct metrics_label label = {"s", STR("x")};
    metrics_text_histogram(&text, "h", &label, 1, &histogram);
    expect(&text, "h_bucket{s=\"x\",le=\"0.001\"} 1\n"
                  "h_bucket{s=\"x\",le=\"0.005\"} 1\n"
                  "h_bucket{s=\"x\",le=\"0.01\"} 1\n"
                  "h_bucket{s=\"x\",le=\"0.025\"} 3\n"
                  "h_bucket{s=\"x\",le=\"0.05\"} 3\n"
                  "h_bucket{s=\"x\",le=\"0.1\"} 3\n"
                  "h_bucket{s=\"x\",le=\"0.25\"} 3\n"
                  "h_bucket{s=\"x\",le=\"0.5\"} 3\n"
                  "h_bucket{s=\"x\",le=\"1\"} 3\n"
                  "h_bucket{s=\"x\",le=\"2.5\"} 3\n"
                  "h_bucket{s=\"x\",le=\"5\"} 3\n"
                  "h_bucket{s=\"x\",le=\"10\"} 3\n"
                  "h_bucket{s=\"x\",le=\"+Inf\"} 7\n"
                  "h_sum{s=\"x\"} 4.500000\n"
                  "h_count{s=\"x\"} 7\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_values_are_escaped_and_stay_utf8),
        cmocka_unit_test(empty_labels_are_left_out_wherever_they_stand),
        cmocka_unit_test(times_are_written_as_seconds),
        cmocka_unit_test(a_head_names_help_and_type),
        cmocka_unit_test(buckets_are_cumulative_and_end_with_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
