#include "app/prescan.h"

#include "app/state_dir.h"
#include "base/arena.h"
#include "config/tree.h"

#include <limits.h>
#include <unistd.h>

/* Relative paths are meant from the folder of the file that names them. */
static struct str resolve(struct arena *arena, const struct word *word)
{
    char here[PATH_MAX];
    struct str path = word->text, file = word->pos.file;
    size_t folder = 0;
    if (str_starts(path, STR("/")))
        return str_dup(arena, path);
    for (size_t i = 0; i < file.len; i++)
        if (file.at[i] == '/')
            folder = i + 1;
    if (str_starts(file, STR("/")))
        here[0] = '\0';
    else if (getcwd(here, sizeof here) == NULL)
        return STR("");
    return str_printf(arena, "%s%s%.*s%.*s", here, here[0] == '\0' ? "" : "/", (int)folder, file.at,
                      STR_ARG(path));
}

static bool is_site(const struct statement *s)
{
    return s->count >= 2 && str_eq(s->words[0].text, STR("site"));
}

static void find_hosts(struct prescan *out, struct arena *arena, const struct tree *tree)
{
    size_t words = 0;
    for (const struct statement *s = tree->top.first; s != NULL; s = s->next)
        words += is_site(s) ? s->count : 0;
    out->hosts = arena_array(arena, words + 1, sizeof *out->hosts);
    if (out->hosts == NULL)
        return;
    for (const struct statement *s = tree->top.first; s != NULL; s = s->next)
        for (size_t i = 1; is_site(s) && i < s->count && s->words[i].kind != WORD_ARROW; i++)
            if (!str_eq(s->words[i].text, STR("*")))
                out->hosts[out->host_count++] = str_lower(arena, s->words[i].text);
}

void prescan_read(struct prescan *out, struct arena *arena, struct source_set *sources,
                  const char *path)
{
    struct state_facts facts = state_facts_now();
    struct tree tree = {0};
    struct diag diag;
    *out = (struct prescan){0};
    diag_init(&diag, arena);
    if (!tree_parse(&tree, arena, sources, str_from_z(path), &diag))
        diag.errors++; /* compiling tells them; what could be read is enough here */
    for (const struct statement *s = tree.top.first; s != NULL; s = s->next) {
        if (s->count < 2)
            continue;
        if (str_eq(s->words[0].text, STR("state")))
            out->state_dir = resolve(arena, &s->words[1]);
        else if (str_eq(s->words[0].text, STR("control")))
            out->control_path = resolve(arena, &s->words[1]);
    }
    find_hosts(out, arena, &tree);
    if (str_empty(out->state_dir))
        out->state_dir = state_dir_default(arena, &facts);
    if (str_empty(out->control_path))
        out->control_path = str_printf(arena, "%.*s/control.sock", STR_ARG(out->state_dir));
}
