/* The JSON twin, of a text and as a text: what is read means the same again when written. */
#include "base/arena.h"
#include "config/tree.h"

#include <stdlib.h>

static struct str twin_of(struct arena *arena, const struct tree *tree)
{
    struct text out = text_in(arena, 64 << 20);
    twin_print(tree, &out);
    if (!text_ok(&out))
        abort();
    return text_str(&out);
}

static struct str layout_of(struct arena *arena, const struct tree *tree)
{
    struct text out = text_in(arena, 64 << 20);
    tree_print(tree, &out);
    return text_str(&out);
}

static void same(const struct block *a, const struct block *b)
{
    const struct statement *s = a->first, *t = b->first;
    for (; s != NULL && t != NULL; s = s->next, t = t->next) {
        if (s->count != t->count || (s->block == NULL) != (t->block == NULL) ||
            !str_eq(s->trailing, t->trailing))
            abort();
        for (size_t i = 0; i < s->count; i++)
            if (s->words[i].kind != WORD_SINGLE && !str_eq(s->words[i].text, t->words[i].text))
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
    struct tree first, twin, again;
    diag_init(&diag, arena);
    if (tree_parse_text(&first, arena, STR("x"), str_from(data, size), &diag)) {
        if (!tree_parse_text(&twin, arena, STR("x"), twin_of(arena, &first), &diag))
            abort();
        same(&first.top, &twin.top);
        struct str layout = layout_of(arena, &twin);
        if (!tree_parse_text(&again, arena, STR("x"), layout, &diag))
            abort();
        same(&twin.top, &again.top);
        if (!str_eq(layout, layout_of(arena, &again)))
            abort();
    }
    struct text rendered = text_in(arena, 64 << 20);
    diag_render(&diag, &rendered, false);
    arena_end(arena);
    return 0;
}
