#include "http/authority.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text, *host; /* NULL: refused */
    int port;                /* -1: none */
} cases[] = {
    {"a", "a", -1},
    {"A.Example.COM", "a.example.com", -1},
    {"a.test.", "a.test", -1},
    {"a.test.:80", "a.test", 80},
    {"a_b-c.d", "a_b-c.d", -1},
    {"127.0.0.1:8080", "127.0.0.1", 8080},
    {"a:0", "a", 0},
    {"a:65535", "a", 65535},
    {"a:00080", "a", 80},
    {"[::1]", "::1", -1},
    {"[0:0:0:0:0:0:0:1]:443", "::1", 443},
    {"[2001:DB8::A]", "2001:db8::a", -1},
    {"", NULL, 0},
    {".", NULL, 0},
    {":80", NULL, 0},
    {"a:", NULL, 0},
    {"a:65536", NULL, 0},
    {"a:000080", NULL, 0},
    {"a:+1", NULL, 0},
    {"a:80:80", NULL, 0},
    {"a..b", NULL, 0},
    {".a", NULL, 0},
    {"a.test..", NULL, 0},
    {"u@a", NULL, 0},
    {"u:p@a", NULL, 0},
    {"a b", NULL, 0},
    {"a,b", NULL, 0},
    {"a/b", NULL, 0},
    {"a%41", NULL, 0},
    {"a\x80", NULL, 0},
    {"a~b", NULL, 0},
    {"*.a", NULL, 0},
    {"::1", NULL, 0},
    {"[::1", NULL, 0},
    {"::1]", NULL, 0},
    {"[]", NULL, 0},
    {"[::1]x", NULL, 0},
    {"[::1]:", NULL, 0},
    {"[::1%25lo]", NULL, 0},
    {"[::1%lo]", NULL, 0},
    {"[127.0.0.1]", NULL, 0},
    {"[v1.x]", NULL, 0},
    {"[[::1]]", NULL, 0},
};

static void an_authority_is_taken_normal_or_refused(void **state)
{
    (void)state;
    struct arena *arena = arena_new(65536, 4096);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct authority a;
        bool ok = authority_parse(arena, str_from_z(cases[i].text), &a);
        if (ok != (cases[i].host != NULL) || authority_ok(str_from_z(cases[i].text)) != ok)
            fail_msg("%s", cases[i].text);
        if (!ok)
            continue;
        if (!str_eq(a.host, str_from_z(cases[i].host)) || a.has_port != (cases[i].port >= 0) ||
            (a.has_port && a.port != cases[i].port) || a.is_ip6 != (cases[i].text[0] == '['))
            fail_msg("%s", cases[i].text);
    }
    arena_end(arena);
}

static void a_host_and_its_labels_have_a_longest(void **state)
{
    (void)state;
    struct arena *arena = arena_new(65536, 4096);
    struct authority a;
    char host[260];
    memset(host, 'a', sizeof host);
    assert_true(authority_parse(arena, str_from(host, 63), &a));
    assert_false(authority_parse(arena, str_from(host, 64), &a));
    for (size_t i = 50; i < sizeof host; i += 50)
        host[i] = '.';
    assert_true(authority_parse(arena, str_from(host, 253), &a));
    assert_false(authority_parse(arena, str_from(host, 254), &a));
    host[253] = '.';
    assert_true(authority_parse(arena, str_from(host, 254), &a));
    arena_end(arena);
}

static void a_nul_byte_ends_nothing(void **state)
{
    (void)state;
    struct arena *arena = arena_new(65536, 4096);
    struct authority a;
    assert_false(authority_parse(arena, STR("a\0b"), &a));
    assert_false(authority_parse(arena, STR("[::1\0]"), &a));
    arena_end(arena);
}

static void the_default_port_may_be_written_or_not(void **state)
{
    (void)state;
    struct arena *arena = arena_new(65536, 4096);
    struct authority a, b;
    assert_true(authority_parse(arena, STR("A.test:80"), &a));
    assert_true(authority_parse(arena, STR("a.TEST"), &b));
    assert_true(authority_same(&a, &b, 80));
    assert_false(authority_same(&a, &b, 443));
    assert_true(authority_parse(arena, STR("b.test:80"), &b));
    assert_false(authority_same(&a, &b, 80));
    arena_end(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_authority_is_taken_normal_or_refused),
        cmocka_unit_test(a_host_and_its_labels_have_a_longest),
        cmocka_unit_test(a_nul_byte_ends_nothing),
        cmocka_unit_test(the_default_port_may_be_written_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
