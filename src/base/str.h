/*
 * A string is a pointer and a length; it owns nothing and is not NUL-terminated. Bytes may have any
 * value. Whoever hands out a `struct str` says how long its bytes live, normally as long as an
 * arena.
 */
#ifndef PC_BASE_STR_H
#define PC_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct arena;

struct str {
    const char *at;
    size_t len;
};

/* A literal; its length is known to the compiler. */
#define STR(literal) ((struct str){.at = "" literal, .len = sizeof(literal) - 1})
/* The same as an initializer of static tables. */
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        .at = "" literal, .len = sizeof(literal) - 1                                               \
    }
/* For printf: "%.*s", STR_ARG(s). */
#define STR_ARG(s) (int)(s).len, (s).at

/* `z` may be NULL: then the string is empty. */
struct str str_from_z(const char *z);
/* The short ones stand here whole: a head is read and written with hundreds of them. */
static inline struct str str_from(const void *at, size_t len)
{
    return (struct str){.at = at, .len = len};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}
/* Letters of ASCII compare without case; all other bytes must be equal. */
bool str_eq_nocase(struct str a, struct str b);
int str_cmp(struct str a, struct str b);
static inline bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.at, prefix.at, prefix.len) == 0);
}
bool str_ends(struct str s, struct str suffix);
bool str_starts_nocase(struct str s, struct str prefix);

/* Position of the first byte `c` or string, or SIZE_MAX. */
static inline size_t str_find_byte(struct str s, char c)
{
    const char *hit = s.len ? (const char *)memchr(s.at, c, s.len) : NULL;
    return hit ? (size_t)(hit - s.at) : SIZE_MAX;
}
size_t str_find(struct str s, struct str needle);

/* The part from `from` (at most the end) of at most `len` bytes. */
static inline struct str str_sub(struct str s, size_t from, size_t len)
{
    if (from > s.len)
        from = s.len;
    if (len > s.len - from)
        len = s.len - from;
    return (struct str){.at = s.at ? s.at + from : NULL, .len = len};
}
/* Without the first `n` bytes (or empty). */
static inline struct str str_skip(struct str s, size_t n)
{
    return str_sub(s, n, SIZE_MAX);
}
static inline bool char_is_ows(char c)
{
    return c == ' ' || c == '\t';
}
/* Without SP and HTAB at both ends (OWS of RFC 9110 5.6.3). */
static inline struct str str_trim(struct str s)
{
    while (s.len && char_is_ows(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len && char_is_ows(s.at[s.len - 1]))
        s.len--;
    return s;
}
/*
 * Takes from `*rest` the part before the next `separator` and moves `*rest` behind it. False when
 * nothing is left; "a,,b" gives "a", "", "b", and "" gives nothing.
 */
bool str_split(struct str *rest, char separator, struct str *part);

/* Decimal digits only (no sign, no space), at least one; false above `max`. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *value);
/* Hexadecimal digits only, at least one, at most 16. */
bool str_to_hex64(struct str s, uint64_t *value);

/* Copies into the arena; at the arena's cap the copy has `at == NULL`. A NUL byte follows it. */
struct str str_dup(struct arena *arena, struct str s);
/* A NUL-terminated copy, or NULL at the arena's cap. */
char *str_to_z(struct arena *arena, struct str s);
struct str str_lower(struct arena *arena, struct str s);
__attribute__((format(printf, 2, 3))) struct str str_printf(struct arena *arena, const char *format,
                                                            ...);

static inline bool str_empty(struct str s)
{
    return s.len == 0;
}
static inline char char_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}
static inline bool char_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool char_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
/* 0 to 15, or -1. */
int char_hex(char c);

#endif
