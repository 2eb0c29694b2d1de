#include "http/h1_head.h"

#include "http/h1_chunked.h"
#include "http/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cases.h"

/* The defaults of `head_limit`. */
static const struct head_limits LIMITS = {
    .line_bytes_max = 8192, .fields_max = 100, .size_bytes_max = 32768};

/* Scans `bytes` as they grow by `step`; answers what the last call did. */
static enum parse scan(struct str bytes, size_t step, const struct head_limits *limits, size_t *len,
                       struct parse_error *error)
{
    struct h1_scan state = {0};
    enum parse result = PARSE_MORE;
    for (size_t n = 0; n < bytes.len && result == PARSE_MORE;) {
        n = n + step < bytes.len ? n + step : bytes.len;
        /* A copy of its own size, so that a sanitizer sees a read behind the end. */
        char *copy = malloc(n);
        memcpy(copy, bytes.at, n);
        result = h1_scan_head(&state, str_from(copy, n), limits, len, error);
        free(copy);
    }
    return result;
}

/* The body of `message` in `rest`: DONE, MORE or BAD. */
static enum parse read_body(const struct message *message, struct str rest,
                            struct parse_error *error)
{
    struct h1_chunked chunked;
    struct str data;
    enum parse result = PARSE_MORE;
    if (message->framing == BODY_LENGTH)
        return rest.len >= message->content_length ? PARSE_DONE : PARSE_MORE;
    if (message->framing != BODY_CHUNKED)
        return PARSE_DONE;
    h1_chunked_init(&chunked, &LIMITS, NULL);
    while (result == PARSE_MORE && rest.len)
        result = h1_chunked_feed(&chunked, &rest, &data, error);
    return result;
}

/* What a front would answer: 200, the status of the refusal, or 0 when bytes are missing. */
static unsigned read_request(struct arena *arena, struct str bytes, size_t step,
                             struct message *message)
{
    struct parse_error error = {0};
    struct uri uri;
    size_t len = 0;
    message_init(message, arena);
    enum parse result = scan(bytes, step, &LIMITS, &len, &error);
    if (result == PARSE_DONE)
        result = h1_parse_request(str_sub(bytes, 0, len), &LIMITS, message, &error);
    if (result == PARSE_DONE)
        result = uri_parse(arena, message->target, &uri, &error);
    if (result == PARSE_DONE)
        result = read_body(message, str_skip(bytes, len), &error);
    if (result == PARSE_BAD)
        return error.status;
    return result == PARSE_DONE ? 200 : 0;
}

/* What a front would pass on: the status, or 502. */
static unsigned read_response(struct arena *arena, struct str bytes, size_t step,
                              struct message *message)
{
    struct parse_error error = {0};
    size_t len = 0;
    message_init(message, arena);
    if (scan(bytes, step, &LIMITS, &len, &error) != PARSE_DONE ||
        h1_parse_response(str_sub(bytes, 0, len), &LIMITS, METHOD_GET, message, &error) !=
            PARSE_DONE)
        return 502;
    return message->status;
}

typedef unsigned reader(struct arena *, struct str, size_t, struct message *);

static unsigned run_cases(const char *path, reader *read)
{
    struct arena *all = arena_new(64 << 20, 1 << 20);
    struct case_reader cases = case_open(all, path);
    struct test_case row;
    unsigned count = 0, failed = 0;
    for (; case_next(&cases, &row); count++) {
        struct arena *arena = arena_new(1 << 20, 4096);
        struct message message;
        /* Long ones are cut less finely: the copies would cost seconds. */
        size_t steps[] = {row.bytes.len + 1, row.bytes.len > 2000 ? 511 : 1, 7 + row.bytes.len / 9};
        for (size_t i = 0; i < 3; i++) {
            unsigned status = read(arena, row.bytes, steps[i], &message);
            if (case_expects(&row, status))
                continue;
            print_error("%.*s: %u, not %u\n", STR_ARG(row.name), status, row.expect[0]);
            failed++;
        }
        arena_end(arena);
    }
    arena_end(all);
    assert_int_equal(failed, 0);
    return count;
}

static void every_request_of_the_table_gets_its_status(void **state)
{
    (void)state;
    assert_true(run_cases(PC_SOURCE_DIR "/tests/e2e/cases/requests.json", read_request) >= 590);
}

static void every_answer_of_the_table_passes_or_is_a_502(void **state)
{
    (void)state;
    assert_true(run_cases(PC_SOURCE_DIR "/tests/e2e/cases/responses.json", read_response) >= 145);
}

/* --- every byte at every place -----------------------------------------------------------------
 */

#define ALPHA "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGIT "0123456789"
/* tchar of RFC 9110 5.6.2 */
#define TCHAR "!#$%&'*+-.^_`|~" DIGIT ALPHA
/* pchar and '/' of RFC 3986 3.3 without '%', and what browsers send raw beside it */
#define PATH "-._~!$&'()*+,;=:@/" DIGIT ALPHA "\"<>[]^`{|}"
/* SP, HTAB and VCHAR; obs-text is a flag of its own */
#define TEXT "\t !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~" DIGIT ALPHA
#define HEAD "GET / HTTP/1.1\r\nHost: a\r\n"
#define BODY "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

struct place {
    const char *before, *behind;
    const char *allowed; /* written from the RFCs, not from the program's table */
    bool obs_text;       /* and 0x80 to 0xff */
};

static const struct place REQUEST_PLACES[] = {
    {"", HEAD "\r\n", TCHAR, false},
    {"G", "T / HTTP/1.1\r\nHost: a\r\n\r\n", TCHAR, false},
    {"GET", "/ HTTP/1.1\r\nHost: a\r\n\r\n", " ", false},
    {"GET ", "x HTTP/1.1\r\nHost: a\r\n\r\n", "/", false},
    {"GET /a", "b HTTP/1.1\r\nHost: a\r\n\r\n", PATH "?", false},
    {"GET /a%", "5 HTTP/1.1\r\nHost: a\r\n\r\n", "23456789abcdefABCDEF", false},
    {"GET /a%5", " HTTP/1.1\r\nHost: a\r\n\r\n", "0123456789abdefABDEF", false},
    {"GET /?", " HTTP/1.1\r\nHost: a\r\n\r\n", PATH "?%\\", false},
    {"GET /", "HTTP/1.1\r\nHost: a\r\n\r\n", " ", false},
    {"GET / ", "TTP/1.1\r\nHost: a\r\n\r\n", "H", false},
    {"GET / HTTP", "1.1\r\nHost: a\r\n\r\n", "/", false},
    {"GET / HTTP/", ".1\r\nHost: a\r\n\r\n", "1", false},
    {"GET / HTTP/1", "1\r\nHost: a\r\n\r\n", ".", false},
    {"GET / HTTP/1.", "\r\nHost: a\r\n\r\n", DIGIT, false},
    {"GET / HTTP/1.1", "\r\nHost: a\r\n\r\n", "", false},
    {"GET / HTTP/1.1", "\nHost: a\r\n\r\n", "\r", false},
    {"GET / HTTP/1.1\r", "\nHost: a\r\n\r\n", "", false},
    {"GET / HTTP/1.1\r", "Host: a\r\n\r\n", "\n", false},
    {HEAD, "X: y\r\n\r\n", TCHAR, false},
    {HEAD "X", "Y: z\r\n\r\n", TCHAR ":", false},
    {HEAD "X", ": z\r\n\r\n", TCHAR ":", false},
    {HEAD "X", " z\r\n\r\n", ":", false},
    {HEAD "X:", "y\r\n\r\n", TEXT, true},
    {HEAD "X: a", "b\r\n\r\n", TEXT, true},
    {HEAD "X: y", "\r\n\r\n", TEXT, true},
    {HEAD "X:", "\r\n\r\n", TEXT, true},
    {HEAD "X: y", "\nZ: z\r\n\r\n", "\r", false},
    {HEAD "X: y\r", "\nZ: z\r\n\r\n", "", false},
    {HEAD "X: y\r", "Z: z\r\n\r\n", "\n", false},
    {HEAD "X: y\r\n", "\r\n", "", false},
    {HEAD "X: y\r\n\r", "", "\n", false},
    {"GET / HTTP/1.1\r\nHost: a", "b\r\n\r\n", "-._" DIGIT ALPHA, false},
    {"GET / HTTP/1.1\r\nHost: a:8", "\r\n\r\n", DIGIT "\t ", false},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ", "\r\n\r\n123456789", DIGIT, false},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5", "\r\n\r\nhello", "\t ", false},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:", "chunked\r\n\r\n0\r\n\r\n", "\t ", false},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked", "\r\n\r\n0\r\n\r\n", "\t ", false},
    {BODY, "\r\nhello\r\n0\r\n\r\n", "5", false},
    {BODY "5", "\r\nhello\r\n0\r\n\r\n", "", false},
    {BODY "5;a", "b\r\nhello\r\n0\r\n\r\n", TCHAR ";=", false},
    {BODY "5;a=b", "c\r\nhello\r\n0\r\n\r\n", TCHAR ";", false},
    {BODY "5;a=\"b", "c\"\r\nhello\r\n0\r\n\r\n", "\t !#$%&'()*+,-./:;<=>?@[\\]^_`{|}~" DIGIT ALPHA,
     true},
    {BODY "5;a=\"b\\", "c\"\r\nhello\r\n0\r\n\r\n", TEXT, true},
    {BODY "5", "\nhello\r\n0\r\n\r\n", "\r", false},
    {BODY "5\r", "hello\r\n0\r\n\r\n", "\n", false},
    {BODY "5\r\nhello", "\n0\r\n\r\n", "\r", false},
    {BODY "5\r\nhello\r", "0\r\n\r\n", "\n", false},
    {BODY "5\r\nhello\r\n", "\r\n\r\n", "0", false},
    {BODY "0\r\n", "X: y\r\n\r\n", TCHAR, false},
    {BODY "0\r\nX", "Y: z\r\n\r\n", TCHAR ":", false},
    {BODY "0\r\nX: a", "b\r\n\r\n", TEXT, true},
    {BODY "0\r\nX: y\r", "\r\n", "\n", false},
    {BODY "0\r\n", "\n", "\r", false},
    {BODY "0\r\n\r", "", "\n", false},
};

static const struct place ANSWER_PLACES[] = {
    {"", "HTTP/1.1 200 OK\r\n\r\n", "", false},
    {"", "TTP/1.1 200 OK\r\n\r\n", "H", false},
    {"HTTP/", ".1 200 OK\r\n\r\n", "1", false},
    {"HTTP/1.", " 200 OK\r\n\r\n", DIGIT, false},
    {"HTTP/1.1", "200 OK\r\n\r\n", " ", false},
    {"HTTP/1.1 ", "00 OK\r\n\r\n", "12345", false},
    {"HTTP/1.1 3", "0 OK\r\n\r\n", DIGIT, false},
    {"HTTP/1.1 30", " OK\r\n\r\n", DIGIT, false},
    {"HTTP/1.1 200", "OK\r\n\r\n", " ", false},
    {"HTTP/1.1 200", "\r\n\r\n", " ", false},
    {"HTTP/1.1 200 O", "K\r\n\r\n", TEXT, true},
    {"HTTP/1.1 200 OK", "\nX: y\r\n\r\n", "\r", false},
    {"HTTP/1.1 200 OK\r", "X: y\r\n\r\n", "\n", false},
    {"HTTP/1.1 200 OK\r\n", "X: y\r\n\r\n", TCHAR, false},
    {"HTTP/1.1 200 OK\r\nX", "Y: z\r\n\r\n", TCHAR ":", false},
    {"HTTP/1.1 200 OK\r\nX: a", "b\r\n\r\n", TEXT, true},
    {"HTTP/1.1 200 OK\r\nX: y\r", "\nZ: z\r\n\r\n", "", false},
    {"HTTP/1.1 200 OK\r\nX: y\r\n\r", "", "\n", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: ", "\r\n\r\n", DIGIT, false},
};

static void run_places(const struct place *places, size_t count, reader *read)
{
    unsigned failed = 0;
    for (size_t i = 0; i < count; i++) {
        size_t before = strlen(places[i].before), behind = strlen(places[i].behind);
        for (unsigned c = 0; c < 256; c++) {
            char bytes[256];
            bool allowed = c >= 0x80 ? places[i].obs_text
                                     : c != 0 && strchr(places[i].allowed, (int)c) != NULL;
            memcpy(bytes, places[i].before, before);
            bytes[before] = (char)(unsigned char)c;
            memcpy(bytes + before + 1, places[i].behind, behind);
            for (size_t step = 1; step < 512; step += 511) {
                struct arena *arena = arena_new(1 << 20, 4096);
                struct message message;
                unsigned status = read(arena, str_from(bytes, before + 1 + behind), step, &message);
                bool passed = read == read_response ? status < 502 : status == 200;
                if (passed != allowed) {
                    print_error("0x%02x behind %s: %u\n", c, places[i].before, status);
                    failed++;
                }
                arena_end(arena);
            }
        }
    }
    assert_int_equal(failed, 0);
}

static void every_byte_of_a_request_stands_where_the_grammar_lets_it(void **state)
{
    (void)state;
    run_places(REQUEST_PLACES, sizeof REQUEST_PLACES / sizeof REQUEST_PLACES[0], read_request);
}

static void every_byte_of_an_answer_stands_where_the_grammar_lets_it(void **state)
{
    (void)state;
    run_places(ANSWER_PLACES, sizeof ANSWER_PLACES / sizeof ANSWER_PLACES[0], read_response);
}

/* --- limits ----------------------------------------------------------------------------------- */

static unsigned scan_status(const char *bytes, const struct head_limits *limits)
{
    unsigned first = 0;
    size_t all = strlen(bytes);
    for (size_t step = 1; step <= all; step++) {
        struct parse_error error = {0};
        size_t len = 0;
        enum parse result = scan(str_from_z(bytes), step, limits, &len, &error);
        unsigned status = result == PARSE_DONE ? 200 : result == PARSE_BAD ? error.status : 0;
        if (step == 1)
            first = status;
        assert_int_equal(status, first);
    }
    return first;
}

static void each_limit_has_two_sides(void **state)
{
    (void)state;
    const char *head = "GET /234567 HTTP/1.1\r\nA: 34567890123456789\r\nB: 1\r\n\r\n";
    struct head_limits exact = {20, 2, (uint32_t)strlen(head)};
    struct head_limits limits = exact;
    assert_int_equal(scan_status(head, &limits), 200);
    limits.line_bytes_max = 19;
    assert_int_equal(scan_status(head, &limits), 414);
    assert_int_equal(scan_status("GET / HTTP/1.1\r\nA: 34567890123456789\r\n", &limits), 431);
    limits = exact;
    limits.fields_max = 1;
    assert_int_equal(scan_status(head, &limits), 431);
    limits = exact;
    limits.size_bytes_max--;
    assert_int_equal(scan_status(head, &limits), 431);
    limits.size_bytes_max = 10;
    assert_int_equal(scan_status(head, &limits), 414);
}

static void what_cannot_become_a_head_is_seen_at_once(void **state)
{
    (void)state;
    assert_int_equal(scan_status("\x16", &LIMITS), 400);
    assert_int_equal(scan_status("{", &LIMITS), 400);
    assert_int_equal(scan_status("\n", &LIMITS), 400);
    assert_int_equal(scan_status("GET / HTTP/1.1\r\nX: \n", &LIMITS), 400);
    assert_int_equal(scan_status("GET / HTTP/1.1\r\nX: a\r\n ", &LIMITS), 400);
    assert_int_equal(scan_status("GET / HTTP/1.1\r\nX: a\r", &LIMITS), 0);
}

static void the_head_ends_where_the_body_begins(void **state)
{
    (void)state;
    struct parse_error error;
    size_t len = 0;
    struct str bytes = STR("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /");
    for (size_t step = 1; step < bytes.len; step++) {
        assert_int_equal(scan(bytes, step, &LIMITS, &len, &error), PARSE_DONE);
        assert_int_equal(len, bytes.len - 5);
    }
}

/* --- what is read -------------------------------------------------------------------------------
 */

static void a_request_is_read_as_it_stands(void **state)
{
    (void)state;
    struct arena *arena = arena_new(65536, 4096);
    struct message m;
    struct str bytes = STR("PUT /a?b HTTP/1.1\r\nhOsT: a.test:80\r\nX-y: \t v w \r\n"
                           "Expect: 100-continue\r\nContent-Length: 7\r\n\r\n1234567");
    assert_int_equal(read_request(arena, bytes, 1000, &m), 200);
    assert_true(str_eq(m.method_text, STR("PUT")) && m.method == METHOD_PUT);
    assert_true(str_eq(m.target, STR("/a?b")));
    assert_int_equal(m.version, 11);
    assert_int_equal(m.count, 4);
    assert_true(str_eq(m.fields[0].name, STR("hOsT")));
    assert_int_equal(m.fields[0].id, HEADER_HOST);
    assert_true(str_eq(message_find(&m, STR("x-Y"))->value, STR("v w")));
    assert_int_equal(m.framing, BODY_LENGTH);
    assert_int_equal(m.content_length, 7);
    assert_true(m.expect_continue);
    assert_false(m.close);
    arena_end(arena);
}

static void the_version_and_connection_say_whether_it_is_the_last(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool close;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", true},
        {"GET / HTTP/1.0\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena *arena = arena_new(65536, 4096);
        struct message m;
        assert_int_equal(read_request(arena, str_from_z(rows[i].head), 1000, &m), 200);
        assert_int_equal(m.close, rows[i].close);
        arena_end(arena);
    }
}

static void an_absolute_form_gives_scheme_and_authority(void **state)
{
    (void)state;
    struct arena *arena = arena_new(65536, 4096);
    struct message m;
    struct str bytes = STR("GET HTTPS://A:443?x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(read_request(arena, bytes, 1000, &m), 200);
    assert_true(str_eq(m.scheme, STR("https")));
    assert_true(str_eq(m.authority, STR("A:443")));
    arena_end(arena);
}

static void an_answer_is_framed_by_request_status_and_fields(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        uint8_t method, framing;
        bool close;
        uint64_t length;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", METHOD_GET, BODY_LENGTH, false, 5},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", METHOD_GET, BODY_NONE, false, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", METHOD_HEAD, BODY_NONE, false, 5},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", METHOD_GET, BODY_CHUNKED, false,
         0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", METHOD_HEAD, BODY_NONE, false, 0},
        {"HTTP/1.1 200 OK\r\n\r\n", METHOD_GET, BODY_TO_END, true, 0},
        {"HTTP/1.1 200 OK\r\n\r\n", METHOD_HEAD, BODY_NONE, false, 0},
        {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", METHOD_GET, BODY_LENGTH, true, 5},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", METHOD_GET, BODY_NONE, false, 5},
        {"HTTP/1.1 204 No Content\r\n\r\n", METHOD_GET, BODY_NONE, false, 0},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", METHOD_GET, BODY_NONE, false, 0},
        {"HTTP/1.1 100 Continue\r\n\r\n", METHOD_POST, BODY_NONE, false, 0},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", METHOD_GET, BODY_NONE, false, 0},
        {"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", METHOD_GET, BODY_NONE, false,
         0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena *arena = arena_new(65536, 4096);
        struct message m;
        struct parse_error error = {0};
        message_init(&m, arena);
        assert_int_equal(h1_parse_response(str_from_z(rows[i].head), &LIMITS,
                                           (enum method)rows[i].method, &m, &error),
                         PARSE_DONE);
        if (m.framing != rows[i].framing || m.close != rows[i].close ||
            m.content_length != rows[i].length)
            fail_msg("row %zu", i);
        arena_end(arena);
    }
}

static void an_arena_at_its_cap_is_a_refusal(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 4; n++) {
        struct arena *arena = arena_new(65536, 4096);
        struct message m;
        arena_fail_at(n);
        unsigned status = read_request(arena, STR("GET //x HTTP/1.1\r\nHost: A\r\n\r\n"), 99, &m);
        arena_fail_at(0);
        assert_true(status == 431 || status == 400 || (n > 2 && status == 200));
        arena_end(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_of_the_table_gets_its_status),
        cmocka_unit_test(every_answer_of_the_table_passes_or_is_a_502),
        cmocka_unit_test(every_byte_of_a_request_stands_where_the_grammar_lets_it),
        cmocka_unit_test(every_byte_of_an_answer_stands_where_the_grammar_lets_it),
        cmocka_unit_test(each_limit_has_two_sides),
        cmocka_unit_test(what_cannot_become_a_head_is_seen_at_once),
        cmocka_unit_test(the_head_ends_where_the_body_begins),
        cmocka_unit_test(a_request_is_read_as_it_stands),
        cmocka_unit_test(the_version_and_connection_say_whether_it_is_the_last),
        cmocka_unit_test(an_absolute_form_gives_scheme_and_authority),
        cmocka_unit_test(an_answer_is_framed_by_request_status_and_fields),
        cmocka_unit_test(an_arena_at_its_cap_is_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
