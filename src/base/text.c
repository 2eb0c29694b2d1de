#include "base/text.h"

#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text text_over(void *memory, size_t bytes)
{
    return (struct text){.at = memory, .cap = bytes, .max = bytes};
}

struct text text_in(struct arena *arena, size_t max)
{
    return (struct text){.arena = arena, .max = max};
}

/* Room for `more` further bytes; false (and `cut`) where the bound forbids it. */
static bool text_reserve(struct text *text, size_t more)
{
    if (more <= text->cap - text->len)
        return true;
    if (text->arena == NULL || more > text->max - text->len) {
        text->cut = true;
        return false;
    }
    size_t cap = text->cap < 64 ? 64 : text->cap * 2;
    while (cap < text->len + more)
        cap *= 2;
    if (cap > text->max)
        cap = text->max;
    char *at = arena_alloc(text->arena, cap);
    if (at == NULL) {
        text->cut = true;
        return false;
    }
    if (text->len)
        memcpy(at, text->at, text->len);
    text->at = at;
    text->cap = cap;
    return true;
}

void text_add_slow(struct text *text, struct str s)
{
    if (s.len == 0 || text->cut)
        return;
    if (!text_reserve(text, s.len)) {
        if (text->arena == NULL) { /* a fixed buffer takes as much as fits */
            memcpy(text->at + text->len, s.at, text->cap - text->len);
            text->len = text->cap;
        }
        return;
    }
    memcpy(text->at + text->len, s.at, s.len);
    text->len += s.len;
}

/* All of `s` or nothing: an escape or a character is never cut in the middle. */
static void add_whole(struct text *text, struct str s)
{
    if (s.len == 0 || text->cut || !text_reserve(text, s.len))
        return;
    memcpy(text->at + text->len, s.at, s.len);
    text->len += s.len;
}

void text_add_z(struct text *text, const char *z)
{
    text_add(text, str_from_z(z));
}

void text_add_u64(struct text *text, uint64_t n)
{
    char digits[20];
    if (n < 10) {
        text_add_byte(text, (char)('0' + n));
        return;
    }
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    text_add(text, str_from(digits + at, sizeof digits - at));
}

void text_printf(struct text *text, const char *format, ...)
{
    char small[512];
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof small) {
        text_add(text, str_from(small, (size_t)len));
    } else if (len >= 0 && !text->cut && text_reserve(text, (size_t)len + 1)) {
        vsnprintf(text->at + text->len, (size_t)len + 1, format, again);
        text->len += (size_t)len;
    }
    va_end(again);
}

static const char hex_digits[] = "0123456789abcdef";

/*
 * Length of the well-formed UTF-8 sequence at `s` (RFC 3629), 0 where there is none.
 * `*code` is its code point.
 */
static size_t utf8_at(struct str s, uint32_t *code)
{
    const unsigned char *p = (const unsigned char *)s.at;
    if (p[0] < 0x80) {
        *code = p[0];
        return 1;
    }
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || s.len < len)
        return 0;
    uint32_t c = p[0] & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fU);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *code = c;
    return len;
}

/* Code points that change how a terminal shows the text around them. */
static bool is_deceptive(uint32_t c)
{
    return (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static void add_u(struct text *text, uint32_t code)
{
    char out[6] = {'\\',
                   'u',
                   hex_digits[code >> 12 & 15],
                   hex_digits[code >> 8 & 15],
                   hex_digits[code >> 4 & 15],
                   hex_digits[code & 15]};
    add_whole(text, str_from(out, sizeof out));
}

void text_add_escaped(struct text *text, struct str s)
{
    while (s.len != 0 && !text->cut) {
        uint32_t code = 0;
        size_t len = utf8_at(s, &code);
        if (len == 0 || code < 0x20 || code == 0x7f) {
            unsigned char byte = (unsigned char)s.at[0];
            char out[4] = {'\\', 'x', hex_digits[byte >> 4], hex_digits[byte & 15]};
            add_whole(text, str_from(out, 4));
            len = 1;
        } else if (code == '\\') {
            add_whole(text, STR("\\\\"));
        } else if (is_deceptive(code)) {
            add_u(text, code);
        } else {
            add_whole(text, str_sub(s, 0, len));
        }
        s = str_skip(s, len);
    }
}

void text_add_json(struct text *text, struct str s)
{
    text_add_byte(text, '"');
    while (s.len != 0 && !text->cut) {
        size_t plain = 0; /* a run that needs nothing, taken at once */
        while (plain < s.len && (unsigned char)s.at[plain] >= 0x20 && s.at[plain] != '"' &&
               s.at[plain] != '\\' && (unsigned char)s.at[plain] < 0x7f)
            plain++;
        text_add(text, str_sub(s, 0, plain));
        s = str_skip(s, plain);
        if (s.len == 0)
            break;
        uint32_t code = 0;
        size_t len = utf8_at(s, &code);
        if (len == 0) {
            add_u(text, (unsigned char)s.at[0]);
            len = 1;
        } else if (code == '"' || code == '\\') {
            char out[2] = {'\\', (char)code};
            add_whole(text, str_from(out, 2));
        } else if (code < 0x20 || is_deceptive(code)) {
            add_u(text, code);
        } else {
            add_whole(text, str_sub(s, 0, len));
        }
        s = str_skip(s, len);
    }
    text_add_byte(text, '"');
}

/* The reference of a character that means something in HTML; empty for any other. */
static struct str html_reference(uint32_t code)
{
    switch (code) {
    case '&':
        return STR("&amp;");
    case '<':
        return STR("&lt;");
    case '>':
        return STR("&gt;");
    case '"':
        return STR("&quot;");
    case '\'':
        return STR("&#39;");
    default:
        return (struct str){0};
    }
}

void text_add_html(struct text *text, struct str s)
{
    while (s.len != 0 && !text->cut) {
        uint32_t code = 0;
        size_t len = utf8_at(s, &code);
        struct str reference = html_reference(code);
        if (len == 0)
            add_whole(text, STR("\xef\xbf\xbd")); /* U+FFFD, as a browser would */
        else if (reference.len != 0)
            add_whole(text, reference);
        else if ((code >= 0x20 && code < 0x7f) || code > 0x9f || code == '\t' || code == '\n')
            add_whole(text, str_sub(s, 0, len));
        s = str_skip(s, len ? len : 1);
    }
}

void text_add_percent(struct text *text, struct str s, const char *keep)
{
    static const char upper[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        bool unreserved = char_is_alpha(c) || char_is_digit(c) || c == '-' || c == '.' ||
                          c == '_' || c == '~' || (c != '\0' && strchr(keep, c) != NULL);
        if (unreserved) {
            text_add_byte(text, c);
        } else {
            unsigned char byte = (unsigned char)c;
            char out[3] = {'%', upper[byte >> 4], upper[byte & 15]};
            add_whole(text, str_from(out, 3));
        }
    }
}
