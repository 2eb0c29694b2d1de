#include "observe/conn_limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "alloc_fail.h"

static struct addr ip(const char *z)
{
    struct addr addr;
    assert_true(addr_parse_ip(str_from_z(z), &addr));
    return addr;
}

static unsigned admitted(struct conn_limiter *limiter, struct addr addr, unsigned tries,
                         uint64_t now_ms)
{
    unsigned n = 0;
    for (unsigned i = 0; i < tries; i++)
        n += conn_limiter_admit(limiter, &addr, now_ms);
    return n;
}

static void ten_a_second_and_address_are_recorded(void **state)
{
    (void)state;
    struct conn_limiter *limiter = conn_limiter_new(1);
    assert_int_equal(admitted(limiter, ip("10.0.0.1"), 11, 5000), 10);
    assert_int_equal(admitted(limiter, ip("10.0.0.2"), 11, 5000), 10);
    assert_int_equal(admitted(limiter, ip("10.0.0.1"), 1, 5999), 0);
    assert_int_equal(admitted(limiter, ip("10.0.0.1"), 11, 6000), 10);
    conn_limiter_end(limiter);
}

static void threads_share_the_limit(void **state)
{
    (void)state;
    static const unsigned rows[][2] = {{0, 10}, {2, 5}, {3, 3}, {64, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct conn_limiter *limiter = conn_limiter_new(rows[i][0]);
        assert_int_equal(admitted(limiter, ip("10.0.0.1"), 20, 5000), rows[i][1]);
        conn_limiter_end(limiter);
    }
}

static void an_ipv6_network_of_64_bits_is_one_address_and_ports_do_not_matter(void **state)
{
    (void)state;
    struct conn_limiter *limiter = conn_limiter_new(1);
    struct addr addr = ip("2001:db8::1");
    assert_int_equal(admitted(limiter, addr, 6, 5000), 6);
    addr = ip("2001:db8::ffff:2");
    addr.port = 99;
    assert_int_equal(admitted(limiter, addr, 6, 5000), 4);
    assert_int_equal(admitted(limiter, ip("2001:db8:0:1::1"), 6, 5000), 6);
    conn_limiter_end(limiter);
}

static void the_rest_is_counted_and_said_once_when_due(void **state)
{
    (void)state;
    struct conn_limiter *limiter = conn_limiter_new(1);
    struct conn_summary summary;
    admitted(limiter, ip("10.0.0.1"), 30, 5000);
    assert_false(conn_limiter_summary(limiter, 14999, false, &summary));
    assert_true(conn_limiter_summary(limiter, 15000, false, &summary));
    assert_int_equal(summary.count, 20);
    struct addr expected = ip("10.0.0.1");
    assert_true(addr_eq(&summary.addr, &expected));
    assert_false(conn_limiter_summary(limiter, 15000, false, &summary));
    assert_false(conn_limiter_summary(limiter, 60000, false, &summary));
    conn_limiter_end(limiter);
}

static void at_the_end_everything_counted_is_said(void **state)
{
    (void)state;
    struct conn_limiter *limiter = conn_limiter_new(1);
    struct conn_summary summary;
    admitted(limiter, ip("10.0.0.1"), 12, 5000);
    admitted(limiter, ip("10.0.0.2"), 13, 5000);
    uint64_t total = 0;
    while (conn_limiter_summary(limiter, 5001, true, &summary))
        total += summary.count;
    assert_int_equal(total, 5);
    conn_limiter_end(limiter);
}

static void many_addresses_together_stay_below_the_total_and_none_is_lost(void **state)
{
    (void)state;
    struct conn_limiter *limiter = conn_limiter_new(1);
    enum { MANY = 5000 };
    unsigned recorded = 0;
    for (unsigned i = 0; i < MANY; i++) {
        struct addr addr = {.family = ADDR_IP4, .ip = {10, 1, (uint8_t)(i >> 8), (uint8_t)i}};
        recorded += conn_limiter_admit(limiter, &addr, 5000);
    }
    assert_in_range(recorded, 1, CONN_LIMITER_TOTAL);
    uint64_t counted = 0;
    bool together = false;
    struct conn_summary summary;
    while (conn_limiter_summary(limiter, 15000, false, &summary)) {
        counted += summary.count;
        together |= summary.addr.family == ADDR_NONE;
    }
    assert_int_equal(recorded + counted, MANY);
    assert_true(together);
    /* A second later the table has room for new ones. */
    assert_int_equal(admitted(limiter, ip("192.0.2.1"), 11, 16001), 10);
    conn_limiter_end(limiter);
}

static void one_limiter(void *unused)
{
    (void)unused;
    struct conn_limiter *limiter = conn_limiter_new(2);
    assert_true(limiter != NULL || alloc_has_failed());
    if (limiter != NULL)
        conn_limiter_end(limiter);
}

static void without_memory_there_is_no_limiter(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_limiter, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_a_second_and_address_are_recorded),
        cmocka_unit_test(threads_share_the_limit),
        cmocka_unit_test(an_ipv6_network_of_64_bits_is_one_address_and_ports_do_not_matter),
        cmocka_unit_test(the_rest_is_counted_and_said_once_when_due),
        cmocka_unit_test(at_the_end_everything_counted_is_said),
        cmocka_unit_test(many_addresses_together_stay_below_the_total_and_none_is_lost),
        cmocka_unit_test(without_memory_there_is_no_limiter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
