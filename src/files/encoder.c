#include "files/encoder.h"

#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define GZIP_LEVEL 5
#define GZIP_WINDOW_BITS 14
#define GZIP_MEMORY_LEVEL 7
#define BROTLI_LEVEL 4
#define BROTLI_WINDOW_BITS 16
#define ZSTD_LEVEL 3
#define ZSTD_WINDOW_BITS 16
#define ZSTD_TABLE_BITS 14

/* What one call of a library may write. */
#define OUT_BYTES ((size_t)16 * 1024)
/* zlib counts its input in 32 bits. */
#define GZIP_IN_MAX ((size_t)1 << 30)

struct encoder {
    enum coding coding;
    bool finished, broken;
    z_stream gzip;
    BrotliEncoderState *brotli;
    ZSTD_CCtx *zstd;
};

static bool gzip_init(struct encoder *e)
{
    /* 16 more asks for the gzip frame */
    return deflateInit2(&e->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS + 16, GZIP_MEMORY_LEVEL,
                        Z_DEFAULT_STRATEGY) == Z_OK;
}

static bool brotli_init(struct encoder *e)
{
    e->brotli = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    return e->brotli != NULL &&
           BrotliEncoderSetParameter(e->brotli, BROTLI_PARAM_QUALITY, BROTLI_LEVEL) &&
           BrotliEncoderSetParameter(e->brotli, BROTLI_PARAM_LGWIN, BROTLI_WINDOW_BITS);
}

static bool zstd_set(struct encoder *e, ZSTD_cParameter name, int value)
{
    return !ZSTD_isError(ZSTD_CCtx_setParameter(e->zstd, name, value));
}

static bool zstd_init(struct encoder *e)
{
    e->zstd = ZSTD_createCCtx();
    return e->zstd != NULL && zstd_set(e, ZSTD_c_compressionLevel, ZSTD_LEVEL) &&
           zstd_set(e, ZSTD_c_windowLog, ZSTD_WINDOW_BITS) &&
           zstd_set(e, ZSTD_c_hashLog, ZSTD_TABLE_BITS) &&
           zstd_set(e, ZSTD_c_chainLog, ZSTD_TABLE_BITS);
}

struct encoder *encoder_new(enum coding coding)
{
    struct encoder *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->coding = coding;
    bool ok = coding == CODING_GZIP     ? gzip_init(e)
              : coding == CODING_BROTLI ? brotli_init(e)
              : coding == CODING_ZSTD   ? zstd_init(e)
                                        : false;
    if (ok)
        return e;
    encoder_end(e);
    return NULL;
}

void encoder_end(struct encoder *e)
{
    if (e == NULL)
        return;
    if (e->gzip.state != NULL)
        deflateEnd(&e->gzip);
    if (e->brotli != NULL)
        BrotliEncoderDestroyInstance(e->brotli);
    ZSTD_freeCCtx(e->zstd);
    free(e);
}

static bool hand_on(encoder_sink *sink, void *user, const void *at, size_t len)
{
    return len == 0 || sink(user, str_from(at, len));
}

/* `flush` as zlib names it. */
static bool gzip_piece(struct encoder *e, struct str in, int flush, encoder_sink *sink, void *user)
{
    unsigned char out[OUT_BYTES];
    /* @UNSAFE: zlib's pointer to its input has no const; it only reads */
    e->gzip.next_in = (unsigned char *)(uintptr_t)in.at;
    e->gzip.avail_in = (unsigned)in.len;
    do {
        e->gzip.next_out = out;
        e->gzip.avail_out = sizeof out;
        int answer = deflate(&e->gzip, flush);
        /* Z_BUF_ERROR: there was nothing to do, as for a second flush in a row */
        if (answer != Z_OK && answer != Z_STREAM_END && answer != Z_BUF_ERROR)
            return false;
        if (!hand_on(sink, user, out, sizeof out - e->gzip.avail_out))
            return false;
    } while (e->gzip.avail_out == 0);
    return e->gzip.avail_in == 0;
}

static bool gzip_feed(struct encoder *e, struct str in, enum encoder_mode mode, encoder_sink *sink,
                      void *user)
{
    static const int flushes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    for (; in.len > GZIP_IN_MAX; in = str_skip(in, GZIP_IN_MAX))
        if (!gzip_piece(e, str_sub(in, 0, GZIP_IN_MAX), Z_NO_FLUSH, sink, user))
            return false;
    return gzip_piece(e, in, flushes[mode], sink, user);
}

static bool brotli_feed(struct encoder *e, struct str in, enum encoder_mode mode,
                        encoder_sink *sink, void *user)
{
    static const BrotliEncoderOperation operations[] = {
        BROTLI_OPERATION_PROCESS, BROTLI_OPERATION_FLUSH, BROTLI_OPERATION_FINISH};
    const uint8_t *next = (const uint8_t *)in.at;
    size_t left = in.len;
    do {
        size_t room = 0; /* none: the library keeps its output until it is taken */
        if (!BrotliEncoderCompressStream(e->brotli, operations[mode], &left, &next, &room, NULL,
                                         NULL))
            return false;
        while (BrotliEncoderHasMoreOutput(e->brotli)) {
            size_t len = 0;
            const uint8_t *at = BrotliEncoderTakeOutput(e->brotli, &len);
            if (!hand_on(sink, user, at, len))
                return false;
        }
    } while (left > 0 || (mode == ENCODER_FINISH && !BrotliEncoderIsFinished(e->brotli)));
    return true;
}

static bool zstd_feed(struct encoder *e, struct str in, enum encoder_mode mode, encoder_sink *sink,
                      void *user)
{
    static const ZSTD_EndDirective directives[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
    unsigned char out[OUT_BYTES];
    ZSTD_inBuffer input = {.src = in.at, .size = in.len, .pos = 0};
    for (;;) {
        ZSTD_outBuffer output = {.dst = out, .size = sizeof out, .pos = 0};
        size_t waiting = ZSTD_compressStream2(e->zstd, &output, &input, directives[mode]);
        if (ZSTD_isError(waiting) || !hand_on(sink, user, out, output.pos))
            return false;
        if (mode == ENCODER_MORE ? input.pos == input.size : waiting == 0)
            return true;
    }
}

bool encoder_feed(struct encoder *e, struct str in, enum encoder_mode mode, encoder_sink *sink,
                  void *user)
{
    if (e->finished || e->broken)
        return false;
    bool ok = e->coding == CODING_GZIP     ? gzip_feed(e, in, mode, sink, user)
              : e->coding == CODING_BROTLI ? brotli_feed(e, in, mode, sink, user)
                                           : zstd_feed(e, in, mode, sink, user);
    e->broken = !ok;
    e->finished = mode == ENCODER_FINISH;
    return ok;
}
