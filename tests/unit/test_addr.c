#include "net/addr.h"

#include "base/text.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/un.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *text_of(const struct addr *addr, bool port)
{
    static char room[200];
    struct text text = text_over(room, sizeof room - 1);
    if (port)
        addr_add_text_port(&text, addr);
    else
        addr_add_text(&text, addr);
    room[text.len] = '\0';
    return room;
}

static void addresses_have_one_form(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *out; /* NULL: refused */
    } rows[] = {
        {STR_INIT("10.0.0.1"), "10.0.0.1"},
        {STR_INIT("0.0.0.0"), "0.0.0.0"},
        {STR_INIT("255.255.255.255"), "255.255.255.255"},
        {STR_INIT("256.0.0.1"), NULL},
        {STR_INIT("10.0.0"), NULL},
        {STR_INIT("10.0.0.1.1"), NULL},
        {STR_INIT("010.0.0.1"), NULL}, /* octal or not: never guessed */
        {STR_INIT("0x0a000001"), NULL},
        {STR_INIT("167772161"), NULL},
        {STR_INIT("10.0.0.1 "), NULL},
        {STR_INIT("10.0.0.1\0"), NULL},
        {STR_INIT(""), NULL},
        {STR_INIT("::"), "::"},
        {STR_INIT("::1"), "::1"},
        {STR_INIT("[::1]"), "::1"},
        {STR_INIT("[]"), NULL},
        {STR_INIT("[::1"), NULL},
        {STR_INIT("::1]"), NULL},
        {STR_INIT("[10.0.0.1]"), NULL},
        {STR_INIT("2001:DB8:0:0:1:0:0:1"), "2001:db8::1:0:0:1"},
        {STR_INIT("2001:db8::1::1"), NULL},
        {STR_INIT("1:2:3:4:5:6:7:8"), "1:2:3:4:5:6:7:8"},
        {STR_INIT("1:2:3:4:5:6:7:8:9"), NULL},
        {STR_INIT("12345::"), NULL},
        {STR_INIT("::ffff:10.0.0.1"), "10.0.0.1"}, /* mapped */
        {STR_INIT("::ffff:a00:1"), "10.0.0.1"},
        {STR_INIT("::fffe:10.0.0.1"), "::fffe:a00:1"},
        {STR_INIT("::10.0.0.1"), "::10.0.0.1"}, /* compatible is not mapped */
        {STR_INIT("fe80::1%lo"), "fe80::1"},
        {STR_INIT("fe80::1%no-such-if"), NULL},
        {STR_INIT("fe80::1%"), NULL},
        {STR_INIT("10.0.0.1%lo"), NULL},
        {STR_INIT("localhost"), NULL},
        {STR_INIT("1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee"), NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct addr addr;
        bool ok = addr_parse_ip(rows[i].in, &addr);
        if (ok != (rows[i].out != NULL))
            fail_msg("%.*s", STR_ARG(rows[i].in));
        if (ok)
            assert_string_equal(text_of(&addr, false), rows[i].out);
    }
}

static void ports_are_obligatory_and_bounded(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *out;
    } rows[] = {
        {STR_INIT("10.0.0.1:80"), "10.0.0.1:80"},
        {STR_INIT("[::1]:65535"), "[::1]:65535"},
        {STR_INIT("[::1]:0"), "[::1]:0"},
        {STR_INIT("[::1]:65536"), NULL},
        {STR_INIT("10.0.0.1"), NULL},
        {STR_INIT("10.0.0.1:"), NULL},
        {STR_INIT("::1:80"), NULL},
        {STR_INIT("[::1]"), NULL},
        {STR_INIT(":80"), NULL},
        {STR_INIT("10.0.0.1:-1"), NULL},
        {STR_INIT("10.0.0.1:80 "), NULL},
        {STR_INIT("[::ffff:1.2.3.4]:1"), "1.2.3.4:1"},
        {STR_INIT(""), NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct addr addr;
        bool ok = addr_parse_ip_port(rows[i].in, &addr);
        if (ok != (rows[i].out != NULL))
            fail_msg("%.*s", STR_ARG(rows[i].in));
        if (ok)
            assert_string_equal(text_of(&addr, true), rows[i].out);
    }
}

static void networks_have_no_host_bits(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        enum cidr_result result;
    } rows[] = {
        {STR_INIT("10.0.0.0/8"), CIDR_OK},
        {STR_INIT("10.0.0.1/8"), CIDR_HOST_BITS},
        {STR_INIT("10.0.0.1"), CIDR_OK},
        {STR_INIT("10.0.0.1/32"), CIDR_OK},
        {STR_INIT("10.0.0.1/33"), CIDR_BAD},
        {STR_INIT("10.0.0.1/31"), CIDR_HOST_BITS},
        {STR_INIT("10.0.0.2/31"), CIDR_OK},
        {STR_INIT("0.0.0.0/0"), CIDR_OK},
        {STR_INIT("0.0.0.1/0"), CIDR_HOST_BITS},
        {STR_INIT("10.0.0.0/08"), CIDR_BAD},
        {STR_INIT("10.0.0.0/"), CIDR_BAD},
        {STR_INIT("10.0.0.0/-1"), CIDR_BAD},
        {STR_INIT("10.0.0.0/8/8"), CIDR_BAD},
        {STR_INIT("/8"), CIDR_BAD},
        {STR_INIT("::/0"), CIDR_OK},
        {STR_INIT("2001:db8::/32"), CIDR_OK},
        {STR_INIT("2001:db8::1/32"), CIDR_HOST_BITS},
        {STR_INIT("::1/128"), CIDR_OK},
        {STR_INIT("::1/129"), CIDR_BAD},
        {STR_INIT("8000::/1"), CIDR_OK},
        {STR_INIT("::ffff:10.0.0.0/104"), CIDR_OK},
        {STR_INIT("::ffff:0:0/96"), CIDR_OK},
        {STR_INIT("::ffff:0:0/95"), CIDR_BAD},
        {STR_INIT("fe80::1%lo/64"), CIDR_BAD},
        {STR_INIT("::ffff:10.0.0.1/104"), CIDR_HOST_BITS},
        {STR_INIT(""), CIDR_BAD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cidr cidr;
        if (cidr_parse(rows[i].in, &cidr) != rows[i].result)
            fail_msg("%.*s", STR_ARG(rows[i].in));
    }
}

static void a_network_has_its_first_and_last_address_and_not_their_neighbours(void **state)
{
    (void)state;
    static const struct {
        struct str net, addr;
        bool has;
    } rows[] = {
        {STR_INIT("10.0.0.0/8"), STR_INIT("10.0.0.0"), true},
        {STR_INIT("10.0.0.0/8"), STR_INIT("10.255.255.255"), true},
        {STR_INIT("10.0.0.0/8"), STR_INIT("11.0.0.0"), false},
        {STR_INIT("10.0.0.0/8"), STR_INIT("9.255.255.255"), false},
        {STR_INIT("10.0.0.0/8"), STR_INIT("::ffff:10.1.2.3"), true},
        {STR_INIT("::ffff:10.0.0.0/104"), STR_INIT("10.1.2.3"), true},
        {STR_INIT("192.168.4.0/22"), STR_INIT("192.168.7.255"), true},
        {STR_INIT("192.168.4.0/22"), STR_INIT("192.168.8.0"), false},
        {STR_INIT("192.168.4.0/22"), STR_INIT("192.168.3.255"), false},
        {STR_INIT("0.0.0.0/0"), STR_INIT("255.1.2.3"), true},
        {STR_INIT("0.0.0.0/0"), STR_INIT("::1"), false}, /* families are apart */
        {STR_INIT("::/0"), STR_INIT("1.2.3.4"), false},
        {STR_INIT("::/0"), STR_INIT("ffff::"), true},
        {STR_INIT("2001:db8::/33"), STR_INIT("2001:db8:7fff:ffff::"), true},
        {STR_INIT("2001:db8::/33"), STR_INIT("2001:db8:8000::"), false},
        {STR_INIT("::1/128"), STR_INIT("::1"), true},
        {STR_INIT("::1/128"), STR_INIT("::"), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cidr cidr;
        struct addr addr;
        assert_int_equal(cidr_parse(rows[i].net, &cidr), CIDR_OK);
        assert_true(addr_parse_ip(rows[i].addr, &addr));
        if (cidr_has(&cidr, &addr) != rows[i].has)
            fail_msg("%.*s in %.*s", STR_ARG(rows[i].addr), STR_ARG(rows[i].net));
    }
}

static void sockets_addresses_survive_the_way_there_and_back(void **state)
{
    (void)state;
    static const struct str rows[] = {STR_INIT("10.1.2.3:80"), STR_INIT("[2001:db8::1]:65535")};
    struct sockaddr_storage sa;
    struct addr addr, back;
    for (size_t i = 0; i < 2; i++) {
        assert_true(addr_parse_ip_port(rows[i], &addr));
        socklen_t len = addr_to_sockaddr(&addr, &sa);
        assert_true(addr_from_sockaddr(&back, (struct sockaddr *)&sa, len));
        assert_true(addr_eq(&addr, &back));
        assert_false(addr_from_sockaddr(&back, (struct sockaddr *)&sa, len - 1));
        back = addr;
        back.port++;
        assert_false(addr_eq(&addr, &back));
        assert_true(addr_eq_host(&addr, &back));
    }
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(7)};
    static const uint8_t ip[16] = {
        [10] = 0xff, [11] = 0xff, [12] = 1, [13] = 2, [14] = 3, [15] = 4};
    memcpy(&mapped.sin6_addr, ip, 16);
    assert_true(addr_from_sockaddr(&back, (struct sockaddr *)&mapped, sizeof mapped));
    assert_string_equal(text_of(&back, true), "1.2.3.4:7");
    assert_false(addr_from_sockaddr(&back, (struct sockaddr *)&mapped, 0));
    sa.ss_family = AF_NETLINK;
    assert_false(addr_from_sockaddr(&back, (struct sockaddr *)&sa, sizeof sa));
}

static void unix_paths_fit_or_are_refused(void **state)
{
    (void)state;
    enum { ROOM = sizeof((struct sockaddr_un *)0)->sun_path };
    char path[ROOM + 1];
    struct sockaddr_storage sa;
    struct addr addr = {.family = ADDR_UNIX, .path = path};
    memset(path, 'p', sizeof path);
    path[ROOM - 1] = '\0';
    assert_int_equal(addr_to_sockaddr(&addr, &sa), sizeof(struct sockaddr_un));
    path[ROOM - 1] = 'p';
    path[ROOM] = '\0';
    assert_int_equal(addr_to_sockaddr(&addr, &sa), 0);
    path[0] = '\0';
    assert_int_equal(addr_to_sockaddr(&addr, &sa), 0);
    addr.path = NULL;
    assert_int_equal(addr_to_sockaddr(&addr, &sa), 0);
    assert_string_equal(text_of(&addr, true), "unix:");
    addr.path = "/run/app.sock";
    assert_string_equal(text_of(&addr, true), "unix:/run/app.sock");
    addr.path = "@name"; /* abstract: a NUL in front, none behind */
    assert_int_equal(addr_to_sockaddr(&addr, &sa), offsetof(struct sockaddr_un, sun_path) + 5);
    assert_memory_equal(((struct sockaddr_un *)&sa)->sun_path, "\0name", 5);
    struct addr other = addr;
    assert_true(addr_eq(&addr, &other));
    other.path = "@other";
    assert_false(addr_eq(&addr, &other));
    struct addr none = {0};
    assert_string_equal(text_of(&none, true), "-");
    assert_int_equal(addr_to_sockaddr(&none, &sa), 0);
}

static void loopback_is_all_of_127_and_one_of_ip6(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        bool loopback;
    } rows[] = {
        {STR_INIT("127.0.0.1"), true},  {STR_INIT("127.255.0.9"), true},
        {STR_INIT("128.0.0.1"), false}, {STR_INIT("::1"), true},
        {STR_INIT("::2"), false},       {STR_INIT("::ffff:127.0.0.1"), true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct addr addr;
        assert_true(addr_parse_ip(rows[i].in, &addr));
        assert_int_equal(addr_is_loopback(&addr), rows[i].loopback);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_have_one_form),
        cmocka_unit_test(ports_are_obligatory_and_bounded),
        cmocka_unit_test(networks_have_no_host_bits),
        cmocka_unit_test(a_network_has_its_first_and_last_address_and_not_their_neighbours),
        cmocka_unit_test(sockets_addresses_survive_the_way_there_and_back),
        cmocka_unit_test(unix_paths_fit_or_are_refused),
        cmocka_unit_test(loopback_is_all_of_127_and_one_of_ip6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
