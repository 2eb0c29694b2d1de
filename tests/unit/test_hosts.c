#include "net/hosts.h"

#include "base/arena.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char file[] = "127.0.0.1\tlocalhost\n"
                           "# 10.0.0.9 commented\n"
                           "10.0.0.1  App.Internal app   # trailing 10.0.0.2\r\n"
                           "fd00::1 app\n"
                           "\n"
                           "not-an-address thing\n"
                           "10.0.0.3\n"
                           "10.0.0.4 last";

static const struct {
    const char *name, *addrs;
} rows[] = {
    {"app.internal", "10.0.0.1"},
    {"app", "10.0.0.1 fd00::1"},
    {"last", "10.0.0.4"},
    {"commented", ""},
    {"trailing", ""},
    {"thing", ""},
    {"10.0.0.3", ""},
    {"", ""},
};

static void lines_give_names_their_addresses(void **state)
{
    (void)state;
    struct hosts *hosts = hosts_new(str_from_z(file));
    assert_non_null(hosts);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct addr addrs[4];
        char memory[100];
        struct text text = text_over(memory, sizeof memory);
        unsigned count = hosts_find(hosts, str_from_z(rows[i].name), addrs, 4);
        for (unsigned k = 0; k < count; k++) {
            text_add_z(&text, k == 0 ? "" : " ");
            addr_add_text(&text, &addrs[k]);
        }
        assert_true(str_eq(text_str(&text), str_from_z(rows[i].addrs)));
    }
    hosts_end(hosts);
}

static void no_more_are_given_than_asked_for(void **state)
{
    (void)state;
    struct addr addrs[1];
    struct hosts *hosts = hosts_new(str_from_z(file));
    assert_int_equal(hosts_find(hosts, STR("app"), addrs, 1), 1);
    hosts_end(hosts);
}

static void localhost_is_known_without_a_file(void **state)
{
    (void)state;
    assert_true(hosts_is_localhost(STR("localhost")));
    assert_true(hosts_is_localhost(STR("LocalHost.")));
    assert_true(hosts_is_localhost(STR("app.localhost")));
    assert_false(hosts_is_localhost(STR("notlocalhost")));
    assert_false(hosts_is_localhost(STR("localhost.example")));
    assert_false(hosts_is_localhost(STR("")));
    struct addr addrs[2];
    assert_int_equal(hosts_localhost(addrs), 2);
    assert_true(addr_is_loopback(&addrs[0]) && addrs[0].family == ADDR_IP6);
    assert_true(addr_is_loopback(&addrs[1]) && addrs[1].family == ADDR_IP4);
}

static void without_memory_the_names_read_so_far_stand_or_nothing(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 20; n++) {
        struct addr addr;
        arena_fail_at(n);
        struct hosts *hosts = hosts_new(str_from_z(file));
        arena_fail_at(0);
        assert_true(n > 2 || hosts == NULL);
        if (hosts != NULL)
            assert_true(hosts_find(hosts, STR("app"), &addr, 1) <= 1);
        hosts_end(hosts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_give_names_their_addresses),
        cmocka_unit_test(no_more_are_given_than_asked_for),
        cmocka_unit_test(localhost_is_known_without_a_file),
        cmocka_unit_test(without_memory_the_names_read_so_far_stand_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
