#include "http/h1_chunked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct head_limits LIMITS = {
    .line_bytes_max = 64, .fields_max = 3, .size_bytes_max = 160};

struct outcome {
    enum parse result;
    unsigned status;
    char body[8192];
    size_t body_len;
    size_t rest;
    uint32_t trailers;
};

/* Feeds `bytes` in pieces of `step` bytes, as a connection would. */
static void run(struct str bytes, size_t step, bool keep, struct outcome *outcome)
{
    struct arena *arena = arena_new(65536, 4096);
    struct message trailers;
    struct h1_chunked chunked;
    struct parse_error error = {0};
    *outcome = (struct outcome){.result = PARSE_MORE};
    message_init(&trailers, arena);
    h1_chunked_init(&chunked, &LIMITS, keep ? &trailers : NULL);
    while (bytes.len && outcome->result == PARSE_MORE) {
        struct str in = str_sub(bytes, 0, step);
        size_t before = in.len;
        do {
            struct str data;
            outcome->result = h1_chunked_feed(&chunked, &in, &data, &error);
            memcpy(outcome->body + outcome->body_len, data.at, data.len);
            outcome->body_len += data.len;
        } while (outcome->result == PARSE_MORE && in.len);
        bytes = str_skip(bytes, before - in.len);
    }
    outcome->status = error.status;
    outcome->rest = bytes.len;
    outcome->trailers = trailers.count;
    arena_end(arena);
}

static const struct {
    const char *bytes;
    enum parse result;
    const char *body;
} cases[] = {
    {"0\r\n\r\n", PARSE_DONE, ""},
    {"5\r\nhello\r\n0\r\n\r\n", PARSE_DONE, "hello"},
    {"000000000000005\r\nhello\r\n0000\r\n\r\n", PARSE_DONE, "hello"},
    {"0000000000000005\r\nhello\r\n0\r\n\r\n", PARSE_DONE, "hello"},
    {"00000000000000005\r\nhello\r\n0\r\n\r\n", PARSE_BAD, ""},
    {"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\nGET", PARSE_DONE, "01234567890123456789"},
    {"2;a=b\r\nab\r\n1;x;y=\"q\\\"; \"\r\nc\r\n0;last\r\n\r\n", PARSE_DONE, "abc"},
    {"1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n", PARSE_DONE, "a"},
    {"5\r\nhel", PARSE_MORE, "hel"},
    {"0\r\n", PARSE_MORE, ""},
    {"0\r\n\r", PARSE_MORE, ""},
    {"0\r\n\n", PARSE_BAD, ""},
    {"0\r\n\rX", PARSE_BAD, ""},
    {"\r\n", PARSE_BAD, ""},
    {";a\r\n", PARSE_BAD, ""},
    {" 5\r\n", PARSE_BAD, ""},
    {"5 \r\n", PARSE_BAD, ""},
    {"5 ;a\r\n", PARSE_BAD, ""},
    {"5; a\r\n", PARSE_BAD, ""},
    {"5;\r\n", PARSE_BAD, ""},
    {"5;a=\r\n", PARSE_BAD, ""},
    {"5;a =b\r\n", PARSE_BAD, ""},
    {"5;a=\"b\r\n", PARSE_BAD, ""},
    {"5;a=\"b\"c\r\n", PARSE_BAD, ""},
    {"5;a\n", PARSE_BAD, ""},
    {"0x5\r\n", PARSE_BAD, ""},
    {"+5\r\n", PARSE_BAD, ""},
    {"-1\r\n", PARSE_BAD, ""},
    {"5\nhello", PARSE_BAD, ""},
    {"5\rhello", PARSE_BAD, ""},
    {"5\r\nhello0\r\n\r\n", PARSE_BAD, "hello"},
    {"5\r\nhello\n0\r\n\r\n", PARSE_BAD, "hello"},
    {"5\r\nhello!\r\n0\r\n\r\n", PARSE_BAD, "hello"},
    {"8000000000000000\r\n", PARSE_BAD, ""},
    {"7fffffffffffffff\r\nx", PARSE_MORE, "x"},
    {"fffffffffffffffff\r\n", PARSE_BAD, ""},
    {"0\r\nContent-Length: 5\r\n\r\n", PARSE_BAD, ""},
    {"0\r\ntransfer-ENCODING: chunked\r\n\r\n", PARSE_BAD, ""},
    {"0\r\nHost: x\r\n\r\n", PARSE_BAD, ""},
    {"0\r\nTE: trailers\r\n\r\n", PARSE_BAD, ""},
    {"0\r\nContent-Lengthy: 5\r\n\r\n", PARSE_DONE, ""},
    {"0\r\nTransfer-Encoding-And-More: 5\r\n\r\n", PARSE_DONE, ""},
    {"0\r\nX : y\r\n\r\n", PARSE_BAD, ""},
    {"0\r\n: y\r\n\r\n", PARSE_BAD, ""},
    {"0\r\nX: y\r\n z\r\n\r\n", PARSE_BAD, ""},
    {"0\r\nX: y\n\r\n", PARSE_BAD, ""},
    {"0\r\nX: y\rz\r\n\r\n", PARSE_BAD, ""},
    {"0\r\nX: \x01\r\n\r\n", PARSE_BAD, ""},
    {"0\r\nno colon\r\n\r\n", PARSE_BAD, ""},
    {"0\r\nA:1\r\nB:2\r\nC:3\r\n\r\n", PARSE_DONE, ""},
    {"0\r\nA:1\r\nB:2\r\nC:3\r\nD:4\r\n\r\n", PARSE_BAD, ""},
};

static void every_case_reads_the_same_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str bytes = str_from_z(cases[i].bytes);
        struct outcome whole, pieces;
        run(bytes, bytes.len, true, &whole);
        if (whole.result != cases[i].result ||
            !str_eq(str_from(whole.body, whole.body_len), str_from_z(cases[i].body)))
            fail_msg("case %zu: %s", i, cases[i].bytes);
        for (size_t step = 1; step < bytes.len; step++) {
            run(bytes, step, step % 2 == 0, &pieces);
            assert_int_equal(pieces.result, whole.result);
            assert_int_equal(pieces.status, whole.status);
            assert_int_equal(pieces.rest, whole.rest);
            assert_int_equal(pieces.body_len, whole.body_len);
            assert_memory_equal(pieces.body, whole.body, whole.body_len);
        }
    }
}

static void what_follows_the_body_is_left(void **state)
{
    (void)state;
    struct outcome outcome;
    run(STR("1\r\na\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1"), 7, true, &outcome);
    assert_int_equal(outcome.result, PARSE_DONE);
    assert_int_equal(outcome.rest, 14);
    assert_int_equal(outcome.trailers, 1);
}

static void extensions_are_bounded_over_the_whole_body(void **state)
{
    (void)state;
    static char bytes[65536];
    struct text text = text_over(bytes, sizeof bytes);
    for (int i = 0; i < 500; i++)
        text_add(&text, STR("1;abcdef\r\nx\r\n")); /* six and the CR count */
    struct outcome outcome;
    run(text_str(&text), 100, false, &outcome);
    assert_int_equal(outcome.result, PARSE_MORE);
    for (int i = 0; i < 100; i++)
        text_add(&text, STR("1;abcdef\r\nx\r\n"));
    run(text_str(&text), 100, false, &outcome);
    assert_int_equal(outcome.result, PARSE_BAD);
}

static void a_trailer_line_and_section_have_both_sides_of_their_limits(void **state)
{
    (void)state;
    char line[128], bytes[512];
    struct outcome outcome;
    memset(line, 'v', sizeof line);
    for (int len = 63; len <= 66; len++) {
        snprintf(bytes, sizeof bytes, "0\r\nX:%.*s\r\n\r\n", len - 2, line);
        run(str_from_z(bytes), 1, true, &outcome);
        assert_int_equal(outcome.result, len <= 64 ? PARSE_DONE : PARSE_BAD);
        assert_int_equal(outcome.status, len <= 64 ? 0 : 431);
    }
    for (int last = 20; last <= 30; last++) {
        snprintf(bytes, sizeof bytes, "0\r\nX:%.*s\r\nY:%.*s\r\nZ:%.*s\r\n\r\n", 60, line, 60, line,
                 last, line);
        run(str_from_z(bytes), 3, true, &outcome);
        assert_int_equal(outcome.result, 64 + 64 + 4 + last + 2 <= 160 ? PARSE_DONE : PARSE_BAD);
    }
}

static void a_broken_body_stays_broken(void **state)
{
    (void)state;
    struct h1_chunked chunked;
    struct parse_error error;
    struct str in = STR("zz0\r\n\r\n"), data;
    h1_chunked_init(&chunked, &LIMITS, NULL);
    assert_int_equal(h1_chunked_feed(&chunked, &in, &data, &error), PARSE_BAD);
    in = STR("0\r\n\r\n");
    assert_int_equal(h1_chunked_feed(&chunked, &in, &data, &error), PARSE_BAD);
}

static void what_is_encoded_decodes(void **state)
{
    (void)state;
    struct arena *arena = arena_new(8192, 1024);
    struct message trailers;
    struct outcome outcome;
    struct text out = text_in(arena, 4096);
    message_init(&trailers, arena);
    assert_true(message_add(&trailers, STR("X-Sum"), STR("1")));
    h1_chunk_head(&out, 0x1a);
    text_add(&out, STR("abcdefghijklmnopqrstuvwxyz"));
    h1_chunk_tail(&out);
    h1_chunk_head(&out, 0);
    assert_true(h1_chunk_end(&out, &trailers));
    run(text_str(&out), 2, true, &outcome);
    assert_int_equal(outcome.result, PARSE_DONE);
    assert_int_equal(outcome.body_len, 26);
    assert_int_equal(outcome.trailers, 1);
    arena_end(arena);
}

static void a_trailer_that_must_not_be_written_leaves_nothing(void **state)
{
    (void)state;
    struct arena *arena = arena_new(8192, 1024);
    struct message trailers;
    struct text out = text_in(arena, 4096);
    message_init(&trailers, arena);
    assert_true(message_push(&trailers, STR("X"), STR("a\r\nb")));
    assert_false(h1_chunk_end(&out, &trailers));
    assert_int_equal(out.len, 0);
    message_remove(&trailers, STR("x"));
    assert_true(h1_chunk_end(&out, &trailers));
    assert_true(message_add(&trailers, STR("Host"), STR("a")));
    assert_false(h1_chunk_end(&out, &trailers));
    arena_end(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_reads_the_same_however_it_is_cut),
        cmocka_unit_test(what_follows_the_body_is_left),
        cmocka_unit_test(extensions_are_bounded_over_the_whole_body),
        cmocka_unit_test(a_trailer_line_and_section_have_both_sides_of_their_limits),
        cmocka_unit_test(a_broken_body_stays_broken),
        cmocka_unit_test(what_is_encoded_decodes),
        cmocka_unit_test(a_trailer_that_must_not_be_written_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
