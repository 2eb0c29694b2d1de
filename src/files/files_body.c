#include "files/files_body.h"

#include "base/arena.h"
#include "files/open_files.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct piece {
    const char *memory; /* NULL: of the file */
    uint64_t from, len;
};

struct files_body {
    int fd;
    struct open_file *shared; /* whose `fd` is, or NULL */
    struct piece *pieces;
    unsigned count, max;
    unsigned at;   /* the piece being read */
    uint64_t done; /* bytes of it */
    uint64_t length;
};

static void close_at_end(void *body)
{
    files_body_close(body);
}

static void let_go(int fd, struct open_file *shared)
{
    if (shared != NULL)
        open_file_release(shared);
    else if (fd >= 0)
        close(fd);
}

struct files_body *files_body_new(struct arena *arena, int fd, struct open_file *shared,
                                  unsigned pieces_max)
{
    struct files_body *body = ARENA_NEW(arena, struct files_body);
    struct piece *pieces = arena_array(arena, pieces_max, sizeof *pieces);
    if (body == NULL || pieces == NULL || !arena_defer(arena, close_at_end, body)) {
        let_go(fd, shared);
        if (body != NULL)
            body->fd = -1;
        return NULL;
    }
    *body = (struct files_body){.fd = fd, .shared = shared, .pieces = pieces, .max = pieces_max};
    return body;
}

static bool add(struct files_body *body, struct piece piece)
{
    if (body->count == body->max)
        return false;
    body->pieces[body->count++] = piece;
    body->length += piece.len;
    return true;
}

bool files_body_add(struct files_body *body, struct str memory)
{
    return memory.len == 0 ||
           add(body, (struct piece){.memory = memory.at, .from = 0, .len = memory.len});
}

bool files_body_add_file(struct files_body *body, uint64_t from, uint64_t len)
{
    return len == 0 || add(body, (struct piece){.memory = NULL, .from = from, .len = len});
}

uint64_t files_body_length(const struct files_body *body)
{
    return body->length;
}

/* 0: the file ends before the piece does. */
static ssize_t read_piece(const struct files_body *body, const struct piece *piece, void *into,
                          size_t len)
{
    if (piece->memory != NULL) {
        memcpy(into, piece->memory + body->done, len);
        return (ssize_t)len;
    }
    const char *bytes = body->shared != NULL ? open_file_bytes(body->shared) : NULL;
    if (bytes != NULL) {
        memcpy(into, bytes + piece->from + body->done, len);
        return (ssize_t)len;
    }
    ssize_t got;
    do
        got = pread(body->fd, into, len, (off_t)(piece->from + body->done));
    while (got < 0 && errno == EINTR);
    return got;
}

ssize_t files_body_read(struct files_body *body, void *into, size_t len)
{
    size_t read = 0;
    while (read < len && body->at < body->count) {
        const struct piece *piece = &body->pieces[body->at];
        uint64_t left = piece->len - body->done;
        size_t want = left < len - read ? (size_t)left : len - read;
        ssize_t got = read_piece(body, piece, (char *)into + read, want);
        if (got <= 0)
            return -1;
        read += (size_t)got;
        body->done += (size_t)got;
        if (body->done == piece->len) {
            body->at++;
            body->done = 0;
        }
    }
    return (ssize_t)read;
}

void files_body_close(struct files_body *body)
{
    if (body == NULL || body->fd < 0)
        return;
    let_go(body->fd, body->shared);
    body->fd = -1;
    body->shared = NULL;
}
