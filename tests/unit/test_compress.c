#include "files/compress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena *arena;
static const struct compress_conf on;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(8 << 20, 65536);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_end(arena);
    return 0;
}

static void add_fields(struct message *message, const char *fields)
{
    struct str rest = str_from_z(fields), line;
    while (str_split(&rest, '|', &line)) {
        size_t colon = str_find_byte(line, ':');
        assert_true(message_add(message, str_sub(line, 0, colon), str_skip(line, colon + 2)));
    }
}

struct exchange {
    struct message request, response;
    struct compress_plan plan;
    enum coding coding;
};

/* `len` below 0: not known. */
static void run(struct exchange *x, const char *request, unsigned status, int64_t len,
                const char *response, const struct compress_conf *conf)
{
    x->plan = (struct compress_plan){0};
    message_init(&x->request, arena);
    message_init(&x->response, arena);
    x->request.method = METHOD_GET;
    add_fields(&x->request, request);
    compress_prepare(&x->plan, conf, &x->request);
    x->response.method = x->request.method;
    x->response.status = (uint16_t)status;
    x->response.framing = len > 0 ? BODY_LENGTH : len < 0 ? BODY_CHUNKED : BODY_NONE;
    x->response.has_content_length = len >= 0;
    x->response.content_length = len > 0 ? (uint64_t)len : 0;
    add_fields(&x->response, response);
    x->coding = compress_answer(&x->plan, &x->response);
}

static void assert_value(const struct message *message, enum header_id id, const char *value)
{
    struct str is = message_value(message, id);
    if (!str_eq(is, str_from_z(value)))
        fail_msg("%.*s is \"%.*s\", not \"%s\"", STR_ARG(header_name(id)), STR_ARG(is), value);
}

#define GZ "Accept-Encoding: gzip"
#define HTML "Content-Type: text/html; charset=utf-8"

static void what_is_compressed_and_what_varies(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        unsigned status;
        int64_t len;
        const char *response;
        enum coding coding;
        bool varies;
    } cases[] = {
        {GZ, 200, 5000, HTML, CODING_GZIP, true},
        {GZ, 200, 1024, HTML, CODING_GZIP, true},
        {GZ, 200, 1023, HTML, CODING_IDENTITY, false},
        {GZ, 200, -1, HTML, CODING_GZIP, true},
        {GZ, 404, 5000, HTML, CODING_GZIP, true},
        {GZ, 200, 5000, "Content-Type: application/dicom+json", CODING_GZIP, true},
        {"Accept-Encoding: gzip, deflate, br, zstd", 200, 5000, HTML, CODING_ZSTD, true},
        {"", 200, 5000, HTML, CODING_IDENTITY, true},
        {"Accept-Encoding: deflate", 200, 5000, HTML, CODING_IDENTITY, true},
        /* not text */
        {GZ, 200, 5000, "Content-Type: image/png", CODING_IDENTITY, false},
        {GZ, 200, 5000, "Content-Type: application/octet-stream", CODING_IDENTITY, false},
        {GZ, 200, 5000, "", CODING_IDENTITY, false},
        {GZ, 200, -1, "Content-Type: text/event-stream", CODING_IDENTITY, false},
        /* compressed already, or about bytes as they are */
        {GZ, 200, 5000, HTML "|Content-Encoding: br", CODING_IDENTITY, false},
        {GZ, 200, 5000, HTML "|Content-Encoding: identity", CODING_IDENTITY, false},
        {GZ, 200, 5000, HTML "|Cache-Control: max-age=1, no-transform", CODING_IDENTITY, false},
        {GZ, 200, 5000, HTML "|Content-Digest: sha-256=:AA==:", CODING_IDENTITY, false},
        {GZ, 200, 5000, HTML "|Content-MD5: AA==", CODING_IDENTITY, false},
        {GZ "|Cache-Control: no-transform", 200, 5000, HTML, CODING_IDENTITY, true},
        {GZ, 206, 5000, HTML "|Content-Range: bytes 0-4999/9999", CODING_IDENTITY, false},
        {GZ, 416, 5000, HTML "|Content-Range: bytes */9999", CODING_IDENTITY, false},
        {GZ, 204, 0, HTML, CODING_IDENTITY, false},
        {GZ, 205, 0, HTML, CODING_IDENTITY, false},
        {GZ, 304, 0, HTML, CODING_IDENTITY, false},
        {GZ, 200, 0, HTML, CODING_IDENTITY, false},
        {GZ, 101, 0, HTML, CODING_IDENTITY, false},
        /* cross-site */
        {GZ "|Sec-Fetch-Site: cross-site", 200, 5000, HTML, CODING_IDENTITY, true},
        {GZ "|Sec-Fetch-Site: same-site", 200, 5000, HTML, CODING_GZIP, true},
        {GZ "|Sec-Fetch-Site: same-origin", 200, 5000, HTML, CODING_GZIP, true},
        {GZ "|Sec-Fetch-Site: none", 200, 5000, HTML, CODING_GZIP, true},
        {GZ "|Host: a.example|Origin: https://a.example", 200, 5000, HTML, CODING_GZIP, true},
        {GZ "|Host: a.example|Origin: https://b.example", 200, 5000, HTML, CODING_IDENTITY, true},
        {GZ "|Host: a.example|Origin: null", 200, 5000, HTML, CODING_IDENTITY, true},
        {GZ "|Host: a.example|Origin: https://b.example|Sec-Fetch-Site: same-site", 200, 5000, HTML,
         CODING_GZIP, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct exchange x;
        run(&x, cases[i].request, cases[i].status, cases[i].len, cases[i].response, &on);
        if (x.coding != cases[i].coding ||
            (message_get(&x.response, HEADER_VARY) != NULL) != cases[i].varies)
            fail_msg("case %zu: %s -> %s: %d", i, cases[i].request, cases[i].response,
                     (int)x.coding);
        if (x.coding == CODING_IDENTITY)
            assert_int_equal(x.response.has_content_length, cases[i].len >= 0);
    }
}

static void the_head_says_what_was_done(void **state)
{
    (void)state;
    struct exchange x;
    run(&x, GZ, 200, 5000,
        HTML "|Content-Length: 5000|Accept-Ranges: bytes|ETag: \"abc\"|Vary: Cookie|Vary: Origin",
        &on);
    assert_int_equal(x.coding, CODING_GZIP);
    assert_value(&x.response, HEADER_CONTENT_ENCODING, "gzip");
    assert_value(&x.response, HEADER_ETAG, "W/\"abc-pc.gz\"");
    assert_value(&x.response, HEADER_VARY, "Cookie, Origin, Accept-Encoding");
    assert_null(message_get(&x.response, HEADER_CONTENT_LENGTH));
    assert_null(message_get(&x.response, HEADER_ACCEPT_RANGES));
    assert_false(x.response.has_content_length);
    assert_int_equal(x.response.framing, BODY_CHUNKED);
    run(&x, GZ, 200, 5000, HTML "|ETag: W/\"abc\"|Vary: accept-encoding", &on);
    assert_value(&x.response, HEADER_ETAG, "W/\"abc\"");
    assert_value(&x.response, HEADER_VARY, "accept-encoding");
    run(&x, GZ, 200, 5000, HTML "|ETag: abc|Vary: *", &on);
    assert_value(&x.response, HEADER_ETAG, "");
    assert_value(&x.response, HEADER_VARY, "*");
    run(&x, "", 200, 5000, HTML "|ETag: \"abc\"", &on);
    assert_value(&x.response, HEADER_ETAG, "\"abc\"");
    assert_value(&x.response, HEADER_VARY, "Accept-Encoding");
    assert_int_equal(x.response.framing, BODY_LENGTH);
}

static void a_head_request_gets_the_fields_of_a_get(void **state)
{
    (void)state;
    struct exchange x = {0};
    message_init(&x.request, arena);
    message_init(&x.response, arena);
    x.request.method = x.response.method = METHOD_HEAD;
    add_fields(&x.request, GZ);
    compress_prepare(&x.plan, &on, &x.request);
    x.response.status = 200;
    x.response.has_content_length = true;
    x.response.content_length = 5000;
    add_fields(&x.response, HTML "|ETag: \"abc\"");
    assert_int_equal(compress_answer(&x.plan, &x.response), CODING_IDENTITY);
    assert_value(&x.response, HEADER_CONTENT_ENCODING, "gzip");
    assert_value(&x.response, HEADER_ETAG, "W/\"abc-pc.gz\"");
    assert_false(x.response.has_content_length);
    assert_int_equal(x.response.framing, BODY_NONE);
}

static void our_tags_reach_the_origin_as_its_own(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *restored, *asked_match, *restored_match;
    } cases[] = {
        {"W/\"abc-pc.gz\"", "\"abc\"", "W/\"abc-pc.gz\"", "\"abc\""},
        {"W/\"abc\"", "W/\"abc\"", "\"abc\"", "\"abc\""},
        {"\"abc-pc.gz\"", "\"abc-pc.gz\"", "*", "*"},
        {"W/\"abc-pc.br\"", "W/\"abc-pc.br\"", "W/\"x-pc.zst\"", "W/\"x-pc.zst\""},
        {"\"x\", W/\"abc-pc.gz\",W/\"y\"", "\"x\", \"abc\", W/\"y\"", "\"x\"", "\"x\""},
        {"*", "*", "W/\"-pc.gz\"", "\"\""},
        {"W/\"abc-pc.gz\", junk", "W/\"abc-pc.gz\", junk", "junk", "junk"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message request;
        struct compress_plan plan = {0};
        char fields[256];
        snprintf(fields, sizeof fields, GZ "|If-None-Match: %s|If-Match: %s", cases[i].asked,
                 cases[i].asked_match);
        message_init(&request, arena);
        add_fields(&request, fields);
        compress_prepare(&plan, &on, &request);
        assert_value(&request, HEADER_IF_NONE_MATCH, cases[i].restored);
        assert_value(&request, HEADER_IF_MATCH, cases[i].restored_match);
        struct str asked = plan.asked;
        compress_prepare(&plan, &on, &request); /* again, for the origin behind `else` */
        assert_true(str_eq(plan.asked, asked));
        assert_value(&request, HEADER_IF_NONE_MATCH, cases[i].restored);
    }
}

static void a_304_has_the_tag_the_client_knows(void **state)
{
    (void)state;
    static const struct {
        const char *request, *etag, *answered;
        bool varies;
    } cases[] = {
        {GZ "|If-None-Match: W/\"abc-pc.gz\"", "\"abc\"", "W/\"abc-pc.gz\"", true},
        {GZ "|If-None-Match: \"x\", W/\"abc-pc.gz\"", "\"abc\"", "W/\"abc-pc.gz\"", true},
        {GZ ", br|If-None-Match: W/\"abc-pc.gz\", W/\"abc-pc.br\"", "\"abc\"", "W/\"abc-pc.br\"",
         true},
        {GZ "|If-None-Match: \"abc\"", "\"abc\"", "\"abc\"", false},
        {GZ "|If-None-Match: W/\"abc-pc.gz\"", "\"other\"", "\"other\"", false},
        {GZ "|If-None-Match: W/\"abc-pc.gz\"", "W/\"abc\"", "W/\"abc\"", false},
        {"If-None-Match: W/\"abc-pc.gz\"", "\"abc\"", "\"abc\"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct exchange x;
        char etag[64];
        snprintf(etag, sizeof etag, "ETag: %s", cases[i].etag);
        run(&x, cases[i].request, 304, 0, etag, &on);
        assert_int_equal(x.coding, CODING_IDENTITY);
        assert_value(&x.response, HEADER_ETAG, cases[i].answered);
        assert_int_equal(message_get(&x.response, HEADER_VARY) != NULL, cases[i].varies);
    }
}

static void the_types_of_a_route_replace_the_usual_ones(void **state)
{
    (void)state;
    static const struct str types[] = {STR_INIT("application/dicom"), STR_INIT("audio/*"),
                                       STR_INIT("model/")};
    const struct compress_conf conf = {.types = types, .type_count = 3};
    struct exchange x;
    run(&x, GZ, 200, 5000, "Content-Type: Application/Dicom; a=b", &conf);
    assert_int_equal(x.coding, CODING_GZIP);
    run(&x, GZ, 200, 5000, "Content-Type: audio/wav", &conf);
    assert_int_equal(x.coding, CODING_GZIP);
    run(&x, GZ, 200, 5000, "Content-Type: model/stl", &conf);
    assert_int_equal(x.coding, CODING_GZIP);
    run(&x, GZ, 200, 5000, "Content-Type: audio", &conf);
    assert_int_equal(x.coding, CODING_IDENTITY);
    run(&x, GZ, 200, 5000, HTML, &conf);
    assert_int_equal(x.coding, CODING_IDENTITY);
    run(&x, GZ, 200, 5000, HTML, NULL);
    assert_int_equal(x.coding, CODING_IDENTITY);
    assert_null(message_get(&x.response, HEADER_VARY));
}

static void at_the_cap_an_answer_goes_out_as_it_is(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 12; n++) {
        struct exchange x = {0};
        message_init(&x.request, arena);
        message_init(&x.response, arena);
        add_fields(&x.request, GZ);
        compress_prepare(&x.plan, &on, &x.request);
        x.response.status = 200;
        x.response.framing = BODY_LENGTH;
        x.response.content_length = 5000;
        x.response.has_content_length = true;
        add_fields(&x.response, HTML "|ETag: \"abc\"|Vary: Cookie");
        arena_fail_at(n);
        enum coding coding = compress_answer(&x.plan, &x.response);
        arena_fail_at(0);
        assert_int_equal(coding != CODING_IDENTITY,
                         message_get(&x.response, HEADER_CONTENT_ENCODING) != NULL);
        assert_int_equal(coding != CODING_IDENTITY, !x.response.has_content_length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_compressed_and_what_varies),
        cmocka_unit_test(the_head_says_what_was_done),
        cmocka_unit_test(a_head_request_gets_the_fields_of_a_get),
        cmocka_unit_test(our_tags_reach_the_origin_as_its_own),
        cmocka_unit_test(a_304_has_the_tag_the_client_knows),
        cmocka_unit_test(the_types_of_a_route_replace_the_usual_ones),
        cmocka_unit_test(at_the_cap_an_answer_goes_out_as_it_is),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
