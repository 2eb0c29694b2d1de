/*
 * Memory in whole pages, straight from the system: for what is big, rare and short-lived. Pages
 * that are never written to cost nothing, and all go back at once, where malloc would keep them.
 */
#ifndef PC_BASE_PAGES_H
#define PC_BASE_PAGES_H

#include <stddef.h>
#include <sys/mman.h>

/* Zeroed; NULL when the system has none. */
static inline void *pages_take(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* The same, but every page is there at once. */
static inline void *pages_take_now(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                    -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* `at` may be NULL; `bytes` as taken. */
static inline void pages_give(void *at, size_t bytes)
{
    if (at != NULL)
        munmap(at, bytes);
}

#endif
