#include "config/compile_tls_dir.h"

#include "base/arena.h"
#include "tls/tls_cert.h"

#include <string.h>

/* A folder of more certificates than this wants several. */
#define FILES_MAX 4096

struct folder {
    struct tls_pair *pairs;
    size_t count;
};

struct candidate {
    const struct source *source;
    struct str name;
    bool has_cert, has_key;
    bool is_used;
};

static bool looks_like_pem(struct str name)
{
    return str_ends(name, STR(".pem")) || str_ends(name, STR(".crt")) ||
           str_ends(name, STR(".cer")) || str_ends(name, STR(".key"));
}

static struct str stem_of(struct str name)
{
    for (size_t i = name.len; i != 0; i--)
        if (name.at[i - 1] == '.')
            return str_sub(name, 0, i - 1);
    return name;
}

static void unref_cert(void *cert)
{
    tls_cert_unref(cert);
}

static size_t list_files(struct compile *c, struct str path, struct str names,
                         struct candidate *files)
{
    size_t count = 0;
    struct str name;
    while (str_split(&names, '\n', &name) && count < FILES_MAX) {
        if (!looks_like_pem(name))
            continue;
        struct str file = str_printf(c->scratch, "%.*s/%.*s", STR_ARG(path), STR_ARG(name));
        /* Whatever it holds: as a key, since it may be one, and keys are wiped. */
        const struct source *source = source_get(c->sources, SOURCE_KEY, file);
        if (source == NULL || source->why.len != 0)
            continue;
        files[count++] = (struct candidate){
            .source = source,
            .name = file,
            .has_cert = str_find(source->bytes, STR("-----BEGIN CERTIFICATE")) != SIZE_MAX,
            .has_key = str_find(source->bytes, STR("PRIVATE KEY-----")) != SIZE_MAX,
        };
    }
    return count;
}

/* Adds the pair, or takes the place of the same certificate with a shorter chain. */
static void add_pair(struct compile *c, struct folder *folder, const struct candidate *chain,
                     const struct candidate *key, struct tls_cert *cert)
{
    const struct tls_facts *facts = tls_cert_facts(cert);
    if (!arena_defer(c->scratch, unref_cert, cert)) {
        tls_cert_unref(cert);
        compile_no_memory(c);
        return;
    }
    struct tls_pair pair = {chain->source, key->source, chain->name, key->name, *facts, cert};
    for (size_t i = 0; i < folder->count; i++)
        if (memcmp(folder->pairs[i].facts.fingerprint, facts->fingerprint, 32) == 0) {
            if (facts->chain_len > folder->pairs[i].facts.chain_len)
                folder->pairs[i] = pair;
            return;
        }
    folder->pairs[folder->count++] = pair;
}

static bool try_pair(struct compile *c, struct folder *folder, struct candidate *chain,
                     struct candidate *key)
{
    char memory[512];
    struct text why = text_over(memory, sizeof memory);
    struct tls_cert *cert =
        tls_cert_load(chain->source->bytes, chain->name, key->source->bytes, key->name, &why);
    if (cert == NULL)
        return false;
    key->is_used = true;
    add_pair(c, folder, chain, key, cert);
    return true;
}

/* Its own text first, then the file of the same name, then all. */
static bool find_key(struct compile *c, struct folder *folder, struct candidate *files,
                     size_t count, struct candidate *chain)
{
    if (chain->has_key && try_pair(c, folder, chain, chain))
        return true;
    for (int same = 1; same >= 0; same--)
        for (size_t i = 0; i < count; i++)
            if (files[i].has_key && &files[i] != chain &&
                str_eq(stem_of(files[i].name), stem_of(chain->name)) == (same == 1) &&
                try_pair(c, folder, chain, &files[i]))
                return true;
    return false;
}

static void read_folder(struct compile *c, const struct word *dir, struct str path,
                        struct folder *folder)
{
    const struct source *names = source_folder(c->sources, path);
    struct candidate *files = arena_array(c->scratch, FILES_MAX, sizeof *files);
    folder->pairs = arena_array(c->scratch, FILES_MAX, sizeof *folder->pairs);
    if (names == NULL || files == NULL || folder->pairs == NULL) {
        compile_no_memory(c);
        return;
    }
    if (names->why.len != 0) {
        diag_error(c->diag, &dir->pos, "'%.*s': %.*s", STR_ARG(dir->text), STR_ARG(names->why));
        diag_hint(c->diag, "tls internal, tls CERT KEY, or a folder of pairs");
        return;
    }
    size_t count = list_files(c, path, names->bytes, files);
    for (size_t i = 0; i < count; i++)
        if (files[i].has_cert)
            (void)find_key(c, folder, files, count, &files[i]);
    for (size_t i = 0; i < count; i++)
        if (files[i].has_key && !files[i].is_used)
            diag_warning(c->diag, &dir->pos, "no certificate in this folder fits '%.*s'",
                         STR_ARG(files[i].name));
    if (folder->count == 0)
        diag_error(c->diag, &dir->pos, "there is no pair of certificate and key in '%.*s'",
                   STR_ARG(dir->text));
}

const struct tls_pair *compile_tls_dir(struct compile *c, const struct word *dir, size_t *count)
{
    struct str path = compile_path(c, dir);
    struct folder *folder = map_get(&c->folders, path);
    if (folder == NULL) {
        folder = ARENA_NEW(c->scratch, struct folder);
        if (folder == NULL || !map_set(&c->folders, path, folder)) {
            compile_no_memory(c);
            return NULL;
        }
        read_folder(c, dir, path, folder);
    }
    const struct source *names = source_folder(c->sources, path);
    if (names != NULL)
        (void)compile_input(c, SOURCE_LIST, names->name);
    for (size_t i = 0; i < folder->count; i++) {
        (void)compile_input(c, SOURCE_KEY, folder->pairs[i].chain_name);
        (void)compile_input(c, SOURCE_KEY, folder->pairs[i].key_name);
    }
    *count = folder->count;
    return folder->count ? folder->pairs : NULL;
}
