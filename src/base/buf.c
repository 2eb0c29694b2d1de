#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

struct buf_chunk {
    struct buf_chunk *next;
    size_t from, to, size;
    char data[];
};

/* Large enough that a TLS record is one chunk. */
#define CHUNK_MAX ((size_t)16 * 1024)

void buf_init(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf){.max = max_bytes};
}

void buf_fini(struct buf *buf)
{
    buf_drop(buf, buf->len);
}

static struct buf_chunk *chunk_new(size_t want)
{
    size_t size = want < BUF_CHUNK_MIN ? BUF_CHUNK_MIN : want > CHUNK_MAX ? CHUNK_MAX : want;
    struct buf_chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk == NULL)
        return NULL;
    *chunk = (struct buf_chunk){.size = size};
    return chunk;
}

static void chain_free(struct buf_chunk *chunk)
{
    while (chunk != NULL) {
        struct buf_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

bool buf_add(struct buf *buf, const void *bytes, size_t len)
{
    if (len > buf->max - buf->len)
        return false;
    size_t room = buf->last ? buf->last->size - buf->last->to : 0;
    if (room > len)
        room = len;
    /* The new chunks first, so that a failure leaves the buffer as it was. */
    struct buf_chunk *head = NULL, *tail = NULL;
    const char *from = (const char *)bytes + room;
    for (size_t left = len - room; left != 0;) {
        struct buf_chunk *chunk = chunk_new(left);
        if (chunk == NULL) {
            chain_free(head);
            return false;
        }
        size_t n = left < chunk->size ? left : chunk->size;
        memcpy(chunk->data, from, n);
        chunk->to = n;
        from += n;
        left -= n;
        if (tail)
            tail->next = chunk;
        else
            head = chunk;
        tail = chunk;
    }
    if (room != 0) {
        memcpy(buf->last->data + buf->last->to, bytes, room);
        buf->last->to += room;
    }
    if (head != NULL) {
        if (buf->last)
            buf->last->next = head;
        else
            buf->first = head;
        buf->last = tail;
    }
    buf->len += len;
    return true;
}

struct str buf_front(const struct buf *buf)
{
    if (buf->first == NULL)
        return (struct str){0};
    return str_from(buf->first->data + buf->first->from, buf->first->to - buf->first->from);
}

int buf_iov(const struct buf *buf, struct iovec *iov, int most)
{
    int n = 0;
    for (struct buf_chunk *c = buf->first; c != NULL && n < most; c = c->next)
        iov[n++] = (struct iovec){.iov_base = c->data + c->from, .iov_len = c->to - c->from};
    return n;
}

void buf_drop(struct buf *buf, size_t len)
{
    while (buf->first != NULL) {
        struct buf_chunk *chunk = buf->first;
        size_t have = chunk->to - chunk->from;
        if (len < have) {
            chunk->from += len;
            buf->len -= len;
            return;
        }
        len -= have;
        buf->len -= have;
        buf->first = chunk->next;
        if (buf->first == NULL)
            buf->last = NULL;
        free(chunk);
    }
}
