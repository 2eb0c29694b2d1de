#include "app/record_text.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char record[] =
    "{\"time\":\"2026-11-21T12:34:56.789Z\",\"kind\":\"request\",\"ref\":\"0123456789abcdef\","
    "\"client\":\"10.0.0.9\",\"peer\":\"10.0.0.9:4711\",\"local\":\"192.0.2.1:443\",\"sni\":\"a\","
    "\"tls\":\"1.3\",\"cipher\":\"TLS_AES_128_GCM_SHA256\",\"resumed\":true,"
    "\"protocol\":\"HTTP/1.1\",\"method\":\"GET\",\"scheme\":\"https\",\"host\":\"a.example\","
    "\"path\":\"/dicom/x\",\"query\":\"id=secret&b\",\"status\":403,\"refused_layer\":\"route\","
    "\"refused_by\":\"route access\",\"why\":\"a deny line names this "
    "address\",\"at\":\"a.conf:9\","
    "\"origin\":\"127.0.0.1:3000\",\"origin_status\":200,\"tries\":2,\"pooled\":true,"
    "\"total_us\":12345,\"end\":\"complete\",\"referer\":\"https://me:pw@h/?k=v#f\","
    "\"cookies\":\"s=secret\",\"stages\":[{\"stage\":\"route\",\"verdict\":\"site\",\"why\":\"*\","
    "\"at\":\"a.conf:3\"},{\"stage\":\"admit\",\"verdict\":\"denied\"}]}";

struct made {
    struct arena *arena;
    struct text out;
};

static struct made begin(void)
{
    struct made m = {.arena = arena_new(1 << 20, 4096)};
    m.out = text_in(m.arena, 1 << 18);
    return m;
}

static void expect(struct made *m, const char *wanted)
{
    if (!str_eq(text_str(&m->out), str_from_z(wanted)))
        print_error("%.*s", STR_ARG(text_str(&m->out)));
    assert_true(str_eq(text_str(&m->out), str_from_z(wanted)));
    arena_end(m->arena);
}

static void a_record_in_full_reads_like_a_page(void **state)
{
    (void)state;
    struct made m = begin();
    assert_true(record_text_full(m.arena, str_from_z(record), false, &m.out));
    expect(&m,
           "2026-11-21T12:34:56.789Z  0123456789abcdef\n"
           "GET https://a.example/dicom/x?id=***&*** HTTP/1.1\n"
           "from 10.0.0.9 (10.0.0.9:4711 to 192.0.2.1:443), TLS 1.3 TLS_AES_128_GCM_SHA256 for a, "
           "resumed\n"
           " 1. route     site: *                                       a.conf:3\n"
           " 2. admit     denied\n"
           "refused by route access (route): a deny line names this address  a.conf:9\n"
           "origin 127.0.0.1:3000 answered 200, origins tried: 2\n"
           "answered 403, ended complete after 12.345 ms\n"
           "    pooled: yes\n"
           "    total_us: 12345\n"
           "    referer: https://***@h/?k=***#***\n"
           "    cookies: ***\n");
}

static void a_record_on_one_line_says_the_most_needed(void **state)
{
    (void)state;
    struct made m = begin();
    assert_true(record_text_line(m.arena, str_from_z(record), &m.out));
    expect(&m, "12:34:56.789 403 12.345 ms  10.0.0.9  GET a.example/dicom/x?id=***&***  -> "
               "127.0.0.1:3000  refused by route access: a deny line names this address  "
               "0123456789abcdef\n");
}

static void root_may_see_what_is_masked(void **state)
{
    (void)state;
    struct made m = begin();
    assert_true(record_text_full(m.arena, str_from_z(record), true, &m.out));
    assert_true(str_find(text_str(&m.out), STR("?id=secret&b ")) != SIZE_MAX);
    assert_true(str_find(text_str(&m.out), STR("me:pw@h/?k=v#f\n")) != SIZE_MAX);
    arena_end(m.arena);
}

static void json_comes_out_as_it_was_but_masked(void **state)
{
    (void)state;
    struct made m = begin();
    struct str line = str_from_z(record);
    assert_true(record_text_json(m.arena, line, true, &m.out));
    assert_int_equal(m.out.len, line.len + 1);
    assert_memory_equal(m.out.at, line.at, line.len);
    arena_end(m.arena);
    m = begin();
    assert_true(record_text_json(m.arena, line, false, &m.out));
    assert_int_equal(str_find(text_str(&m.out), STR("secret")), SIZE_MAX);
    assert_true(str_find(text_str(&m.out), STR("\"query\":\"id=***&***\"")) != SIZE_MAX);
    assert_true(str_find(text_str(&m.out), STR("\"cookies\":\"***\"")) != SIZE_MAX);
    arena_end(m.arena);
}

static void a_terminal_gets_no_control_bytes(void **state)
{
    (void)state;
    static const char evil[] =
        "{\"kind\":\"request\",\"time\":\"\\u001b[31m\",\"ref\":\"\\u0007\",\"path\":\"/"
        "\\u009b2J\","
        "\"host\":\"\\u202egpj\",\"refused_by\":\"a\\nb\",\"why\":\"\\r\",\"\\u001b]0;x\":\"y\","
        "\"stages\":[{\"stage\":\"\\u001b\",\"verdict\":\"\\u007f\",\"at\":\"\\t\"}]}";
    struct made m = begin();
    assert_true(record_text_full(m.arena, str_from_z(evil), true, &m.out));
    assert_true(record_text_line(m.arena, str_from_z(evil), &m.out));
    for (size_t i = 0; i < m.out.len; i++)
        assert_true(m.out.at[i] == '\n' || (m.out.at[i] >= 0x20 && m.out.at[i] < 0x7f));
    assert_true(str_find(text_str(&m.out), STR("refused by a\\x0ab")) != SIZE_MAX);
    arena_end(m.arena);
}

static void what_is_no_record_adds_nothing(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "x",
        "{}",
        "[]",
        "null",
        "{\"kind\":1",
        "{\"kind\":\"\"}",
        "{\"ref\":\"x\"}",
        "{\"kind\":\"request\"} x",
        "\"kind\"",
        "{\"kind\":{\"kind\":\"request\"}}",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct made m = begin();
        assert_false(record_text_full(m.arena, str_from_z(lines[i]), false, &m.out));
        assert_false(record_text_line(m.arena, str_from_z(lines[i]), &m.out));
        assert_false(record_text_json(m.arena, str_from_z(lines[i]), false, &m.out));
        assert_int_equal(m.out.len, 0);
        arena_end(m.arena);
    }
}

static void members_of_another_kind_are_no_surprise(void **state)
{
    (void)state;
    static const char odd[] = "{\"kind\":\"request\",\"stages\":[1,null,[],{\"stage\":{}}],"
                              "\"status\":true,\"path\":[],\"query\":7,\"total_us\":\"x\"}";
    struct made m = begin();
    assert_true(record_text_full(m.arena, str_from_z(odd), false, &m.out));
    assert_true(record_text_line(m.arena, str_from_z(odd), &m.out));
    assert_true(record_text_json(m.arena, str_from_z(odd), false, &m.out));
    arena_end(m.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_in_full_reads_like_a_page),
        cmocka_unit_test(a_record_on_one_line_says_the_most_needed),
        cmocka_unit_test(root_may_see_what_is_masked),
        cmocka_unit_test(json_comes_out_as_it_was_but_masked),
        cmocka_unit_test(a_terminal_gets_no_control_bytes),
        cmocka_unit_test(what_is_no_record_adds_nothing),
        cmocka_unit_test(members_of_another_kind_are_no_surprise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
