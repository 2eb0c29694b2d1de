/*
 * Bytes on the wire that could not go on at once: a queue of chunks with a maximum given at birth.
 * An empty buffer holds no memory. The owner calls buf_fini(); copying the struct moves it.
 */
#ifndef PC_BASE_BUF_H
#define PC_BASE_BUF_H

#include "base/str.h"

#include <sys/uio.h>

struct buf_chunk;

/* The least that a chunk has room for, and all but the last one are full, however small the pieces
 * were. Small enough for one header. */
#define BUF_CHUNK_MIN ((size_t)1024)

struct buf {
    struct buf_chunk *first, *last;
    size_t len; /* bytes waiting */
    size_t max;
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_fini(struct buf *buf);

/* All or nothing: false above the maximum or without memory. */
bool buf_add(struct buf *buf, const void *bytes, size_t len) __attribute__((warn_unused_result));
/* The oldest bytes that lie together. */
struct str buf_front(const struct buf *buf);
/* Up to `most` pieces from the front; answers how many. */
int buf_iov(const struct buf *buf, struct iovec *iov, int most);
/* Forgets the first `len` bytes (at most all). */
void buf_drop(struct buf *buf, size_t len);

#endif
