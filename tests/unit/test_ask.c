#include "proxy/ask.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct arena *begin(void)
{
    struct arena *arena = arena_new((size_t)4 << 20, 4096);
    assert_non_null(arena);
    return arena;
}

static void a_url_is_sent_as_it_is_written(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *name, *target;
        bool tls, is_address;
        uint16_t port;
    } cases[] = {
        {"http://a.example", "a.example", "a.example", "/", false, false, 80},
        {"https://A.Example./x?y#z", "a.example", "a.example", "/x?y", true, false, 443},
        {"https://a.example:8443?q", "a.example:8443", "a.example", "/?q", true, false, 8443},
        {"http://a.example:443/", "a.example:443", "a.example", "/", false, false, 443},
        {"HTTPS://10.0.0.1:443/a/../b%zz", "10.0.0.1", "10.0.0.1", "/a/../b%zz", true, true, 443},
        {"http://[2001:DB8::1]:81/a b", "[2001:db8::1]:81", "2001:db8::1", "/a b", false, true, 81},
        {"http://a.example#x", "a.example", "a.example", "/", false, false, 80},
    };
    struct arena *arena = begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ask ask = {0};
        const char *why;
        assert_true(ask_read_url(arena, str_from_z(cases[i].url), &ask, &why));
        assert_true(str_eq(ask.host, str_from_z(cases[i].host)));
        assert_true(str_eq(ask.name, str_from_z(cases[i].name)));
        assert_true(str_eq(ask.target, str_from_z(cases[i].target)));
        assert_int_equal(ask.tls, cases[i].tls);
        assert_int_equal(ask.is_address, cases[i].is_address);
        assert_int_equal(ask.port, cases[i].port);
        struct str sni = ask_sni(&ask);
        assert_true(str_eq(sni, ask.tls && !ask.is_address ? ask.name : STR("")));
    }
    arena_end(arena);
}

static void what_is_no_url_is_told(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "",       "a.example",    "/x",           "ftp://a.example/",     "http://",
        "https:", "http://a b/",  "http://u@a/",  "http://a:99999/",      "http://a:/",
        "http:/", "http://[::1/", "http://a%2f/", "https://a..example/x",
    };
    struct arena *arena = begin();
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct ask ask = {0};
        const char *why = NULL;
        assert_false(ask_read_url(arena, str_from_z(urls[i]), &ask, &why));
        assert_non_null(why);
    }
    arena_end(arena);
}

static struct str head_of(struct arena *arena, const struct ask_field *fields, size_t count,
                          uint64_t body_bytes)
{
    struct ask ask = {.method = STR("POST"), .fields = fields, .field_count = count};
    const char *why;
    assert_true(ask_read_url(arena, STR("http://a.example:81/x"), &ask, &why));
    ask.body_bytes = body_bytes;
    return ask_head(arena, &ask);
}

static void host_and_length_are_added_unless_said(void **state)
{
    (void)state;
    struct arena *arena = begin();
    const struct ask_field own[] = {{STR_INIT("host"), STR_INIT("other")},
                                    {STR_INIT("Content-Length"), STR_INIT("7")}};
    const struct ask_field chunked[] = {{STR_INIT("Transfer-Encoding"), STR_INIT("chunked")}};
    assert_true(
        str_eq(head_of(arena, NULL, 0, 0), STR("POST /x HTTP/1.1\r\nHost: a.example:81\r\n\r\n")));
    assert_true(str_eq(head_of(arena, NULL, 0, 5),
                       STR("POST /x HTTP/1.1\r\nHost: a.example:81\r\nContent-Length: 5\r\n\r\n")));
    assert_true(str_eq(head_of(arena, own, 2, 5),
                       STR("POST /x HTTP/1.1\r\nhost: other\r\nContent-Length: 7\r\n\r\n")));
    assert_true(str_eq(
        head_of(arena, chunked, 1, 5),
        STR("POST /x HTTP/1.1\r\nHost: a.example:81\r\nTransfer-Encoding: chunked\r\n\r\n")));
    arena_end(arena);
}

static void a_head_that_does_not_fit_is_none(void **state)
{
    (void)state;
    struct arena *arena = begin();
    static char big[ASK_HEAD_BYTES_MAX];
    memset(big, 'x', sizeof big);
    const struct ask_field field[] = {{STR("X"), str_from(big, sizeof big)}};
    assert_null(head_of(arena, field, 1, 0).at);
    arena_end(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_is_sent_as_it_is_written),
        cmocka_unit_test(what_is_no_url_is_told),
        cmocka_unit_test(host_and_length_are_added_unless_said),
        cmocka_unit_test(a_head_that_does_not_fit_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
