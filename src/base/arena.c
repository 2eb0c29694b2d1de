#include "base/arena.h"

#include "base/poison.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct chunk {
    struct chunk *next;
    size_t used, size; /* of data */
    alignas(max_align_t) unsigned char data[];
};

struct deferred {
    struct deferred *next;
    void (*function)(void *);
    void *argument;
};

struct arena {
    struct chunk *chunks; /* newest first */
    struct deferred *deferred;
    size_t cap, used, chunk_bytes;
};

static _Thread_local uint64_t fail_countdown;

void arena_fail_at(uint64_t n)
{
    fail_countdown = n;
}

static bool told_to_fail(void)
{
    return fail_countdown != 0 && --fail_countdown == 0;
}

/* Chunks grow with the arena so that a big snapshot is not a chain of thousands. */
#define CHUNK_MAX ((size_t)256 * 1024)

static struct chunk *chunk_new(size_t size)
{
    struct chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk == NULL)
        return NULL;
    chunk->next = NULL;
    chunk->used = 0;
    chunk->size = size;
    poison(chunk->data, size);
    return chunk;
}

struct arena *arena_new(size_t cap_bytes, size_t chunk_bytes)
{
    if (told_to_fail())
        return NULL;
    if (chunk_bytes < 256)
        chunk_bytes = 256;
    struct chunk *chunk = chunk_new(chunk_bytes);
    if (chunk == NULL)
        return NULL;
    /* The arena itself is the first thing in its first chunk. */
    unpoison(chunk->data, sizeof(struct arena));
    struct arena *arena = (struct arena *)(void *)chunk->data;
    *arena = (struct arena){.chunks = chunk, .cap = cap_bytes, .chunk_bytes = chunk_bytes};
    chunk->used = (sizeof *arena + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    return arena;
}

void arena_end(struct arena *arena)
{
    if (arena == NULL)
        return;
    for (struct deferred *d = arena->deferred; d != NULL; d = d->next)
        d->function(d->argument);
    struct chunk *chunk = arena->chunks;
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        unpoison(chunk->data, chunk->size);
        free(chunk);
        chunk = next;
    }
}

/* A quarter of what there is: a few dozen chunks up to any cap, and what is never used of the last
 * one is at most a fifth of the whole. */
static size_t next_chunk_bytes(const struct arena *arena)
{
    size_t size = arena->used / 4 & ~(size_t)511;
    if (size > CHUNK_MAX)
        size = CHUNK_MAX;
    return size > arena->chunk_bytes ? size : arena->chunk_bytes;
}

static bool arena_grow(struct arena *arena, size_t bytes)
{
    size_t size = next_chunk_bytes(arena);
    struct chunk *chunk = chunk_new(size > bytes ? size : bytes);
    if (chunk == NULL)
        return false;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    return true;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    if (told_to_fail() || bytes > SIZE_MAX / 4)
        return NULL;
    bytes = (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (bytes > arena->cap - arena->used)
        return NULL;
    if (bytes > arena->chunks->size - arena->chunks->used && !arena_grow(arena, bytes))
        return NULL;
    struct chunk *chunk = arena->chunks;
    void *at = chunk->data + chunk->used;
    chunk->used += bytes;
    arena->used += bytes;
    unpoison(at, bytes);
    return memset(at, 0, bytes);
}

void *arena_array(struct arena *arena, size_t count, size_t bytes_each)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, bytes_each, &bytes))
        return NULL;
    return arena_alloc(arena, bytes);
}

bool arena_defer(struct arena *arena, void (*function)(void *), void *argument)
{
    struct deferred *d = arena_alloc(arena, sizeof *d);
    if (d == NULL)
        return false;
    *d = (struct deferred){.next = arena->deferred, .function = function, .argument = argument};
    arena->deferred = d;
    return true;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}
