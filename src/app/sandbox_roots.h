/*
 * Which folders the worker may read below, so that it finds what `files` serves: of each root the
 * parent of its real path, since deploys swap links and folders beside each other
 * (current -> releases/7). The root alone where the parent would give too much away: where it is
 * the top of the file system or a folder in it, or holds the configuration, a key or the state.
 */
#ifndef PC_APP_SANDBOX_ROOTS_H
#define PC_APP_SANDBOX_ROOTS_H

#include "app/channel.h"
#include "base/arena.h"
#include "base/diag.h"
#include "config/source.h"
#include "proxy/snapshot.h"

struct sandbox_roots {
    struct letter_root roots[ROOTS_MAX];
    unsigned count;
};

/* False when there are more than ROOTS_MAX, or memory ends: told in `diag`. A root that holds the
 * configuration or a key is warned of. */
bool sandbox_roots_choose(struct sandbox_roots *out, const struct snapshot *snapshot,
                          const struct source_set *sources, struct arena *arena, struct diag *diag)
    __attribute__((warn_unused_result));

/* Pure, for tests: is `path` the folder itself, or below it? */
bool sandbox_roots_holds(struct str folder, struct str path);
/* The root or its parent. `secrets` are real paths. */
struct str sandbox_roots_readable(struct str root, const struct str *secrets, size_t secret_count);

#endif
