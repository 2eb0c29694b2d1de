#include "base/text.h"
#include "base/utf8.h"

#include <stdlib.h>

static char out[64 * 1024];

/* Well-formed UTF-8 and, but for what HTML allows, no control byte. */
static void need_clean(struct str s, bool lines)
{
    while (s.len != 0) {
        size_t len = utf8_length(s);
        unsigned char c = (unsigned char)s.at[0];
        if (len == 0 || c == 0x7f || (c < 0x20 && !(lines && (c == '\t' || c == '\n'))) ||
            (len == 2 && c == 0xc2 && (unsigned char)s.at[1] < 0xa0))
            abort();
        s = str_skip(s, len);
    }
}

/* A JSON string that is whole: quotes at its ends only, known escapes only. */
static void need_json(struct str s)
{
    if (s.len < 2 || s.at[0] != '"' || s.at[s.len - 1] != '"')
        abort();
    for (size_t i = 1; i < s.len - 1; i++) {
        uint64_t code;
        if (s.at[i] == '"')
            abort();
        if (s.at[i] != '\\')
            continue;
        char c = s.at[++i];
        if (i >= s.len - 1 || (c != '"' && c != '\\' && c != 'u'))
            abort();
        if (c == 'u' && (i + 4 >= s.len - 1 || !str_to_hex64(str_sub(s, i + 1, 4), &code)))
            abort();
    }
}

/* The first byte chooses the room, so that every cut is met too. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 8 * 1024)
        return 0;
    struct str in = str_from(data + 1, size - 1);
    size_t room = data[0] == 0 ? sizeof out : data[0];
    struct text text = text_over(out, room);
    text_add_escaped(&text, in);
    need_clean(text_str(&text), false);
    text = text_over(out, room);
    text_add_html(&text, in);
    need_clean(text_str(&text), true);
    text = text_over(out, room);
    text_add_percent(&text, in, "/");
    need_clean(text_str(&text), false);
    text = text_over(out, sizeof out);
    text_add_json(&text, in);
    need_clean(text_str(&text), false);
    need_json(text_str(&text));
    return 0;
}
