#include "http/h1_write.h"

#include "http/h1_chunked.h"
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

static void a_request_has_one_host_that_could_be_one(void **state)
{
    (void)state;
    static const char *const hosts[] = {"",    "a b",  "a/b",  "a@b", "a\tb",
                                        "a,b", "\x80", "a%41", ":",   "[::1"};
    push("Host", "a");
    push("Host", "a");
    expect_request("/", NULL);
    m.fields[1].flags = FIELD_REMOVED;
    expect_request("/", "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        m.fields[0].value = str_from_z(hosts[i]);
        expect_request("/", NULL);
    }
    m.fields[0].value = STR("[::1]:80");
    expect_request("/", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    m.fields[0].flags = FIELD_REMOVED;
    expect_request("/", NULL);
}

static void a_method_that_could_not_come_does_not_go(void **state)
{
    (void)state;
    push("Host", "a");
    m.method_text = STR("MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM");
    expect_request("/", "MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM / HTTP/1.1\r\nHost: a\r\n\r\n");
    m.method_text = STR("MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM");
    expect_request("/", NULL);
}

static void fields_of_a_connection_go_only_when_they_are_ours(void **state)
{
    (void)state;
    push("Host", "a");
    push("Upgrade", "h2c");
    push("HTTP2-Settings", "AAMA");
    push("TE", "trailers");
    push("Trailer", "X");
    expect_request("/", "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(message_add_id(&m, HEADER_CONNECTION, STR("Upgrade")));
    assert_true(message_add_id(&m, HEADER_UPGRADE, STR("websocket")));
    expect_request("/", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                        "Upgrade: websocket\r\n\r\n");
}

/* --- whatever is in a message, what is written is one message ----------------------------------
 */

static uint64_t seed = 1;

static unsigned draw(unsigned below)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(seed >> 33) % below;
}

/* Pieces that templates, edits by lines, forwarded fields and origins could bring together. */
static const char *const EVIL[] = {"",
                                   "a",
                                   "Host",
                                   "Content-Length",
                                   "Transfer-Encoding",
                                   "chunked",
                                   "5",
                                   "\r\n",
                                   "\n",
                                   "\r",
                                   " ",
                                   "\t",
                                   ":",
                                   "\x80\xff",
                                   "\x7f",
                                   "\x01",
                                   "\v",
                                   "\f",
                                   "x",
                                   "a, b",
                                   "\"",
                                   "%0d%0a",
                                   "X: y",
                                   "\r\n\r\n",
                                   "GET / HTTP/1.1",
                                   "HTTP/1.1",
                                   "/",
                                   "#",
                                   "?",
                                   "_",
                                   "Upgrade",
                                   "Connection",
                                   "keep-alive",
                                   "Set-Cookie",
                                   "\xc4\x8d\xc4\x8a",
                                   "Trailer",
                                   "Expect",
                                   "100-continue"};

static struct str evil(void)
{
    struct text text = text_in(m.arena, 256);
    for (unsigned n = draw(4); n > 0; n--)
        text_add_z(&text, EVIL[draw(sizeof EVIL / sizeof EVIL[0])]);
    if (draw(40) == 0)
        text_add_byte(&text, '\0');
    return text_str(&text);
}

static bool is_tchar(char c)
{
    return c != 0 && strchr("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "abcdefghijklmnopqrstuvwxyz",
                            c) != NULL;
}

struct lines {
    unsigned count, hosts, lengths, codings, bad;
};

/* Lines end with CRLF and hold no other control byte than HTAB; fields have a name; the last line
 * is empty and nothing follows it. Read by hand: the program's own parser has a look of its own. */
static struct lines read_lines(struct str head)
{
    struct lines lines = {0};
    while (head.len != 0) {
        size_t end = 0, name = 0;
        while (end < head.len && ((unsigned char)head.at[end] >= 0x20 || head.at[end] == '\t') &&
               head.at[end] != 0x7f)
            end++;
        if (head.len - end < 2 || memcmp(head.at + end, "\r\n", 2) != 0) {
            lines.bad++;
            return lines;
        }
        struct str line = str_sub(head, 0, end);
        head = str_skip(head, end + 2);
        if (line.len == 0) {
            lines.bad += head.len != 0;
            return lines;
        }
        while (name < line.len && is_tchar(line.at[name]))
            name++;
        if (lines.count++ == 0)
            continue;
        lines.bad += name == 0 || name == line.len || line.at[name] != ':';
        lines.hosts += str_eq_nocase(str_sub(line, 0, name), STR("Host"));
        lines.lengths += str_eq_nocase(str_sub(line, 0, name), STR("Content-Length"));
        lines.codings += str_eq_nocase(str_sub(line, 0, name), STR("Transfer-Encoding"));
    }
    lines.bad++; /* it did not end */
    return lines;
}

static void fill_evil(void)
{
    arena_end(m.arena);
    message_init(&m, arena_new(65536, 4096));
    m.method_text = draw(3) ? STR("GET") : evil();
    m.method = (uint8_t)draw(METHOD_CONNECT + 1);
    m.status = (uint16_t)(draw(4) ? 200 : draw(1000));
    m.reason = evil();
    m.version = draw(2) ? 11 : 10;
    m.framing = (uint8_t)draw(5);
    m.close = draw(2);
    m.has_content_length = draw(2);
    m.content_length = draw(2) ? draw(100) : UINT64_MAX;
    m.expect_continue = draw(2);
    if (draw(2))
        push("Host", "a");
    for (unsigned n = draw(5); n > 0; n--) {
        struct str name = draw(2) ? evil() : str_from_z(EVIL[draw(sizeof EVIL / sizeof EVIL[0])]);
        if (draw(2))
            assert_true(message_push(&m, name, evil()));
        else
            (void)!message_add(&m, name, evil());
    }
}

static void whatever_a_message_holds_one_head_is_written_or_none(void **state)
{
    (void)state;
    static const struct head_limits limits = {8192, 100, 32768};
    unsigned requests = 0, answers = 0;
    for (unsigned i = 0; i < 60000; i++) {
        struct parse_error error;
        struct message again;
        fill_evil();
        struct str target = draw(2) ? STR("/") : evil();
        struct text out = text_in(m.arena, 8192);
        message_init(&again, m.arena);
        if (h1_write_request(&out, &m, target)) {
            struct lines lines = read_lines(text_str(&out));
            requests++;
            assert_int_equal(lines.bad, 0);
            assert_int_equal(lines.hosts, 1);
            assert_true(lines.lengths + lines.codings <= 1);
            if (m.content_length <= INT64_MAX) {
                /* An expectation beyond 100-continue is refused by who receives it. */
                enum parse read = h1_parse_request(text_str(&out), &limits, &again, &error);
                if (read != PARSE_DONE && error.status != 417)
                    fail_msg("%s: %.*s", error.why, STR_ARG(text_str(&out)));
            }
        } else {
            assert_int_equal(out.len, 0);
        }
        out.len = 0;
        if (h1_write_response(&out, &m)) {
            struct lines lines = read_lines(text_str(&out));
            answers++;
            assert_int_equal(lines.bad, 0);
            assert_true(lines.lengths + lines.codings <= 1);
        } else {
            assert_int_equal(out.len, 0);
        }
    }
    print_message("%u requests and %u answers of 60000 could be written\n", requests, answers);
    assert_true(requests > 1000 && answers > 1000);
}

static void whatever_trailers_hold_one_end_is_written_or_none(void **state)
{
    (void)state;
    unsigned written = 0;
    for (unsigned i = 0; i < 20000; i++) {
        fill_evil();
        struct text out = text_in(m.arena, 8192);
        if (!h1_chunk_end(&out, &m)) {
            assert_int_equal(out.len, 0);
            continue;
        }
        struct lines lines = read_lines(text_str(&out)); /* "0" is its first line */
        written++;
        assert_int_equal(lines.bad + lines.hosts + lines.lengths + lines.codings, 0);
    }
    assert_true(written > 500);
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
        ROW(a_request_has_one_host_that_could_be_one),
        ROW(a_method_that_could_not_come_does_not_go),
        ROW(fields_of_a_connection_go_only_when_they_are_ours),
        ROW(whatever_a_message_holds_one_head_is_written_or_none),
        ROW(whatever_trailers_hold_one_end_is_written_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
