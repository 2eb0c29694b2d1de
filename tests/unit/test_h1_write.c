#include "http/h1_write.h"

#include "http/h1_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct message m;

static int begin(void **state)
{
    (void)state;
    message_init(&m, arena_new(65536, 4096));
    m.method = METHOD_GET;
    m.method_text = STR("GET");
    m.status = 200;
    return m.arena == NULL;
}

static int end(void **state)
{
    (void)state;
    arena_end(m.arena);
    return 0;
}

static struct text out_text(void)
{
    struct text out = text_in(m.arena, 8192);
    text_add(&out, STR("|"));
    return out;
}

static void expect_request(const char *target, const char *expected)
{
    struct text out = out_text();
    bool ok = h1_write_request(&out, &m, str_from_z(target));
    if (expected == NULL) {
        assert_false(ok);
        assert_int_equal(out.len, 1);
        return;
    }
    assert_true(ok);
    if (!str_eq(str_skip(text_str(&out), 1), str_from_z(expected)))
        fail_msg("%.*s", STR_ARG(text_str(&out)));
}

static void expect_response(const char *expected)
{
    struct text out = out_text();
    bool ok = h1_write_response(&out, &m);
    if (expected == NULL) {
        assert_false(ok);
        assert_int_equal(out.len, 1);
        return;
    }
    assert_true(ok);
    if (!str_eq(str_skip(text_str(&out), 1), str_from_z(expected)))
        fail_msg("%.*s", STR_ARG(text_str(&out)));
}

static void push(const char *name, const char *value)
{
    assert_true(message_push(&m, str_from_z(name), str_from_z(value)));
}

static void a_request_goes_out_with_its_live_fields_in_order(void **state)
{
    (void)state;
    push("hOsT", "a");
    push("X-B", "1");
    push("Gone", "1");
    push("x-a", "");
    message_remove(&m, STR("gone"));
    expect_request("/a%2f?b", "GET /a%2f?b HTTP/1.1\r\nhOsT: a\r\nX-B: 1\r\nx-a: \r\n\r\n");
}

static void received_framing_is_replaced_by_ours(void **state)
{
    (void)state;
    push("Host", "a");
    push("Content-Length", "99");
    push("transfer-encoding", "chunked");
    push("Connection", "X-B, close");
    push("Keep-Alive", "1");
    push("Proxy-Connection", "close");
    m.method_text = STR("POST");
    m.method = METHOD_POST;
    m.framing = BODY_LENGTH;
    m.content_length = 5;
    m.close = true;
    expect_request("/", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    m.framing = BODY_CHUNKED;
    expect_request("/", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    m.framing = BODY_NONE;
    expect_request("/", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    m.framing = BODY_TO_END;
    expect_request("/", NULL);
}

static void a_framing_field_added_by_hand_is_not_written_either(void **state)
{
    (void)state;
    push("Host", "a");
    assert_true(message_add(&m, STR("Content-Length"), STR("7")));
    assert_true(message_add(&m, STR("Connection"), STR("Upgrade")));
    expect_request("/", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n");
}

static void an_expectation_goes_on_only_while_it_is_met(void **state)
{
    (void)state;
    push("Host", "a");
    push("Expect", "100-continue");
    expect_request("/", "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    m.expect_continue = true;
    expect_request("/", "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
}

static void what_could_not_have_been_received_is_not_written(void **state)
{
    (void)state;
    expect_request("/", NULL); /* no Host */
    push("Host", "a");
    static const char *const targets[] = {"",      "a",        "/a b", "/\r\nX: y", "/#",
                                          "/\x80", "http://a", "*",    "/\x7f"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        expect_request(targets[i], NULL);
    static const char *const methods[] = {"", "G T", "GET\r\n", "CONNECT", "G\x80"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        m.method_text = str_from_z(methods[i]);
        expect_request("/", NULL);
    }
    m.method_text = STR("OPTIONS");
    expect_request("*", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    push("X", "a\r\nY: b");
    expect_request("/", NULL);
    expect_response(NULL);
}

static void a_name_that_is_no_token_is_not_written(void **state)
{
    (void)state;
    push("", "a");
    expect_response(NULL);
    m.fields[0].name = STR("a b");
    expect_response(NULL);
    m.fields[0].name = STR("a");
    m.fields[0].value = STR(" b");
    expect_response(NULL);
}

static void an_answer_is_framed_by_status_request_and_version(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        uint8_t method, framing, version;
        bool close, declared;
        const char *head;
    } rows[] = {
        {200, METHOD_GET, BODY_NONE, 11, false, false, "200 OK\r\nContent-Length: 0\r\n"},
        {200, METHOD_GET, BODY_LENGTH, 11, false, true, "200 OK\r\nContent-Length: 5\r\n"},
        {200, METHOD_GET, BODY_CHUNKED, 11, false, false,
         "200 OK\r\nTransfer-Encoding: chunked\r\n"},
        {200, METHOD_GET, BODY_CHUNKED, 10, true, false, NULL},
        {200, METHOD_GET, BODY_TO_END, 10, true, false, "200 OK\r\nConnection: close\r\n"},
        {200, METHOD_GET, BODY_TO_END, 11, false, false, NULL},
        {200, METHOD_GET, BODY_LENGTH, 10, false, true,
         "200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n"},
        {200, METHOD_GET, BODY_LENGTH, 11, true, true,
         "200 OK\r\nContent-Length: 5\r\nConnection: close\r\n"},
        {200, METHOD_HEAD, BODY_NONE, 11, false, true, "200 OK\r\nContent-Length: 5\r\n"},
        {200, METHOD_HEAD, BODY_NONE, 11, false, false, "200 OK\r\n"},
        {200, METHOD_HEAD, BODY_LENGTH, 11, false, true, NULL},
        {304, METHOD_GET, BODY_NONE, 11, false, true, "304 Not Modified\r\nContent-Length: 5\r\n"},
        {304, METHOD_GET, BODY_CHUNKED, 11, false, false, NULL},
        {204, METHOD_GET, BODY_NONE, 11, false, true, "204 No Content\r\n"},
        {204, METHOD_GET, BODY_LENGTH, 11, false, true, NULL},
        {100, METHOD_GET, BODY_NONE, 11, true, true, "100 Continue\r\n"},
        {101, METHOD_GET, BODY_LENGTH, 11, false, true, NULL},
        {799, METHOD_GET, BODY_NONE, 11, false, false, NULL},
        {99, METHOD_GET, BODY_NONE, 11, false, false, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char expected[128] = "HTTP/1.1 ";
        m.status = rows[i].status;
        m.method = rows[i].method;
        m.framing = rows[i].framing;
        m.version = rows[i].version;
        m.close = rows[i].close;
        m.has_content_length = rows[i].declared;
        m.content_length = rows[i].declared ? 5 : 0;
        if (rows[i].head) {
            strcat(expected, rows[i].head);
            strcat(expected, "\r\n");
        }
        expect_response(rows[i].head ? expected : NULL);
    }
}

static void a_reason_goes_out_if_it_can(void **state)
{
    (void)state;
    m.status = 204;
    m.reason = STR("Fine \xe9");
    expect_response("HTTP/1.1 204 Fine \xe9\r\n\r\n");
    m.reason = STR("a\r\nX: y");
    expect_response("HTTP/1.1 204 No Content\r\n\r\n");
}

static void what_does_not_fit_leaves_nothing(void **state)
{
    (void)state;
    char small[60];
    push("Host", "a-name-that-is-rather-long.example.com");
    for (size_t room = 1; room < sizeof small; room++) {
        struct text out = text_over(small, room);
        text_add_byte(&out, '|');
        assert_false(h1_write_request(&out, &m, STR("/")));
        assert_int_equal(out.len, 1);
    }
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    static const struct head_limits limits = {8192, 100, 32768};
    struct message again;
    struct parse_error error;
    struct text out = text_in(m.arena, 8192);
    push("Host", "a");
    push("X", "y");
    m.framing = BODY_LENGTH;
    m.content_length = 7;
    assert_true(h1_write_request(&out, &m, STR("/x")));
    message_init(&again, m.arena);
    assert_int_equal(h1_parse_request(text_str(&out), &limits, &again, &error), PARSE_DONE);
    assert_int_equal(again.count, 3);
    assert_int_equal(again.content_length, 7);
    assert_true(str_eq(again.target, STR("/x")));
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        ROW(a_request_goes_out_with_its_live_fields_in_order),
        ROW(received_framing_is_replaced_by_ours),
        ROW(a_framing_field_added_by_hand_is_not_written_either),
        ROW(an_expectation_goes_on_only_while_it_is_met),
        ROW(what_could_not_have_been_received_is_not_written),
        ROW(a_name_that_is_no_token_is_not_written),
        ROW(an_answer_is_framed_by_status_request_and_version),
        ROW(a_reason_goes_out_if_it_can),
        ROW(what_does_not_fit_leaves_nothing),
        ROW(what_is_written_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
