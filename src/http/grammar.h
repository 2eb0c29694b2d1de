/*
 * The character classes that HTTP is made of (RFC 9110 5.5, 5.6.2; RFC 3986 2), as one table of
 * bits. Everything that reads or writes a field, a method or a target asks here, so that what is
 * accepted and what is written cannot drift apart.
 */
#ifndef PC_HTTP_GRAMMAR_H
#define PC_HTTP_GRAMMAR_H

#include "base/str.h"

enum {
    GRAMMAR_TOKEN = 1,  /* tchar: a method, a field name, most parameters */
    GRAMMAR_TEXT = 2,   /* HTAB, SP, VCHAR, obs-text: inside a field value */
    GRAMMAR_TARGET = 4, /* 0x21 to 0x7e without '#': inside a request target */
    GRAMMAR_HOST = 8,   /* letters, digits, '-', '.', '_' */
};

extern const uint8_t grammar_class[256];

static inline bool grammar_is(char c, unsigned classes)
{
    return (grammar_class[(unsigned char)c] & classes) != 0;
}

/* Is every byte of `s` in one of the classes? True for the empty string. */
bool grammar_all(struct str s, unsigned classes);
/* A token of RFC 9110 5.6.2: at least one byte. */
bool grammar_token(struct str s);

/*
 * How many bytes at the beginning are GRAMMAR_TEXT: the hot loop of reading a head, 16 bytes at a
 * time where the processor can. The scalar twin gives the same answer for every input and is what
 * the tests hold the fast one against.
 */
size_t grammar_text_len(struct str s);
size_t grammar_text_len_scalar(struct str s);

#endif
