#include "observe/tail.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"

static char memory[256 * 1024];

static struct access_record record_of(unsigned status)
{
    struct access_record r;
    access_record_init(&r, ACCESS_REQUEST);
    r.status = (uint16_t)status;
    r.host = STR("Portal.Example:8443");
    r.site = STR("*.example");
    r.route = STR("/dicom/*");
    r.total_us = 1500000;
    assert_true(addr_parse_ip(STR("10.1.2.3"), &r.client));
    return r;
}

static void a_status_is_a_number_or_a_class(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        uint16_t from, to; /* 0: refused */
    } rows[] = {
        {STR_INIT("404"), 404, 404}, {STR_INIT("5xx"), 500, 599}, {STR_INIT("100"), 100, 100},
        {STR_INIT("1xx"), 100, 199}, {STR_INIT("6xx"), 0, 0},     {STR_INIT("0xx"), 0, 0},
        {STR_INIT("50x"), 0, 0},     {STR_INIT(""), 0, 0},        {STR_INIT("5"), 0, 0},
        {STR_INIT("4044"), 0, 0},    {STR_INIT("5XX"), 0, 0},     {STR_INIT("-04"), 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tail_filter filter = {0};
        assert_int_equal(tail_status(rows[i].text, &filter), rows[i].to != 0);
        assert_int_equal(filter.status_from, rows[i].from);
        assert_int_equal(filter.status_to, rows[i].to);
    }
}

static void a_filter_admits_what_it_says(void **state)
{
    (void)state;
    struct cidr inside, outside;
    assert_int_equal(cidr_parse(STR("10.1.0.0/16"), &inside), CIDR_OK);
    assert_int_equal(cidr_parse(STR("10.2.0.0/16"), &outside), CIDR_OK);
    const struct {
        struct tail_filter filter;
        bool admits;
    } rows[] = {
        {{.slow_us = 0}, true},
        {{.host = STR("portal.example")}, true},
        {{.host = STR("*.example")}, true},
        {{.host = STR("portal.example:8443")}, false},
        {{.host = STR("other.example")}, false},
        {{.route = STR("/dicom/*")}, true},
        {{.route = STR("/dicom")}, false},
        {{.status_from = 500, .status_to = 599}, true},
        {{.status_from = 503, .status_to = 503}, true},
        {{.status_from = 400, .status_to = 499}, false},
        {{.has_net = true, .net = inside}, true},
        {{.has_net = true, .net = outside}, false},
        {{.slow_us = 1500000}, true},
        {{.slow_us = 1500001}, false},
        {{.host = STR("portal.example"), .status_from = 404, .status_to = 404}, false},
    };
    struct access_record r = record_of(503);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(tail_admits(&rows[i].filter, &r), rows[i].admits);
}

static void lines_are_masked_whatever_the_log_shows(void **state)
{
    (void)state;
    const struct tail_filter filter = {0};
    struct tail *tail = tail_new(&filter, 1);
    struct access_record r = record_of(200);
    r.show = ACCESS_SHOW_QUERY | ACCESS_SHOW_COOKIES | ACCESS_SHOW_AUTHORIZATION;
    r.has_query = true;
    r.query = STR("patient=secret");
    r.cookies = r.authorization = STR("secret");
    tail_offer(tail, 0, &r);
    struct text out = text_over(memory, sizeof memory);
    tail_take(tail, &out, sizeof memory);
    assert_true(str_find(text_str(&out), STR("\"query\":\"patient=***\"")) != SIZE_MAX);
    assert_int_equal(str_find(text_str(&out), STR("secret")), SIZE_MAX);
    assert_int_equal(out.at[out.len - 1], '\n');
    tail_end(tail);
}

static void what_nobody_takes_is_counted_not_kept(void **state)
{
    (void)state;
    enum { OFFERED = 1000 };
    const struct tail_filter filter = {0};
    struct tail *tail = tail_new(&filter, 1);
    struct access_record r = record_of(200);
    for (int i = 0; i < OFFERED; i++)
        tail_offer(tail, 0, &r);
    struct text out = text_over(memory, sizeof memory);
    tail_take(tail, &out, sizeof memory);
    uint64_t lines = 0;
    for (size_t i = 0; i < out.len; i++)
        lines += out.at[i] == '\n';
    assert_true(out.len <= TAIL_RING_BYTES && lines > 10);
    assert_int_equal(lines + tail_lost(tail), OFFERED);
    assert_int_equal(tail_lost(tail), 0);
    tail_end(tail);
}

static void no_more_is_taken_than_there_is_room_for(void **state)
{
    (void)state;
    const struct tail_filter filter = {0};
    struct tail *tail = tail_new(&filter, 2);
    struct access_record r = record_of(200);
    for (int i = 0; i < 10; i++)
        tail_offer(tail, (unsigned)i % 2, &r);
    struct text out = text_over(memory, sizeof memory);
    tail_take(tail, &out, 1);
    size_t one = out.len;
    assert_int_equal(str_find_byte(text_str(&out), '\n'), one - 1);
    tail_take(tail, &out, 1); /* it is full already */
    assert_int_equal(out.len, one);
    tail_take(tail, &out, sizeof memory);
    assert_true(out.len >= 10 * (one - 2)); /* the references have one length */
    tail_end(tail);
}

/* ---- a loop offers while the main thread takes ---- */

enum { OFFERS = 20000 };

static void *offer(void *argument)
{
    struct access_record r = record_of(200);
    for (int i = 0; i < OFFERS; i++)
        tail_offer(argument, 1, &r);
    return NULL;
}

static void every_record_arrives_or_is_counted(void **state)
{
    (void)state;
    const struct tail_filter filter = {0};
    struct tail *tail = tail_new(&filter, 2);
    pthread_t thread;
    uint64_t lines = 0, lost = 0;
    assert_int_equal(pthread_create(&thread, NULL, offer, tail), 0);
    while (lines + lost < OFFERS) {
        struct text out = text_over(memory, sizeof memory);
        tail_take(tail, &out, sizeof memory);
        for (size_t i = 0; i < out.len; i++)
            lines += out.at[i] == '\n';
        lost += tail_lost(tail);
    }
    pthread_join(thread, NULL);
    assert_int_equal(lines + lost, OFFERS);
    tail_end(tail);
}

static void one_tail(void *unused)
{
    const struct tail_filter filter = {0};
    (void)unused;
    struct tail *tail = tail_new(&filter, 2);
    assert_true(tail != NULL || alloc_has_failed());
    if (tail == NULL)
        return;
    struct access_record record = record_of(200);
    struct text out = text_over(memory, sizeof memory);
    tail_offer(tail, 1, &record);
    tail_take(tail, &out, 10);
    tail_end(tail);
}

static void without_memory_there_is_no_tail(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_tail, NULL) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_is_a_number_or_a_class),
        cmocka_unit_test(a_filter_admits_what_it_says),
        cmocka_unit_test(lines_are_masked_whatever_the_log_shows),
        cmocka_unit_test(what_nobody_takes_is_counted_not_kept),
        cmocka_unit_test(no_more_is_taken_than_there_is_room_for),
        cmocka_unit_test(every_record_arrives_or_is_counted),
        cmocka_unit_test(without_memory_there_is_no_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
