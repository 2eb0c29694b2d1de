#include "app/record_text.h"

#include "base/arena.h"
#include "base/utf8.h"

#include <stdlib.h>

/* Nothing that a terminal acts on. */
static void need_clean(struct str s)
{
    while (s.len != 0) {
        size_t len = utf8_length(s);
        unsigned char c = (unsigned char)s.at[0];
        if (len == 0 || c == 0x7f || (c < 0x20 && c != '\n') ||
            (len == 2 && c == 0xc2 && (unsigned char)s.at[1] < 0xa0))
            abort();
        s = str_skip(s, len);
    }
}

/* A line of a log that anybody may have written. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(32 << 20, 4096);
    struct str line = str_from(data, size);
    struct text full = text_in(arena, 1 << 20), one = text_in(arena, 1 << 20),
                json = text_in(arena, 1 << 20), again = text_in(arena, 1 << 20);
    bool fits = record_text_full(arena, line, false, &full);
    if (record_text_line(arena, line, &one) != fits ||
        record_text_json(arena, line, false, &json) != fits)
        abort();
    need_clean(text_str(&full));
    need_clean(text_str(&one));
    need_clean(text_str(&json));
    /* What was written is a record, and masking it once more changes nothing. */
    if (fits && text_ok(&json) &&
        (!record_text_json(arena, text_str(&json), false, &again) ||
         (text_ok(&again) && !str_eq(text_str(&json), text_str(&again)))))
        abort();
    arena_end(arena);
    return 0;
}
