/* A request target: its path obeys its own rules, and every prefix cuts both spellings alike. */
#include "http/uri.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left behind a prefix that ends with a slash has the rest of the canonical path. */
static void cut(struct arena *arena, const struct uri *uri, size_t prefix)
{
    struct text out = text_in(arena, 1 << 16);
    struct uri rest;
    struct parse_error error;
    uri_add_stripped(&out, uri, prefix);
    if (uri_parse(arena, text_str(&out), &rest, &error) != PARSE_DONE ||
        !str_eq(str_skip(rest.path, 1), str_skip(uri->path, prefix)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str target = str_from(data, size);
    struct uri uri;
    struct parse_error error;
    if (size > 512)
        return 0;
    struct arena *arena = arena_new(1 << 22, 4096);
    if (uri_parse(arena, target, &uri, &error) == PARSE_DONE && !str_eq(uri.path, STR("*"))) {
        if (uri_path_fault(uri.path) != NULL ||
            uri_raw_offset(uri.raw_path, uri.path.len) != uri.raw_path.len)
            abort();
        for (size_t n = 1; n <= uri.path.len && uri.raw_path.len; n++)
            if (uri.path.at[n - 1] == '/')
                cut(arena, &uri, n);
    }
    for (int place = URI_PATH; place <= URI_HOST; place++) {
        struct text out = text_in(arena, 1 << 16);
        uri_add_encoded(&out, (enum uri_place)place, target);
        for (size_t i = 0; i < out.len; i++)
            if (out.at[i] <= ' ' || out.at[i] >= 0x7f || out.at[i] == '#' || out.at[i] == '\\')
                abort();
    }
    arena_end(arena);
    return 0;
}
