#include "app/prescan.h"

#include "app/state_dir.h"
#include "base/arena.h"
#include "config/tree.h"

#include <limits.h>
#include <string.h>
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

static const struct statement *find_in(const struct block *block, struct str name)
{
    for (const struct statement *s = block->first; s != NULL; s = s->next)
        if (s->count >= 2 && str_eq(s->words[0].text, name))
            return s;
    return NULL;
}

/* A site whose own `tls` line, or else that of the file (may be NULL), says `internal`. */
static bool is_internal(const struct statement *s, const struct statement *of_file)
{
    if (s->count < 2 || !str_eq(s->words[0].text, STR("site")))
        return false;
    const struct statement *tls = s->block == NULL ? NULL : find_in(s->block, STR("tls"));
    if (tls == NULL)
        tls = of_file;
    return tls != NULL && str_eq(tls->words[1].text, STR("internal"));
}

/* As compiling writes it: lower case, no final dot. Other than plain names are left to it. */
static struct str host_of(struct arena *arena, struct str word)
{
    if (str_ends(word, STR(".")))
        word = str_sub(word, 0, word.len - 1);
    for (size_t i = 0; i < word.len; i++)
        if (!char_is_alpha(word.at[i]) && !char_is_digit(word.at[i]) &&
            (word.at[i] == '\0' || strchr("-._:*", word.at[i]) == NULL))
            return STR("");
    return str_lower(arena, word);
}

static void find_hosts(struct prescan *out, struct arena *arena, const struct tree *tree)
{
    const struct statement *of_file = find_in(&tree->top, STR("tls"));
    size_t words = 0;
    for (const struct statement *s = tree->top.first; s != NULL; s = s->next)
        words += is_internal(s, of_file) ? s->count : 0;
    out->hosts = arena_array(arena, words + 1, sizeof *out->hosts);
    if (out->hosts == NULL)
        return;
    for (const struct statement *s = tree->top.first; s != NULL; s = s->next)
        for (size_t i = 1;
             is_internal(s, of_file) && i < s->count && s->words[i].kind != WORD_ARROW; i++) {
            struct str host = host_of(arena, s->words[i].text);
            if (!str_empty(host))
                out->hosts[out->host_count++] = host;
        }
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
    const struct statement *state = find_in(&tree.top, STR("state"));
    const struct statement *control = find_in(&tree.top, STR("control"));
    if (state != NULL)
        out->state_dir = resolve(arena, &state->words[1]);
    if (control != NULL)
        out->control_path = resolve(arena, &control->words[1]);
    find_hosts(out, arena, &tree);
    if (str_empty(out->state_dir))
        out->state_dir = state_dir_default(arena, &facts);
    if (str_empty(out->control_path))
        out->control_path = str_printf(arena, "%.*s/control.sock", STR_ARG(out->state_dir));
}
