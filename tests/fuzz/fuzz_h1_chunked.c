/* The first byte is how many bytes come at a time. Cut or whole, the decoder answers the same. */
#include "http/h1_chunked.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct head_limits LIMITS = {64, 4, 256};

struct outcome {
    enum parse result;
    size_t body_len, rest;
    uint64_t body_sum;
    uint32_t trailers;
};

static struct outcome run(struct str bytes, size_t step, bool keep)
{
    struct outcome outcome = {.result = PARSE_MORE};
    struct arena *arena = arena_new(1 << 16, 1024);
    struct message trailers;
    struct h1_chunked chunked;
    struct parse_error error;
    message_init(&trailers, arena);
    h1_chunked_init(&chunked, &LIMITS, keep ? &trailers : NULL);
    while (bytes.len && outcome.result == PARSE_MORE) {
        struct str piece = str_sub(bytes, 0, step), in = piece, body;
        do {
            outcome.result = h1_chunked_feed(&chunked, &in, &body, &error);
            for (size_t i = 0; i < body.len; i++)
                outcome.body_sum = outcome.body_sum * 31 + (unsigned char)body.at[i];
            outcome.body_len += body.len;
        } while (outcome.result == PARSE_MORE && in.len);
        bytes = str_skip(bytes, piece.len - in.len);
    }
    outcome.rest = bytes.len;
    outcome.trailers = chunked.fields;
    arena_end(arena);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct str bytes = str_from(data + 1, size - 1);
    struct outcome whole = run(bytes, bytes.len, true);
    struct outcome pieces = run(bytes, (size_t)data[0] % 16 + 1, (data[0] & 16) != 0);
    if (whole.result != pieces.result || whole.body_len != pieces.body_len ||
        whole.body_sum != pieces.body_sum || whole.rest != pieces.rest ||
        whole.trailers != pieces.trailers)
        abort();
    return 0;
}
