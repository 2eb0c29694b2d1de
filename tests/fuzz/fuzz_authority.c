/* A Host value: what is taken is lower case and, written again, taken as the same. */
#include "base/text.h"
#include "http/authority.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(1 << 16, 1024);
    struct authority a, b;
    if (authority_parse(arena, str_from(data, size), &a)) {
        struct text out = text_in(arena, 4096);
        text_printf(&out, a.is_ip6 ? "[%.*s]" : "%.*s", STR_ARG(a.host));
        if (a.has_port)
            text_printf(&out, ":%u", (unsigned)a.port);
        if (!authority_parse(arena, text_str(&out), &b) || !authority_same(&a, &b, 80) ||
            b.has_port != a.has_port)
            abort();
        for (size_t i = 0; i < a.host.len; i++)
            if (a.host.at[i] != char_lower(a.host.at[i]))
                abort();
    }
    arena_end(arena);
    return 0;
}
