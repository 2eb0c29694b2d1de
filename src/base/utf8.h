/* Well-formed UTF-8 (RFC 3629): no overlong form, no surrogate, nothing beyond U+10FFFF. */
#ifndef PC_BASE_UTF8_H
#define PC_BASE_UTF8_H

#include "base/str.h"

/* Length of the sequence that `s` begins with, 0 where there is none. */
static inline size_t utf8_length(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.at;
    if (p == NULL || s.len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    size_t need = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || s.len < need)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return need;
}

/* How many code points; every byte that is no UTF-8 counts as one. */
static inline size_t utf8_count(struct str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; count++) {
        size_t len = utf8_length(str_skip(s, i));
        i += len ? len : 1;
    }
    return count;
}

#endif
