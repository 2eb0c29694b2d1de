#include "http/h1_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct head_limits LIMITS = {
    .line_bytes_max = 128, .fields_max = 8, .size_bytes_max = 512};

/* 200 for a request that parses, 0 for one that is not whole, else the status. */
static unsigned request(struct arena *arena, struct str bytes, size_t step, struct message *message)
{
    struct h1_scan scan = {0};
    struct parse_error error = {0};
    size_t len = 0;
    enum parse result = PARSE_MORE;
    message_init(message, arena);
    for (size_t n = 0; n < bytes.len && result == PARSE_MORE;) {
        n = n + step < bytes.len ? n + step : bytes.len;
        result = h1_scan_head(&scan, str_sub(bytes, 0, n), &LIMITS, &len, &error);
    }
    if (result == PARSE_MORE)
        return 0;
    if (result == PARSE_DONE)
        result = h1_parse_request(str_sub(bytes, 0, len), &LIMITS, message, &error);
    return result == PARSE_DONE ? 200 : error.status;
}

static const struct {
    const char *bytes;
    unsigned status;
} requests[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200},
    {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 200},
    {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\n\r", 0},
    {"GET / HTTP/1.1\nHost: a\n\n", 400},
    {"\x16\x03\x01\x02", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nA:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\nF:1\r\nG:1\r\n\r\n", 200},
    {"GET / HTTP/1.1\r\nHost: a\r\nA:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\nF:1\r\nG:1\r\nH:1\r\n\r\n",
     431},
    {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 200},
    {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
    {"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET http://A:80/x HTTP/1.1\r\nHost: a\r\n\r\n", 200},
    {"GET https://A:80/x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417},
    {"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405},
};

static void requests_read_the_same_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct arena *arena = arena_new(65536, 4096);
        struct message message;
        struct str bytes = str_from_z(requests[i].bytes);
        for (size_t step = 1; step <= bytes.len; step++) {
            unsigned status = request(arena, bytes, step, &message);
            if (status != requests[i].status)
                fail_msg("%u, not %u: %s", status, requests[i].status, requests[i].bytes);
        }
        arena_end(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_read_the_same_however_they_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
