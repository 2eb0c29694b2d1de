/*
 * Content codings (RFC 9110 8.4.1) this program can write, and which of them a client wants
 * (Accept-Encoding, 12.5.3).
 */
#ifndef PC_FILES_CODING_H
#define PC_FILES_CODING_H

#include "http/message.h"

enum coding {
    CODING_IDENTITY,
    CODING_GZIP,
    CODING_BROTLI, /* RFC 7932 */
    CODING_ZSTD,   /* RFC 8878 */
    CODING_COUNT,
};

/* "gzip", "br", "zstd"; empty for identity. */
struct str coding_name(enum coding coding);
/* What a compressed sibling of a file is called: ".gz", ".br", ".zst"; empty for identity. */
struct str coding_extension(enum coding coding);

/* What the client asks for, in thousandths; 0: not acceptable. */
struct coding_wish {
    uint16_t weight[CODING_COUNT];
};

/*
 * Without the field nothing but identity is wished for, though all would be acceptable. Identity
 * that is not mentioned is acceptable and liked least. A member with a malformed weight is skipped.
 */
struct coding_wish coding_wished(const struct message *request);
/* The most wished for of those in the bit set `offered` (1 << coding); of equals the first in
 * `order`, which has CODING_COUNT - 1 members. Identity when nothing is liked better. */
enum coding coding_best(const struct coding_wish *wish, unsigned offered,
                        const enum coding order[CODING_COUNT - 1]);

#endif
