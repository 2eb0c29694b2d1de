#include "app/sandbox_roots.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what is kept from the worker ---- */

struct secrets {
    struct str *paths;
    size_t count;
};

static bool is_secret(const struct source *source)
{
    return (source->kind == SOURCE_CONF || source->kind == SOURCE_KEY) && source->why.len == 0;
}

/* Names that are no files (issued keys, a configuration from the command line) have no path. */
static bool add_secret(struct secrets *secrets, struct arena *arena, struct str name)
{
    char real[PATH_MAX];
    const char *z = str_to_z(arena, name);
    if (z == NULL)
        return false;
    if (realpath(z, real) == NULL)
        return true;
    struct str path = str_dup(arena, str_from_z(real));
    if (path.at == NULL)
        return false;
    secrets->paths[secrets->count++] = path;
    return true;
}

static bool gather(struct secrets *secrets, const struct snapshot *snapshot,
                   const struct source_set *sources, struct arena *arena)
{
    size_t most = 1; /* the state */
    for (const struct source *s = source_first(sources); s != NULL; s = s->next)
        most += is_secret(s);
    secrets->count = 0;
    secrets->paths = arena_array(arena, most, sizeof *secrets->paths);
    if (secrets->paths == NULL || !add_secret(secrets, arena, snapshot->state_dir))
        return false;
    for (const struct source *s = source_first(sources); s != NULL; s = s->next)
        if (is_secret(s) && !add_secret(secrets, arena, s->name))
            return false;
    return true;
}

/* ---- choosing ---- */

bool sandbox_roots_holds(struct str folder, struct str path)
{
    if (str_eq(folder, STR("/")))
        return true;
    return str_starts(path, folder) && (path.len == folder.len || path.at[folder.len] == '/');
}

static struct str parent_of(struct str path)
{
    size_t slash = path.len;
    while (slash > 0 && path.at[slash - 1] != '/')
        slash--;
    return str_sub(path, 0, slash <= 1 ? slash : slash - 1);
}

struct str sandbox_roots_readable(struct str root, const struct str *secrets, size_t secret_count)
{
    struct str parent = parent_of(root);
    if (parent_of(parent).len <= 1) /* "/" or "/srv" */
        return root;
    for (size_t i = 0; i < secret_count; i++)
        if (sandbox_roots_holds(parent, secrets[i]))
            return root;
    return parent;
}

static bool is_chosen(const struct sandbox_roots *chosen, struct str path)
{
    for (unsigned i = 0; i < chosen->count; i++)
        if (str_eq(str_from_z(chosen->roots[i].path), path))
            return true;
    return false;
}

static bool choose(struct sandbox_roots *out, struct str path, struct diag *diag)
{
    struct stat st;
    if (is_chosen(out, path))
        return true;
    if (out->count == ROOTS_MAX) {
        diag_error(diag, NULL, "'files' serves more than %d folders that lie apart", ROOTS_MAX);
        return false;
    }
    struct letter_root *root = &out->roots[out->count];
    if (!letter_set_text(root->path, sizeof root->path, path)) {
        diag_error(diag, NULL, "a folder of 'files' has too long a path: %.*s", STR_ARG(path));
        return false;
    }
    if (stat(root->path, &st) != 0)
        return true; /* gone since it was checked */
    root->device = st.st_dev;
    root->inode = st.st_ino;
    out->count++;
    return true;
}

static void warn_of_secrets(struct str root, const struct secrets *secrets, struct diag *diag)
{
    for (size_t i = 0; i < secrets->count; i++)
        if (sandbox_roots_holds(root, secrets->paths[i])) {
            diag_warning(diag, NULL, "the folder %.*s of 'files' holds %.*s: whoever asks gets it",
                         STR_ARG(root), STR_ARG(secrets->paths[i]));
            return;
        }
}

bool sandbox_roots_choose(struct sandbox_roots *out, const struct snapshot *snapshot,
                          const struct source_set *sources, struct arena *arena, struct diag *diag)
{
    struct secrets secrets;
    out->count = 0;
    if (!gather(&secrets, snapshot, sources, arena)) {
        diag_error(diag, NULL, "no memory");
        return false;
    }
    for (size_t i = 0; i < snapshot->file_root_count; i++) {
        struct str root = snapshot->file_roots[i];
        warn_of_secrets(root, &secrets, diag);
        if (!choose(out, sandbox_roots_readable(root, secrets.paths, secrets.count), diag))
            return false;
    }
    return true;
}
