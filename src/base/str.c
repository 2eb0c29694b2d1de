#include "base/str.h"

#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct str str_from_z(const char *z)
{
    return (struct str){.at = z, .len = z ? strlen(z) : 0};
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (char_lower(a.at[i]) != char_lower(b.at[i]))
            return false;
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.at, b.at, n) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_eq(str_skip(s, s.len - suffix.len), suffix);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq_nocase(str_sub(s, 0, prefix.len), prefix);
}

size_t str_find(struct str s, struct str needle)
{
    if (needle.len == 0)
        return 0;
    const char *hit = s.len ? memmem(s.at, s.len, needle.at, needle.len) : NULL;
    return hit ? (size_t)(hit - s.at) : SIZE_MAX;
}

bool str_split(struct str *rest, char separator, struct str *part)
{
    if (rest->len == 0)
        return false;
    size_t end = str_find_byte(*rest, separator);
    if (end == SIZE_MAX) {
        *part = *rest;
        *rest = (struct str){0};
        return true;
    }
    *part = str_sub(*rest, 0, end);
    *rest = str_skip(*rest, end + 1);
    return true;
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *value)
{
    if (s.len == 0)
        return false;
    uint64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (!char_is_digit(s.at[i]))
            return false;
        uint64_t digit = (uint64_t)(s.at[i] - '0');
        if (n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *value = n;
    return n <= max;
}

int char_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool str_to_hex64(struct str s, uint64_t *value)
{
    if (s.len == 0 || s.len > 16)
        return false;
    uint64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        int digit = char_hex(s.at[i]);
        if (digit < 0)
            return false;
        n = n << 4 | (uint64_t)digit;
    }
    *value = n;
    return true;
}

char *str_to_z(struct arena *arena, struct str s)
{
    char *copy = arena_alloc(arena, s.len + 1);
    if (copy == NULL)
        return NULL;
    if (s.len)
        memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct str str_dup(struct arena *arena, struct str s)
{
    char *copy = str_to_z(arena, s);
    return (struct str){.at = copy, .len = copy ? s.len : 0};
}

struct str str_lower(struct arena *arena, struct str s)
{
    char *copy = str_to_z(arena, s);
    if (copy == NULL)
        return (struct str){0};
    for (size_t i = 0; i < s.len; i++)
        copy[i] = char_lower(copy[i]);
    return (struct str){.at = copy, .len = s.len};
}

struct str str_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *at = len < 0 ? NULL : arena_alloc(arena, (size_t)len + 1);
    if (at != NULL)
        vsnprintf(at, (size_t)len + 1, format, again);
    va_end(again);
    return (struct str){.at = at, .len = at ? (size_t)len : 0};
}
