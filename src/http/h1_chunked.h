/*
 * The chunked coding (RFC 9112 7.1): an incremental decoder that copies nothing of the body, and
 * the few bytes an encoder needs. Strict: what two recipients could read differently is an error.
 *
 * - chunk-size: 1 to 16 hexadecimal digits, at most INT64_MAX, nothing before or after.
 * - chunk-ext: `;name`, `;name=token`, `;name="quoted"` without any white space around; parsed,
 *   dropped, and H1_CHUNK_EXT_BYTES_MAX of them in one body.
 * - Lines end with CRLF; a bare CR or LF anywhere is an error.
 * - Trailers are held to the limits of a head. Those that frame or route a message (Content-Length,
 *   Transfer-Encoding, Host, Connection, Keep-Alive, Proxy-Connection, Trailer, TE, Upgrade; RFC
 *   9110 6.5.1) are errors; all others are handed on as trailers, and are never merged into the
 * head.
 */
#ifndef PC_HTTP_H1_CHUNKED_H
#define PC_HTTP_H1_CHUNKED_H

#include "base/text.h"
#include "http/h1_head.h"

enum {
    /* Nobody is known to use them; unbounded they cost work without a byte of body. */
    H1_CHUNK_EXT_BYTES_MAX = 4096,
    /* 16 digits and two CRLFs: room for h1_chunk_head() and h1_chunk_tail() around a piece. */
    H1_CHUNK_FRAME_BYTES = 20,
};

struct h1_chunked {
    uint8_t state;
    uint8_t digits; /* of the chunk-size */
    uint8_t name_len;
    uint64_t left; /* of the chunk */
    uint32_t ext_bytes;
    uint32_t line_bytes, section_bytes, fields; /* of the trailer section */
    char name[24]; /* of a trailer, as far as a forbidden one is long */
    const struct head_limits *limits;
    struct message *trailers;
    struct text section; /* the trailer section, kept for `trailers` */
};

/*
 * `limits` must outlive the decoder. Trailers are added to `trailers` (message_init()ed by the
 * caller; their bytes live in its arena); with NULL they are checked and dropped.
 */
void h1_chunked_init(struct h1_chunked *chunked, const struct head_limits *limits,
                     struct message *trailers);

/*
 * Takes bytes from `*in` and hands out the next piece of the body, which points into them. Call
 * again while it answers MORE and `*in` is not empty; an empty piece comes only with an empty `*in`
 * or with DONE. DONE: the body and its trailers are whole, `*in` stands behind them. BAD stays BAD.
 */
enum parse h1_chunked_feed(struct h1_chunked *chunked, struct str *in, struct str *data,
                           struct parse_error *error);

/* Before a piece of `len` bytes, at least 1 (an empty piece would be the end: nothing is added). */
void h1_chunk_head(struct text *out, uint64_t len);
/* Behind each piece. */
void h1_chunk_tail(struct text *out);
/*
 * The end mark, with the live fields of `trailers` (may be NULL). False when one must not be
 * written; then nothing was added.
 */
bool h1_chunk_end(struct text *out, const struct message *trailers)
    __attribute__((warn_unused_result));

/* A name that must not stand in a trailer section. */
bool h1_trailer_forbidden(enum header_id id);

#endif
