/*
 * An arena is memory with one lifetime: of a snapshot's part, of a session, of an exchange. Nothing
 * in it is freed alone. What is not memory (an fd, a handle of a library) is handed over with
 * arena_defer() and closed when the arena ends, last first.
 *
 * Every arena has a cap in bytes, since a stranger on the network decides how much a request asks
 * for: at the cap arena_alloc() answers NULL and the caller refuses (413, 431, 503). The cap counts
 * what was asked for, rounded up to the alignment. One arena is used by one thread at a time.
 */
#ifndef PC_BASE_ARENA_H
#define PC_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

/* NULL when the system has no memory. `chunk_bytes` is the size of its first chunk. */
struct arena *arena_new(size_t cap_bytes, size_t chunk_bytes) __attribute__((warn_unused_result));
/* Runs the deferred functions, last first, then frees everything. NULL is allowed. */
void arena_end(struct arena *arena);

/* Zeroed, aligned for any type. NULL at the cap or without memory. */
void *arena_alloc(struct arena *arena, size_t bytes)
    __attribute__((warn_unused_result, malloc, alloc_size(2)));
void *arena_array(struct arena *arena, size_t count, size_t bytes_each)
    __attribute__((warn_unused_result));
/* `function(argument)` runs when the arena ends. False at the cap: then nothing is registered. */
bool arena_defer(struct arena *arena, void (*function)(void *), void *argument)
    __attribute__((warn_unused_result));

size_t arena_used(const struct arena *arena);

/*
 * For tests: the n-th allocation from now (1 is the next) answers NULL in this thread, all later
 * ones succeed. 0 switches it off.
 */
void arena_fail_at(uint64_t n);

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))

#endif
