/*
 * Is this one well-formed JSON value (RFC 8259), of printable bytes alone? A judge of what the
 * program writes, so it is strict and small; nesting is bounded.
 */
#ifndef PC_TESTS_JSON_CHECK_H
#define PC_TESTS_JSON_CHECK_H

#include "base/str.h"

enum { JSON_DEPTH_MAX = 8 };

static inline bool json_take(struct str *s, char c)
{
    if (str_empty(*s) || s->at[0] != c)
        return false;
    *s = str_skip(*s, 1);
    return true;
}

static inline bool json_escape(struct str *s)
{
    if (str_empty(*s))
        return false;
    char c = s->at[0];
    *s = str_skip(*s, 1);
    if (c != 'u')
        return str_find_byte(STR("\"\\/bfnrt"), c) != SIZE_MAX;
    for (int i = 0; i < 4; i++) {
        if (str_empty(*s) || char_hex(s->at[0]) < 0)
            return false;
        *s = str_skip(*s, 1);
    }
    return true;
}

static inline bool json_string(struct str *s)
{
    if (!json_take(s, '"'))
        return false;
    while (!str_empty(*s)) {
        unsigned char c = (unsigned char)s->at[0];
        *s = str_skip(*s, 1);
        if (c == '"')
            return true;
        if (c < 0x20 || c == 0x7f || (c == '\\' && !json_escape(s)))
            return false;
    }
    return false;
}

static inline bool json_word(struct str *s, struct str word)
{
    if (!str_starts(*s, word))
        return false;
    *s = str_skip(*s, word.len);
    return true;
}

/* What this program writes: integers without sign. */
static inline bool json_number(struct str *s)
{
    size_t digits = 0;
    while (digits < s->len && char_is_digit(s->at[digits]))
        digits++;
    bool ok = digits != 0 && (digits == 1 || s->at[0] != '0');
    *s = str_skip(*s, digits);
    return ok;
}

static inline bool json_value(struct str *s, int depth)
{
    if (str_empty(*s) || depth > JSON_DEPTH_MAX)
        return false;
    char open = s->at[0];
    if (open == '"')
        return json_string(s);
    if (open != '{' && open != '[')
        return json_word(s, STR("true")) || json_word(s, STR("false")) || json_number(s);
    char close = open == '{' ? '}' : ']';
    *s = str_skip(*s, 1);
    if (json_take(s, close))
        return true;
    do {
        if (open == '{' && (!json_string(s) || !json_take(s, ':')))
            return false;
        if (!json_value(s, depth + 1))
            return false;
    } while (json_take(s, ','));
    return json_take(s, close);
}

static inline bool json_is_object(struct str s)
{
    return str_starts(s, STR("{")) && json_value(&s, 0) && str_empty(s);
}

/* No byte that moves a cursor or ends a line. */
static inline bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] < 0x20 || s.at[i] == 0x7f)
            return false;
    return true;
}

#endif
