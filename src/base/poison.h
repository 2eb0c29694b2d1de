/* Marks memory that nobody may touch; does something under AddressSanitizer only. */
#ifndef PC_BASE_POISON_H
#define PC_BASE_POISON_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define PC_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PC_ASAN 1
#endif
#endif

#ifdef PC_ASAN
#include <sanitizer/asan_interface.h>
static inline void poison(void *at, size_t len)
{
    ASAN_POISON_MEMORY_REGION(at, len);
}
static inline void unpoison(void *at, size_t len)
{
    ASAN_UNPOISON_MEMORY_REGION(at, len);
}
#else
static inline void poison(void *at, size_t len)
{
    (void)at;
    (void)len;
}
static inline void unpoison(void *at, size_t len)
{
    (void)at;
    (void)len;
}
#endif

#endif
