#include "observe/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"

static struct access_record record_of(unsigned status, uint64_t total_us)
{
    struct access_record record = {0};
    record.status = (uint16_t)status;
    record.total_us = total_us;
    record.bytes_in = 10;
    record.bytes_out = 100;
    return record;
}

static struct metrics_sum sum_of(const struct metrics *m, uint32_t series)
{
    struct metrics_sum sum = {0};
    assert_true(metrics_add_to(m, series, &sum));
    return sum;
}

static void a_bound_belongs_to_the_bucket_below_it(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        unsigned bucket;
    } rows[] = {
        {0, 0},      {1, 0},       {1000, 0},    {1001, 1},      {5000, 1},      {5001, 2},
        {999999, 8}, {1000000, 8}, {1000001, 9}, {10000000, 11}, {10000001, 12}, {UINT64_MAX, 12},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(metrics_bucket(rows[i].us), rows[i].bucket);
    for (unsigned i = 1; i < METRICS_BUCKETS - 1; i++)
        assert_true(metrics_bounds_us[i - 1] < metrics_bounds_us[i]);
}

static void the_same_names_have_the_same_number(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(1);
    assert_non_null(m);
    uint32_t a = metrics_series(m, STR("a.example"), STR("/x/*"));
    uint32_t b = metrics_series(m, STR("a.example"), STR("/x"));
    uint32_t c = metrics_series(m, STR("a.example"), STR(""));
    uint32_t d = metrics_series(m, STR("a"), STR(".example/x/*"));
    assert_true(a != 0 && b != 0 && c != 0 && d != 0);
    assert_true(a != b && b != c && a != c && a != d);
    char again[] = "/x/*"; /* other memory, as after a reload */
    assert_int_equal(metrics_series(m, STR("a.example"), str_from_z(again)), a);
    metrics_end(m);
}

static void what_was_never_used_has_no_sum(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(2);
    struct metrics_sum sum = {0};
    uint32_t a = metrics_series(m, STR("a"), STR("/"));
    assert_false(metrics_add_to(m, a, &sum));
    assert_false(metrics_add_to(m, 0, &sum));
    metrics_end(m);
}

static void requests_are_counted_by_class_layer_time_and_bytes(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(2);
    uint32_t a = metrics_series(m, STR("a"), STR("/"));
    static const unsigned statuses[] = {0, 101, 200, 299, 304, 404, 503, 599, 999};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        struct access_record record = record_of(statuses[i], 2000);
        record.websocket = statuses[i] == 101;
        if (statuses[i] == 404)
            record.refused_layer = ACCESS_BY_ROUTE;
        if (statuses[i] == 200) {
            record.connected_us = 500;
            record.answer_us = 20500;
        }
        metrics_count(metrics_of_thread(m, i % 2), a, &record);
    }
    struct metrics_sum sum = sum_of(m, a);
    assert_int_equal(sum.classes[0], 2); /* none, and what is no status */
    assert_int_equal(sum.classes[1], 1);
    assert_int_equal(sum.classes[2], 2);
    assert_int_equal(sum.classes[3], 1);
    assert_int_equal(sum.classes[4], 1);
    assert_int_equal(sum.classes[5], 2);
    assert_int_equal(sum.refused[ACCESS_BY_ROUTE], 1);
    assert_int_equal(sum.refused[ACCESS_NOT_REFUSED], 0);
    assert_int_equal(sum.bytes_in, 90);
    assert_int_equal(sum.bytes_out, 900);
    assert_int_equal(sum.total.buckets[1], 8); /* the WebSocket is not among them */
    assert_int_equal(sum.total.sum_us, 8 * 2000);
    assert_int_equal(sum.upstream.buckets[metrics_bucket(20000)], 1);
    assert_int_equal(sum.upstream.sum_us, 20000);
    metrics_end(m);
}

static void refused_connections_belong_to_no_site(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(1);
    metrics_count_refused(metrics_of_thread(m, 0), 0, ACCESS_BY_TLS);
    metrics_count_refused(metrics_of_thread(m, 0), 0, ACCESS_NOT_REFUSED);
    struct metrics_sum sum = sum_of(m, 0);
    assert_int_equal(sum.refused[ACCESS_BY_TLS], 1);
    for (unsigned i = 0; i < METRICS_CLASSES; i++)
        assert_int_equal(sum.classes[i], 0);
    metrics_end(m);
}

static void names_have_a_bound_and_those_before_it_go_on(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(1);
    char name[32];
    uint32_t last = 0;
    for (unsigned i = 1; i < METRICS_SERIES_MAX; i++) {
        snprintf(name, sizeof name, "/%u/*", i);
        last = metrics_series(m, STR("a"), str_from_z(name));
        assert_int_equal(last, i);
    }
    assert_int_equal(metrics_series(m, STR("a"), STR("/one too many")), 0);
    assert_int_equal(metrics_series(m, STR("a"), str_from_z(name)), last);
    assert_int_equal(metrics_series(m, STR("a"), STR("/1/*")), 1); /* through every growth */
    assert_int_equal(metrics_series(m, STR("a"), STR("/30000/*")), 30000);
    struct access_record record = record_of(200, 1);
    metrics_count(metrics_of_thread(m, 0), last, &record);
    assert_int_equal(sum_of(m, last).classes[2], 1);
    metrics_end(m);
}

/* ---- one thread counts while another reads ---- */

enum { THREADS = 4, ROUNDS = 20000 };

struct counting {
    struct metrics *m;
    unsigned thread;
    uint32_t series;
};

static void *count(void *argument)
{
    const struct counting *c = argument;
    struct access_record record = record_of(200, 3000);
    for (int i = 0; i < ROUNDS; i++)
        metrics_count(metrics_of_thread(c->m, c->thread), c->series, &record);
    return NULL;
}

static void threads_add_up_and_readers_see_only_growth(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(THREADS);
    uint32_t series = metrics_series(m, STR("a"), STR("/"));
    pthread_t threads[THREADS];
    struct counting counting[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        counting[i] = (struct counting){m, i, series};
        assert_int_equal(pthread_create(&threads[i], NULL, count, &counting[i]), 0);
    }
    uint64_t before = 0;
    for (int i = 0; i < 1000; i++) {
        struct metrics_sum sum = {0};
        (void)metrics_add_to(m, series, &sum);
        assert_true(sum.classes[2] >= before && sum.classes[2] <= (uint64_t)THREADS * ROUNDS);
        before = sum.classes[2];
        (void)metrics_series(m, STR("reload"), STR("/")); /* names may come meanwhile */
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct metrics_sum sum = sum_of(m, series);
    assert_int_equal(sum.classes[2], THREADS * ROUNDS);
    assert_int_equal(sum.bytes_out, 100 * THREADS * ROUNDS);
    metrics_end(m);
}

static void one_count(void *unused)
{
    (void)unused;
    struct metrics *m = metrics_new(2);
    assert_true(m != NULL || alloc_has_failed());
    if (m == NULL)
        return;
    struct access_record record = record_of(200, 2000);
    struct metrics_sum sum = {0};
    for (unsigned i = 0; i < 100; i++) { /* more than there is room for at first */
        char route[16];
        snprintf(route, sizeof route, "/%u", i);
        uint32_t series = metrics_series(m, STR("a"), str_from_z(route));
        metrics_count(metrics_of_thread(m, 1), series, &record);
        assert_true(metrics_add_to(m, series, &sum) || alloc_has_failed());
    }
    metrics_end(m);
}

static void without_memory_what_cannot_be_counted_is_not(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_count, NULL) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_belongs_to_the_bucket_below_it),
        cmocka_unit_test(the_same_names_have_the_same_number),
        cmocka_unit_test(what_was_never_used_has_no_sum),
        cmocka_unit_test(requests_are_counted_by_class_layer_time_and_bytes),
        cmocka_unit_test(refused_connections_belong_to_no_site),
        cmocka_unit_test(names_have_a_bound_and_those_before_it_go_on),
        cmocka_unit_test(threads_add_up_and_readers_see_only_growth),
        cmocka_unit_test(without_memory_what_cannot_be_counted_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
