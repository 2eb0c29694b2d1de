#include "config/compile.h"

#include "base/arena.h"
#include "base/hash.h"
#include "config/check.h"
#include "config/compile_access.h"
#include "config/compile_expect.h"
#include "config/compile_file.h"
#include "config/compile_listen.h"
#include "config/compile_log.h"
#include "config/compile_named.h"
#include "config/compile_settings.h"
#include "config/compile_site.h"

static bool is_site(const struct statement *s)
{
    return s->directive != NULL && str_eq(s->words[0].text, STR("site"));
}
static bool is_no_site(const struct statement *s)
{
    return !is_site(s);
}

static bool is_no_upstream(const struct statement *s)
{
    return s->directive == NULL || !str_eq(s->words[0].text, STR("upstream"));
}
static bool is_late(const struct statement *s)
{
    return is_site(s) || !is_no_upstream(s);
}

static uint64_t hash_of_file(const struct tree *tree)
{
    uint64_t hash = 0;
    for (const struct statement *s = tree->top.first; s != NULL; s = s->next)
        if (!is_site(s))
            hash = compile_hash(hash, s);
    return hash;
}

/* Upstreams and sites are known last: what stands anywhere at top level is their default. */
static void compile_top(struct compile *c, const struct tree *tree)
{
    c->file_hash = hash_of_file(tree);
    bool said = false;
    for (const struct statement *s = tree->top.first; s != NULL; s = s->next)
        if (compile_is(&s->words[0], "listen")) {
            said = true;
            c->listen_broken = c->listen_broken || s->directive == NULL;
        }
    compile_block(c, &tree->top, is_late);
    compile_block(c, &tree->top, is_no_upstream);
    compile_named_tell_unused(c, tree);
    if (!said)
        compile_listen_default(c);
    else if (c->snapshot->listener_count == 0)
        c->listen_broken = true; /* told already: sites are not blamed for it */
    compile_block(c, &tree->top, is_no_site);
    if (c->site_count == 0 && compile_clean(c)) {
        diag_error(c->diag, NULL, "there is no site in this configuration");
        diag_hint(c->diag, "site www.example.com -> localhost:3000");
    }
    compile_log_collect(c);
    compile_site_collect(c);
    c->snapshot->handshake_ms = c->settings->handshake_ms;
    c->snapshot->head_ms = c->settings->head_ms;
    c->snapshot->idle_ms = c->settings->idle_ms;
}

/* What no request would ever be served by. */
static void tell_empty_listeners(struct compile *c)
{
    const struct snapshot *snapshot = c->snapshot;
    for (size_t i = 0; i < snapshot->listener_count; i++) {
        if (snapshot->listeners[i].first != NULL)
            continue;
        struct diag_pos pos = {.file = snapshot->listeners[i].where.file};
        diag_warning(c->diag, pos.file.len ? &pos : NULL, "no site is served on '%.*s'",
                     STR_ARG(snapshot->listeners[i].text));
    }
}

static struct snapshot *new_snapshot(const struct snapshot *old)
{
    struct arena *arena = arena_new(COMPILE_PART_BYTES_MAX, 64 * 1024);
    struct snapshot *snapshot = arena ? ARENA_NEW(arena, struct snapshot) : NULL;
    if (snapshot == NULL) {
        arena_end(arena);
        return NULL;
    }
    snapshot->arena = arena;
    snapshot->generation = old ? old->generation + 1 : 1;
    map_init(&snapshot->certs, arena);
    map_init(&snapshot->trusts, arena);
    return snapshot;
}

/* Parts made before an error go the way of all parts. */
static void give_up(struct compile *c)
{
    if (c->snapshot->sites == NULL) {
        c->snapshot->sites = c->sites;
        c->snapshot->site_count = c->site_count;
    }
    snapshot_end(c->snapshot);
}

static struct snapshot *compile_in(struct compile *c, struct str path)
{
    struct tree tree = {0};
    struct settings settings;
    compile_settings_init(&settings);
    map_init(&c->hosts, c->scratch);
    map_init(&c->input_hashes, c->scratch);
    map_init(&c->told, c->scratch);
    map_init(&c->folders, c->scratch);
    map_init(&c->logs, c->scratch);
    /* cppcheck-suppress autoVariables ; nobody asks for it once this has answered */
    c->settings = &settings;
    c->expect_end = &c->expects;
    bool fine = tree_parse(&tree, c->scratch, c->sources, path, c->diag);
    fine = check_tree(&tree, directives, directive_count, c->diag) && fine;
    compile_file_defaults(c);
    compile_file_resolver(c);
    compile_top(c, &tree);
    if (compile_clean(c) && fine && !snapshot_link(c->snapshot))
        compile_no_memory(c);
    if (compile_clean(c) && fine && c->hooks != NULL && c->hooks->try_expects)
        compile_expect_try(c);
    if (!compile_clean(c) || !fine) {
        give_up(c);
        return NULL;
    }
    tell_empty_listeners(c);
    return c->snapshot;
}

struct snapshot *compile_snapshot(struct source_set *sources, struct str path,
                                  const struct snapshot *old, const struct compile_hooks *hooks,
                                  struct diag *diag)
{
    struct compile c = {.sources = sources,
                        .diag = diag,
                        .errors_before = diag->errors,
                        .old = old,
                        .hooks = hooks};
    c.scratch = arena_new(COMPILE_PART_BYTES_MAX, 256 * 1024);
    c.snapshot = new_snapshot(old);
    struct snapshot *snapshot = NULL;
    if (c.scratch != NULL && c.snapshot != NULL) {
        snapshot = compile_in(&c, path);
    } else {
        if (c.snapshot != NULL)
            snapshot_end(c.snapshot);
        compile_no_memory(&c);
    }
    arena_end(c.scratch);
    return snapshot;
}
