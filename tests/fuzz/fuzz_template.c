/*
 * A template (first line) with a value (the rest) put in everywhere: what is expanded for a header
 * can be written as one, and what is expanded for a URL has no byte that a URL cannot have.
 */
#include "base/arena.h"
#include "http/header.h"
#include "proxy/template.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new((size_t)64 << 20, 4096);
    struct str all = str_from(data, size), text;
    if (!str_split(&all, '\n', &text))
        text = all;
    struct str groups[10];
    for (size_t i = 0; i < 10; i++)
        groups[i] = all;
    const struct template_values values = {.client = all,
                                           .host = all,
                                           .scheme = all,
                                           .method = all,
                                           .path = all,
                                           .query = all,
                                           .request_id = all,
                                           .rest = all,
                                           .groups = groups};
    struct template t;
    size_t at, len;
    if (template_compile(arena, text, true, &t, &at, &len)) {
        struct text header = text_in(arena, 1 << 20), url = text_in(arena, 1 << 20);
        template_expand(&t, &values, TEMPLATE_IN_HEADER, &header);
        template_expand(&t, &values, TEMPLATE_IN_URL, &url);
        if (header_value_ok(text) && text_ok(&header) && !header_value_ok(text_str(&header)))
            abort();
        for (size_t i = 0; i < url.len; i++)
            if (((unsigned char)url.at[i] <= 0x20 || (unsigned char)url.at[i] >= 0x7f) &&
                str_find_byte(text, url.at[i]) == SIZE_MAX)
                abort();
        if (str_starts(text_str(&url), STR("//")) && !str_starts(text, STR("//")))
            abort();
    } else if (len != 0 && at + len > text.len) {
        abort();
    }
    arena_end(arena);
    return 0;
}
