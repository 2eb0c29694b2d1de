/* A configuration's text: what parses must print, parse again to the same, and print the same. */
#include "base/arena.h"
#include "config/tree.h"

#include <stdlib.h>

static void same(const struct block *a, const struct block *b)
{
    const struct statement *s = a->first, *t = b->first;
    for (; s != NULL && t != NULL; s = s->next, t = t->next) {
        if (s->count != t->count || (s->block == NULL) != (t->block == NULL) ||
            !str_eq(s->trailing, t->trailing))
            abort();
        for (size_t i = 0; i < s->count; i++)
            if (s->words[i].kind != t->words[i].kind || !str_eq(s->words[i].text, t->words[i].text))
                abort();
        if (s->block != NULL)
            same(s->block, t->block);
    }
    if (s != NULL || t != NULL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(256 << 20, 4096);
    struct diag diag;
    struct tree tree, again;
    diag_init(&diag, arena);
    if (tree_parse_text(&tree, arena, STR("x"), str_from(data, size), &diag)) {
        struct text first = text_in(arena, 64 << 20);
        struct text second = text_in(arena, 64 << 20);
        tree_print(&tree, &first);
        if (!tree_parse_text(&again, arena, STR("x"), text_str(&first), &diag))
            abort();
        same(&tree.top, &again.top);
        tree_print(&again, &second);
        if (!text_ok(&first) || !str_eq(text_str(&first), text_str(&second)))
            abort();
    }
    struct text rendered = text_in(arena, 64 << 20);
    diag_render(&diag, &rendered, true);
    arena_end(arena);
    return 0;
}
