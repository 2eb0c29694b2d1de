/* A Cookie or Set-Cookie value: all pairs end, and what is rewritten may be written. */
#include "http/cookie.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str value = str_trim(str_from(data, size)), rest = value, name, found;
    if (!header_value_ok(value))
        return 0;
    size_t pairs = 0;
    while (cookie_next(&rest, &name, &found))
        if (++pairs > size || (name.len == 0 && found.len == 0))
            abort();
    struct arena *arena = arena_new(1 << 20, 1024);
    struct text out = text_in(arena, 1 << 18), again = text_in(arena, 1 << 18);
    struct text masked = text_in(arena, 1 << 18);
    struct cookie_route route = {STR("/p"), STR("localhost")};
    /* A second time there is nothing left to do. */
    if (cookie_rewrite(&out, value, &route) && (!header_value_ok(str_trim(text_str(&out))) ||
                                                cookie_rewrite(&again, text_str(&out), &route)))
        abort();
    cookie_add_masked(&masked, value, false);
    if (!text_ok(&out) || !text_ok(&masked))
        abort();
    arena_end(arena);
    return 0;
}
