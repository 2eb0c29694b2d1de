#include "config/value.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct number {
    const char *text;
    bool fits;
    uint64_t value;
};

static void a_duration_has_one_number_and_one_unit(void **state)
{
    (void)state;
    static const struct number cases[] = {
        {"30s", true, 30000},
        {"500ms", true, 500},
        {"5m", true, 300000},
        {"1h", true, 3600000},
        {"1d", true, 86400000},
        {"0s", true, 0},
        {"3650d", true, 3650ULL * 86400000},
        {"3651d", false, 0},
        {"30", false, 0},
        {"s", false, 0},
        {"", false, 0},
        {"030s", false, 0},
        {"1m30s", false, 0},
        {"1.5s", false, 0},
        {"-1s", false, 0},
        {"+1s", false, 0},
        {"1 s", false, 0},
        {"1S", false, 0},
        {"18446744073709551616s", false, 0},
        {"1w", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ms = 0;
        assert_int_equal(value_duration(str_from_z(cases[i].text), &ms), cases[i].fits);
        if (cases[i].fits)
            assert_int_equal(ms, cases[i].value);
    }
}

static void a_size_has_a_unit_of_1024(void **state)
{
    (void)state;
    static const struct number cases[] = {
        {"512b", true, 512},      {"64k", true, 65536},     {"2m", true, 2 << 20},
        {"2g", true, 2ULL << 30}, {"1t", true, 1ULL << 40}, {"1024t", true, 1ULL << 50},
        {"1025t", false, 0},      {"64", false, 0},         {"64K", false, 0},
        {"64kb", false, 0},       {"k", false, 0},          {"0x1k", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bytes = 0;
        assert_int_equal(value_size(str_from_z(cases[i].text), &bytes), cases[i].fits);
        if (cases[i].fits)
            assert_int_equal(bytes, cases[i].value);
    }
}

static void plain_numbers_know_no_octal(void **state)
{
    (void)state;
    uint64_t n;
    uint16_t port;
    unsigned status;
    bool on;
    assert_true(value_number(STR("0"), &n));
    assert_true(value_number(STR("1000000000"), &n));
    assert_false(value_number(STR("1000000001"), &n));
    assert_false(value_number(STR("010"), &n));
    assert_false(value_number(STR("0x10"), &n));
    assert_true(value_port(STR("65535"), &port));
    assert_false(value_port(STR("65536"), &port));
    assert_false(value_port(STR("0"), &port));
    assert_true(value_status(STR("100"), &status));
    assert_true(value_status(STR("599"), &status));
    assert_false(value_status(STR("600"), &status));
    assert_false(value_status(STR("99"), &status));
    unsigned last;
    assert_true(value_statuses(STR("200-399"), &status, &last) && status == 200 && last == 399);
    assert_true(value_statuses(STR("204"), &status, &last) && status == 204 && last == 204);
    assert_true(value_statuses(STR("204-204"), &status, &last));
    assert_false(value_statuses(STR("399-200"), &status, &last));
    assert_false(value_statuses(STR("200-"), &status, &last));
    assert_false(value_statuses(STR("-200"), &status, &last));
    assert_false(value_statuses(STR("200-300-400"), &status, &last));
    assert_false(value_statuses(STR("99-200"), &status, &last));
    assert_false(value_statuses(STR("200-600"), &status, &last));
    assert_true(value_switch(STR("on"), &on) && on);
    assert_true(value_switch(STR("off"), &on) && !on);
    assert_false(value_switch(STR("ON"), &on));
    assert_false(value_switch(STR("yes"), &on));
}

struct address_case {
    const char *text;
    bool fits;
    const char *scheme, *host;
    unsigned port;
};

static void check_addresses(bool (*parse)(struct str, struct value_address *),
                            const struct address_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct value_address got;
        bool fits = parse(str_from_z(cases[i].text), &got);
        if (fits != cases[i].fits)
            print_error("%s\n", cases[i].text);
        assert_int_equal(fits, cases[i].fits);
        if (!fits)
            continue;
        assert_true(str_eq(got.scheme, str_from_z(cases[i].scheme)));
        assert_true(str_eq(got.host, str_from_z(cases[i].host)));
        assert_int_equal(got.port, cases[i].port);
    }
}

static void listeners_name_their_scheme_but_for_80_and_443(void **state)
{
    (void)state;
    static const struct address_case cases[] = {
        {"80", true, "", "", 80},
        {"443", true, "", "", 443},
        {"8443", false, NULL, NULL, 0},
        {"https://:8443", true, "https", "", 8443},
        {"http://127.0.0.1:8080", true, "http", "127.0.0.1", 8080},
        {"http://[::1]:80", true, "http", "::1", 80},
        {"http://::1:80", false, NULL, NULL, 0},
        {"http://127.0.0.1", false, NULL, NULL, 0},
        {"http://localhost:80", false, NULL, NULL, 0},
        {"http://:0", false, NULL, NULL, 0},
        {"http://[::1:80", false, NULL, NULL, 0},
        {"ftp://:21", false, NULL, NULL, 0},
        {"", false, NULL, NULL, 0},
    };
    check_addresses(value_address, cases, sizeof cases / sizeof cases[0]);
}

static void origins_have_a_port_or_a_scheme_and_no_path(void **state)
{
    (void)state;
    static const struct address_case cases[] = {
        {"localhost:3000", true, "", "localhost", 3000},
        {"[::1]:3000", true, "", "::1", 3000},
        {"10.0.0.1:80", true, "", "10.0.0.1", 80},
        {"http://app", true, "http", "app", 0},
        {"https://reports.internal:8443", true, "https", "reports.internal", 8443},
        {"https://[fd00::1]", true, "https", "fd00::1", 0},
        {"unix:/run/app.sock", true, "unix", "/run/app.sock", 0},
        {"unix:", false, NULL, NULL, 0},
        {"unix:relative", false, NULL, NULL, 0},
        {"localhost", false, NULL, NULL, 0},
        {":3000", false, NULL, NULL, 0},
        {"http://", false, NULL, NULL, 0},
        {"http://app/path", false, NULL, NULL, 0},
        {"http://user@app", false, NULL, NULL, 0},
        {"http://app?x", false, NULL, NULL, 0},
        {"a:1:2", false, NULL, NULL, 0},
        {"300.1.1.1:80", false, NULL, NULL, 0},
        {"fastcgi://app:9000", false, NULL, NULL, 0},
    };
    check_addresses(value_origin, cases, sizeof cases / sizeof cases[0]);
}

static void hosts_are_names_wildcards_or_addresses(void **state)
{
    (void)state;
    static const struct number cases[] = {
        {"*", true, 0},
        {"example.com", true, 0},
        {"EXAMPLE.com.", true, 0},
        {"*.example.com", true, 0},
        {"localhost", true, 0},
        {"10.0.0.1", true, 0},
        {"::1", true, 0},
        {"[::1]", true, 0},
        {"a_b.example", true, 0},
        {"*.*.example", false, 0},
        {"a*.example", false, 0},
        {"a..b", false, 0},
        {"-a.b", false, 0},
        {"a-.b", false, 0},
        {"", false, 0},
        {".", false, 0},
        {"*.", false, 0},
        {"1.2.3", false, 0},
        {"a.b:80", false, 0},
        {"b\xc3\xbc.de", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (value_host(str_from_z(cases[i].text)) != cases[i].fits)
            print_error("%s\n", cases[i].text);
        assert_int_equal(value_host(str_from_z(cases[i].text)), cases[i].fits);
    }
    struct arena *arena = arena_new(1024, 256);
    assert_true(
        str_eq(value_host_canonical(arena, STR("WWW.Example.COM.")), STR("www.example.com")));
    arena_end(arena);
}

static void samples_fit_their_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < value_type_count; i++) {
        assert_true(value_types[i].fits(str_from_z(value_types[i].sample)));
        assert_ptr_equal(value_type_find(str_from_z(value_types[i].name)), &value_types[i]);
    }
    assert_null(value_type_find(STR("NOTHING")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_duration_has_one_number_and_one_unit),
        cmocka_unit_test(a_size_has_a_unit_of_1024),
        cmocka_unit_test(plain_numbers_know_no_octal),
        cmocka_unit_test(listeners_name_their_scheme_but_for_80_and_443),
        cmocka_unit_test(origins_have_a_port_or_a_scheme_and_no_path),
        cmocka_unit_test(hosts_are_names_wildcards_or_addresses),
        cmocka_unit_test(samples_fit_their_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
