/*
 * Text is built by appending under a bound: the one way in this program to put bytes together, so
 * that no length is ever computed in a second place. The memory is the caller's (text_over) or an
 * arena's and grows (text_in). What does not fit is cut and remembered: text_ok() answers false,
 * and the caller says what that means. The escaping functions cut between characters only.
 */
#ifndef PC_BASE_TEXT_H
#define PC_BASE_TEXT_H

#include "base/str.h"

struct text {
    char *at;
    size_t len, cap, max;
    struct arena *arena; /* NULL: `at` is the caller's and does not grow */
    bool cut;
};

/* Writes over `memory`; never adds a NUL byte. */
struct text text_over(void *memory, size_t bytes);
/* Grows in the arena by doubling, up to `max` bytes. */
struct text text_in(struct arena *arena, size_t max);

void text_add_slow(struct text *text, struct str s); /* text_add() where there may be no room */
static inline void text_add(struct text *text, struct str s)
{
    if (s.len > text->cap - text->len || text->cut) {
        text_add_slow(text, s);
        return;
    }
    /* @UNSAFE: the room was looked at above, from the same length. */
    if (s.len != 0)
        memcpy(text->at + text->len, s.at, s.len);
    text->len += s.len;
}
void text_add_z(struct text *text, const char *z);
static inline void text_add_byte(struct text *text, char c)
{
    if (text->len < text->cap && !text->cut)
        text->at[text->len++] = c;
    else
        text_add_slow(text, (struct str){.at = &c, .len = 1});
}
void text_add_u64(struct text *text, uint64_t n);
__attribute__((format(printf, 2, 3))) void text_printf(struct text *text, const char *format, ...);

/*
 * The bytes of `s` made safe for a terminal and a log: control bytes, DEL, C1, bidirectional marks
 * and invalid UTF-8 become \xNN (bytes) or \uNNNN, a backslash becomes two.
 */
void text_add_escaped(struct text *text, struct str s);
/* A JSON string with its quotes (RFC 8259 7); invalid UTF-8, C1 and bidi marks are escaped: a byte
 * that is no UTF-8 as \u00NN. */
void text_add_json(struct text *text, struct str s);
/*
 * For HTML text and attribute values: & < > " ' become references; control characters (C0 but TAB
 * and LF, DEL, C1) vanish; a byte that is no UTF-8 becomes U+FFFD.
 */
void text_add_html(struct text *text, struct str s);
/* Percent-encodes every byte that is not unreserved (RFC 3986 2.3) or in `keep`. */
void text_add_percent(struct text *text, struct str s, const char *keep);

static inline bool text_ok(const struct text *text)
{
    return !text->cut;
}
static inline struct str text_str(const struct text *text)
{
    return (struct str){.at = text->at, .len = text->len};
}

#endif
