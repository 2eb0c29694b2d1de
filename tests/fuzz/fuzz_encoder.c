#include "base/arena.h"
#include "base/text.h"
#include "files/encoder.h"

#include <brotli/decode.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

static bool sink(void *user, struct str bytes)
{
    text_add(user, bytes);
    return true;
}

/* The program has no use for a decoder and is not linked with it. */
static size_t unpack_brotli(struct str in, char *out, size_t room)
{
    static BrotliDecoderResult (*decode)(size_t, const uint8_t *, size_t *, uint8_t *);
    void *library = decode == NULL ? dlopen("libbrotlidec.so.1", RTLD_NOW) : NULL;
    void *at = library != NULL ? dlsym(library, "BrotliDecoderDecompress") : NULL;
    if (at != NULL)
        memcpy(&decode, &at, sizeof decode);
    if (decode == NULL)
        abort(); /* it comes with what tools/deps.sh installs */
    return decode(in.len, (const uint8_t *)in.at, &room, (uint8_t *)out) ==
                   BROTLI_DECODER_RESULT_SUCCESS
               ? room
               : SIZE_MAX;
}

static size_t unpack(enum coding coding, struct str in, char *out, size_t room)
{
    if (coding == CODING_BROTLI)
        return unpack_brotli(in, out, room);
    if (coding == CODING_ZSTD) {
        ZSTD_DCtx *z = ZSTD_createDCtx();
        ZSTD_inBuffer i = {.src = in.at, .size = in.len};
        ZSTD_outBuffer o = {.dst = out, .size = room};
        size_t left = ZSTD_decompressStream(z, &o, &i);
        ZSTD_freeDCtx(z);
        return left == 0 ? o.pos : SIZE_MAX;
    }
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)in.at,
                  .avail_in = (unsigned)in.len,
                  .next_out = (unsigned char *)out,
                  .avail_out = (unsigned)room};
    bool whole = inflateInit2(&z, 15 + 16) == Z_OK && inflate(&z, Z_FINISH) == Z_STREAM_END;
    inflateEnd(&z);
    return whole ? z.total_out : SIZE_MAX;
}

/* The first byte chooses the coding; each piece's first byte its length and whether to flush. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char out[1 << 20];
    enum coding coding = size > 0 ? (enum coding)(1 + data[0] % 3) : CODING_GZIP;
    if (size > 100000)
        return 0;
    struct arena *arena = arena_new(8 << 20, 65536);
    struct text packed = text_in(arena, 4 << 20), plain = text_in(arena, 1 << 20);
    struct encoder *encoder = encoder_new(coding);
    struct str rest = str_skip(str_from(data, size), 1);
    while (rest.len > 0) {
        unsigned char how = (unsigned char)rest.at[0];
        struct str piece = str_sub(rest, 1, how / 2);
        text_add(&plain, piece);
        if (!encoder_feed(encoder, piece, how % 2 ? ENCODER_FLUSH : ENCODER_MORE, sink, &packed))
            abort();
        rest = str_skip(rest, 1 + piece.len);
    }
    if (!encoder_feed(encoder, STR(""), ENCODER_FINISH, sink, &packed) || !text_ok(&packed))
        abort();
    encoder_end(encoder);
    size_t len = unpack(coding, text_str(&packed), out, sizeof out);
    if (len == SIZE_MAX || !str_eq(str_from(out, len), text_str(&plain)))
        abort();
    arena_end(arena);
    return 0;
}
