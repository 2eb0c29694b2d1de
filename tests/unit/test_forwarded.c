#include "http/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;
static struct cidr trusted[2];

static int begin(void **state)
{
    (void)state;
    arena = arena_new(1 << 20, 4096);
    return arena == NULL || cidr_parse(STR("10.0.0.0/8"), &trusted[0]) != CIDR_OK ||
           cidr_parse(STR("fd00::/8"), &trusted[1]) != CIDR_OK;
}

static int end(void **state)
{
    (void)state;
    arena_end(arena);
    return 0;
}

static struct addr ip(const char *z)
{
    struct addr addr;
    assert_true(addr_parse_ip(str_from_z(z), &addr));
    return addr;
}

static const struct {
    const char *peer, *xff, *xff2, *forwarded, *client;
} cases[] = {
    {"192.0.2.1", "1.1.1.1", NULL, "for=2.2.2.2", "192.0.2.1"},
    {"10.0.0.1", NULL, NULL, NULL, "10.0.0.1"},
    {"10.0.0.1", "1.1.1.1", NULL, NULL, "1.1.1.1"},
    {"10.0.0.1", "6.6.6.6, 1.1.1.1", NULL, NULL, "1.1.1.1"},
    {"10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", NULL, NULL, "1.1.1.1"},
    {"10.0.0.1", "6.6.6.6,1.1.1.1", "10.0.0.3,10.0.0.2", NULL, "1.1.1.1"},
    {"10.0.0.1", "10.0.0.3, 10.0.0.2", NULL, NULL, "10.0.0.3"},
    {"10.0.0.1", " , 1.1.1.1 , ,", NULL, NULL, "1.1.1.1"},
    {"10.0.0.1", "1.1.1.1:8080", NULL, NULL, "1.1.1.1"},
    {"10.0.0.1", "[2001:db8::1]:8080", NULL, NULL, "2001:db8::1"},
    {"10.0.0.1", "2001:db8::1", NULL, NULL, "2001:db8::1"},
    {"10.0.0.1", "::ffff:1.1.1.1", NULL, NULL, "1.1.1.1"},
    {"fd00::1", "1.1.1.1, ::ffff:10.0.0.9", NULL, NULL, "1.1.1.1"},
    {"10.0.0.1", "1.1.1.1, garbage", NULL, NULL, "10.0.0.1"},
    {"10.0.0.1", "1.1.1.1, garbage, 10.0.0.2", NULL, NULL, "10.0.0.2"},
    {"10.0.0.1", "1.1.1.1, unknown", NULL, NULL, "10.0.0.1"},
    {"10.0.0.1", "fe80::1%lo", NULL, NULL, "10.0.0.1"},
    {"10.0.0.1", "", NULL, "for=2.2.2.2", "10.0.0.1"},
    {"10.0.0.1", "1.1.1.1", NULL, "for=2.2.2.2", "1.1.1.1"},
    {"10.0.0.1", NULL, NULL, "for=2.2.2.2", "2.2.2.2"},
    {"10.0.0.1", NULL, NULL, "for=6.6.6.6, For=\"2.2.2.2:80\";proto=https", "2.2.2.2"},
    {"10.0.0.1", NULL, NULL, "proto=https; for=\"[2001:db8::1]:80\"", "2001:db8::1"},
    {"10.0.0.1", NULL, NULL, "for=[2001:db8::1]", "2001:db8::1"},
    {"10.0.0.1", NULL, NULL, "for=2.2.2.2, for=10.0.0.2;by=x", "2.2.2.2"},
    {"10.0.0.1", NULL, NULL, "for=2.2.2.2, for=_hidden", "10.0.0.1"},
    {"10.0.0.1", NULL, NULL, "for=2.2.2.2, proto=https", "10.0.0.1"},
    {"10.0.0.1", NULL, NULL, "for=\"6.6.6.6, for=2.2.2.2", "2.2.2.2"},
    {"10.0.0.1", NULL, NULL, "for=", "10.0.0.1"},
    {"10.0.0.1", NULL, NULL, "for=\"", "10.0.0.1"},
};

static void the_client_is_the_rightmost_hop_that_is_not_trusted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct message m;
        struct addr client, peer = ip(cases[i].peer), expected = ip(cases[i].client);
        message_init(&m, arena);
        if (cases[i].xff)
            assert_true(message_push(&m, STR("X-Forwarded-For"), str_from_z(cases[i].xff)));
        if (cases[i].xff2)
            assert_true(message_push(&m, STR("x-forwarded-for"), str_from_z(cases[i].xff2)));
        if (cases[i].forwarded)
            assert_true(message_push(&m, STR("Forwarded"), str_from_z(cases[i].forwarded)));
        forwarded_client(&m, &peer, trusted, 2, &client);
        if (!addr_eq(&client, &expected))
            fail_msg("case %zu", i);
    }
}

static void with_nobody_trusted_the_peer_is_the_client(void **state)
{
    (void)state;
    struct message m;
    struct addr client, peer = ip("10.0.0.1");
    message_init(&m, arena);
    assert_true(message_push(&m, STR("X-Forwarded-For"), STR("1.1.1.1")));
    forwarded_client(&m, &peer, NULL, 0, &client);
    assert_true(addr_eq(&client, &peer));
}

static void our_list_ends_with_the_peer(void **state)
{
    (void)state;
    struct message m;
    struct addr peer = ip("10.0.0.1");
    struct text out = text_in(arena, 4096), kept = text_in(arena, 4096);
    message_init(&m, arena);
    assert_true(message_push(&m, STR("X-Forwarded-For"), STR("1.1.1.1, 2.2.2.2")));
    assert_true(message_push(&m, STR("X-Forwarded-For"), STR("")));
    assert_true(message_push(&m, STR("X-Forwarded-For"), STR("3.3.3.3")));
    forwarded_add_xff(&out, &m, false, &peer);
    assert_true(str_eq(text_str(&out), STR("10.0.0.1")));
    forwarded_add_xff(&kept, &m, true, &peer);
    assert_true(str_eq(text_str(&kept), STR("1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.1")));
}

static const struct {
    enum forwarded_form form;
    const char *peer, *host, *text;
} forms[] = {
    {FORWARDED_STANDARD, "1.2.3.4", "a.test", "for=1.2.3.4;host=a.test;proto=https"},
    {FORWARDED_STANDARD, "1.2.3.4", "a.test:8443", "for=1.2.3.4;host=\"a.test:8443\";proto=https"},
    {FORWARDED_STANDARD, "2001:db8::1", "", "for=\"[2001:db8::1]\";proto=https"},
    {FORWARDED_UNQUOTED, "2001:db8::1", "a:1", "for=[2001:db8::1];host=a:1;proto=https"},
    {FORWARDED_UNQUOTED, "1.2.3.4", "a;b", "for=1.2.3.4;host=\"a;b\";proto=https"},
    {FORWARDED_STANDARD, "1.2.3.4", "a\"\\b", "for=1.2.3.4;host=\"a\\\"\\\\b\";proto=https"},
};

static void our_forwarded_is_quoted_where_it_must_be(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct message m;
        struct addr peer = ip(forms[i].peer);
        struct text out = text_in(arena, 4096);
        message_init(&m, arena);
        assert_true(message_push(&m, STR("Forwarded"), STR("for=6.6.6.6")));
        forwarded_add(&out, &m, false, forms[i].form, &peer, str_from_z(forms[i].host),
                      STR("https"));
        if (!str_eq(text_str(&out), str_from_z(forms[i].text)))
            fail_msg("%.*s", STR_ARG(text_str(&out)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_the_rightmost_hop_that_is_not_trusted),
        cmocka_unit_test(with_nobody_trusted_the_peer_is_the_client),
        cmocka_unit_test(our_list_ends_with_the_peer),
        cmocka_unit_test(our_forwarded_is_quoted_where_it_must_be),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
