/*
 * Memory that fails when a test says so. Every unit test is linked with alloc_fail.c, which stands
 * between src/ and malloc(), calloc(), realloc(), aligned_alloc(), strdup(), strndup(), asprintf(),
 * mmap() and the arenas; what libraries ask for themselves is not reached. A test that includes
 * this header asks the C library directly, so its own harness does not fail with what it tests.
 *
 *     static void one_open(void *state) { … what must end well with memory and without … }
 *     assert_true(alloc_walk(one_open, NULL) > 3);
 *
 * With PC_ALLOC_SITES=FOLDER in the environment every failure is written down there with the calls
 * that led to it: tools/alloc_walks.py tells from them which modules have seen one.
 */
#ifndef PC_TESTS_ALLOC_FAIL_H
#define PC_TESTS_ALLOC_FAIL_H

#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The n-th allocation of this thread from now (1 is the next) has no memory. 0: none has. */
void alloc_fail_at(uint64_t n);
/* Whether it has come to that since. */
bool alloc_has_failed(void);

/*
 * Calls `attempt` once with memory; then again and again with its first, its second, its third …
 * allocation failing, until it asks for no more. Answers how many failed. After each, as many
 * descriptors must be open as after the first; that nothing leaks is for AddressSanitizer to say.
 */
unsigned alloc_walk(void (*attempt)(void *state), void *state);

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
char *__real_strdup(const char *text);
/* An arena of the test's own always begins with memory. */
struct arena *alloc_spared_arena(size_t cap_bytes, size_t chunk_bytes);
#define malloc(bytes) __real_malloc(bytes)
#define calloc(count, bytes) __real_calloc(count, bytes)
#define realloc(old, bytes) __real_realloc(old, bytes)
#define arena_new(cap_bytes, chunk_bytes) alloc_spared_arena(cap_bytes, chunk_bytes)
#undef strdup
#define strdup(text) __real_strdup(text)

#endif
