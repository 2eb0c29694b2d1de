#include "http/grammar.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/*
 * One row is 16 byte values. Bits: 1 token, 2 text, 4 target, 8 host.
 */
const uint8_t grammar_class[256] = {
    /* 0x00 */ 0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0,
    /* 0x10 */ 0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
    /* 0x20 */ 2,  7,  6,  3,  7,  7,  7,  7,  6,  6,  7,  7,  6,  15, 15, 6,
    /* 0x30 */ 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6,  6,  6,  6,  6,  6,
    /* 0x40 */ 6,  15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    /* 0x50 */ 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6,  6,  6,  7,  15,
    /* 0x60 */ 7,  15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    /* 0x70 */ 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6,  7,  6,  7,  0,
    /* 0x80 */ 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    /* 0x90 */ 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    /* 0xa0 */ 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    /* 0xb0 */ 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    /* 0xc0 */ 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    /* 0xd0 */ 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    /* 0xe0 */ 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    /* 0xf0 */ 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
};

bool grammar_all(struct str s, unsigned classes)
{
    for (size_t i = 0; i < s.len; i++)
        if (!grammar_is(s.at[i], classes))
            return false;
    return true;
}

bool grammar_token(struct str s)
{
    return s.len != 0 && grammar_all(s, GRAMMAR_TOKEN);
}

size_t grammar_text_len_scalar(struct str s)
{
    size_t i = 0;
    while (i < s.len && grammar_is(s.at[i], GRAMMAR_TEXT))
        i++;
    return i;
}

#if defined(__SSE2__)
/* Bit i: byte i of the 16 at `at` is no text. */
static unsigned bad_bytes(const char *at)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    __m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x09));
    __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
}

size_t grammar_text_len(struct str s)
{
    if (s.len < 16)
        return grammar_text_len_scalar(s);
    /* @UNSAFE: every load ends inside `s`: the last one with it, over bytes already seen. */
    for (size_t i = 0; i < s.len; i += 16) {
        size_t from = i + 16 <= s.len ? i : s.len - 16;
        unsigned bad = bad_bytes(s.at + from);
        if (bad != 0)
            return from + (size_t)__builtin_ctz(bad);
    }
    return s.len;
}
#else
size_t grammar_text_len(struct str s)
{
    return grammar_text_len_scalar(s);
}
#endif
