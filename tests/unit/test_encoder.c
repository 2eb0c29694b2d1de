#include "files/encoder.h"

#include "base/arena.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <brotli/decode.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <zlib.h>
#include <zstd.h>

#include "alloc_fail.h"

#define MOST ((size_t)4 << 20)

struct sunk {
    struct text text;
    unsigned calls, stop_at;
};

static bool sink(void *user, struct str bytes)
{
    struct sunk *sunk = user;
    if (++sunk->calls == sunk->stop_at)
        return false;
    text_add(&sunk->text, bytes);
    return true;
}

static uint32_t dice(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Half words, half noise. */
static struct str sample(struct arena *arena, size_t len)
{
    static const char words[] = "the patient has no findings in the left lung, see report ";
    uint32_t seed = 7;
    char *at = arena_alloc(arena, len + 1);
    assert_non_null(at);
    for (size_t i = 0; i < len; i++)
        at[i] = i / 4096 % 2 ? (char)dice(&seed) : words[i % (sizeof words - 1)];
    return str_from(at, len);
}

/*
 * The program has no use for brotli's decoder and is not linked with it; it is looked for at run
 * time, and where it is missing brotli's streams are not decoded here.
 */
static struct {
    BrotliDecoderState *(*create)(brotli_alloc_func, brotli_free_func, void *);
    void (*destroy)(BrotliDecoderState *);
    BrotliDecoderResult (*decompress)(BrotliDecoderState *, size_t *, const uint8_t **, size_t *,
                                      uint8_t **, size_t *);
} brotli;

/* A function's address out of a pointer to an object, which C knows no cast for. */
static void find(void *library, const char *name, void *function)
{
    void *at = library != NULL ? dlsym(library, name) : NULL;
    memcpy(function, &at, sizeof at);
}

static int find_brotli(void **state)
{
    (void)state;
    void *library = dlopen("libbrotlidec.so.1", RTLD_NOW);
    find(library, "BrotliDecoderCreateInstance", &brotli.create);
    find(library, "BrotliDecoderDestroyInstance", &brotli.destroy);
    find(library, "BrotliDecoderDecompressStream", &brotli.decompress);
    return 0;
}

static bool can_decode(enum coding coding)
{
    return coding != CODING_BROTLI || brotli.create != NULL;
}

static struct str decode_brotli(struct str bytes, char *out, bool whole)
{
    BrotliDecoderState *z = brotli.create(NULL, NULL, NULL);
    const uint8_t *in = (const uint8_t *)bytes.at;
    uint8_t *next = (uint8_t *)out;
    size_t left = bytes.len, room = MOST, total = 0;
    BrotliDecoderResult answer = brotli.decompress(z, &left, &in, &room, &next, &total);
    assert_int_equal(answer, whole ? BROTLI_DECODER_RESULT_SUCCESS
                                   : BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT);
    brotli.destroy(z);
    return str_from(out, total);
}

/* All that can be decoded from the bytes so far. */
static struct str decode(struct arena *arena, enum coding coding, struct str bytes, bool whole)
{
    char *out = arena_alloc(arena, MOST);
    assert_non_null(out);
    if (coding == CODING_GZIP) {
        z_stream z = {.next_in = (unsigned char *)(uintptr_t)bytes.at,
                      .avail_in = (unsigned)bytes.len,
                      .next_out = (unsigned char *)out,
                      .avail_out = MOST};
        assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
        int answer = inflate(&z, Z_SYNC_FLUSH);
        assert_int_equal(answer == Z_STREAM_END, whole);
        struct str decoded = str_from(out, z.total_out);
        inflateEnd(&z);
        return decoded;
    }
    if (coding == CODING_BROTLI)
        return decode_brotli(bytes, out, whole);
    ZSTD_DCtx *z = ZSTD_createDCtx();
    ZSTD_inBuffer in = {.src = bytes.at, .size = bytes.len};
    ZSTD_outBuffer o = {.dst = out, .size = MOST};
    size_t answer = ZSTD_decompressStream(z, &o, &in);
    assert_false(ZSTD_isError(answer));
    assert_int_equal(answer == 0, whole);
    ZSTD_freeDCtx(z);
    return str_from(out, o.pos);
}

static const enum coding codings[] = {CODING_GZIP, CODING_ZSTD, CODING_BROTLI};

static void round_trip(size_t len, size_t piece, bool flushes)
{
    for (unsigned i = 0; i < 3; i++) {
        struct arena *arena = arena_new(64 << 20, 65536);
        struct encoder *encoder = encoder_new(codings[i]);
        assert_non_null(encoder);
        struct str in = sample(arena, len);
        struct sunk sunk = {.text = text_in(arena, MOST)};
        uint32_t seed = 99;
        size_t at = 0;
        while (at < len) {
            size_t n = piece ? piece : dice(&seed) % 5000;
            struct str part = str_sub(in, at, n);
            bool flush = flushes && dice(&seed) % 4 == 0;
            assert_true(
                encoder_feed(encoder, part, flush ? ENCODER_FLUSH : ENCODER_MORE, sink, &sunk));
            at += part.len;
            if (flush && can_decode(codings[i]) && at < len && dice(&seed) % 8 == 0) {
                struct arena *more = arena_new(16 << 20, 65536);
                struct str so_far = decode(more, codings[i], text_str(&sunk.text), false);
                assert_true(str_eq(so_far, str_sub(in, 0, at)));
                arena_end(more);
            }
        }
        assert_true(encoder_feed(encoder, STR(""), ENCODER_FINISH, sink, &sunk));
        assert_false(encoder_feed(encoder, STR("late"), ENCODER_MORE, sink, &sunk));
        assert_true(text_ok(&sunk.text) && sunk.text.len > 0);
        if (can_decode(codings[i]))
            assert_true(str_eq(decode(arena, codings[i], text_str(&sunk.text), true), in));
        encoder_end(encoder);
        arena_end(arena);
    }
}

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    round_trip(0, 1, false);
    round_trip(1, 1, false);
    round_trip(1024, 1024, false);
    round_trip(1000000, 16384, false);
    round_trip(300000, 300000, false);
}

static void fed_byte_by_byte_it_is_the_same(void **state)
{
    (void)state;
    round_trip(20000, 1, false);
    round_trip(2000, 1, true);
}

static void flushed_at_random_all_that_went_in_can_be_decoded(void **state)
{
    (void)state;
    round_trip(200000, 0, true);
}

static void flushing_twice_adds_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct arena *arena = arena_new(1 << 20, 4096);
        struct encoder *encoder = encoder_new(codings[i]);
        struct sunk sunk = {.text = text_in(arena, 65536)};
        assert_true(encoder_feed(encoder, STR("data: 1\n\n"), ENCODER_FLUSH, sink, &sunk));
        size_t len = sunk.text.len;
        assert_true(len > 0);
        for (unsigned again = 0; again < 3; again++)
            assert_true(encoder_feed(encoder, STR(""), ENCODER_FLUSH, sink, &sunk));
        assert_int_equal(sunk.text.len, len);
        encoder_end(encoder);
        arena_end(arena);
    }
}

static void a_sink_that_refuses_ends_the_stream(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct arena *arena = arena_new(8 << 20, 4096);
        struct encoder *encoder = encoder_new(codings[i]);
        struct sunk sunk = {.text = text_in(arena, 1 << 20), .stop_at = 1};
        assert_false(encoder_feed(encoder, sample(arena, 100000), ENCODER_FINISH, sink, &sunk));
        assert_false(encoder_feed(encoder, STR("x"), ENCODER_MORE, sink, &sunk));
        assert_int_equal(sunk.calls, 1);
        encoder_end(encoder);
        arena_end(arena);
    }
}

static void there_is_no_encoder_for_identity(void **state)
{
    (void)state;
    assert_null(encoder_new(CODING_IDENTITY));
    encoder_end(NULL);
}

static void one_encoder(void *coding)
{
    static char out[65536];
    struct sunk sunk = {.text = text_over(out, sizeof out)};
    struct encoder *encoder = encoder_new(*(enum coding *)coding);
    assert_true(encoder != NULL || alloc_has_failed());
    if (encoder == NULL)
        return;
    assert_true(encoder_feed(encoder, STR("some text"), ENCODER_FINISH, sink, &sunk));
    encoder_end(encoder);
}

static void without_memory_there_is_no_encoder(void **state)
{
    (void)state;
    enum coding all[] = {CODING_GZIP, CODING_BROTLI, CODING_ZSTD};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_true(alloc_walk(one_encoder, &all[i]) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(fed_byte_by_byte_it_is_the_same),
        cmocka_unit_test(flushed_at_random_all_that_went_in_can_be_decoded),
        cmocka_unit_test(flushing_twice_adds_nothing),
        cmocka_unit_test(a_sink_that_refuses_ends_the_stream),
        cmocka_unit_test(there_is_no_encoder_for_identity),
        cmocka_unit_test(without_memory_there_is_no_encoder),
    };
    return cmocka_run_group_tests(tests, find_brotli, NULL);
}
