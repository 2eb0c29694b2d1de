/*
 * portcullis.conf as a tree: statements of words and blocks, with the position of everything, after
 * `include`, `${ENV}`, quotes and escapes. It knows the grammar, not the directives (but
 * `include`). Comments and blank lines are kept for the printer (`fmt`). A file that begins with
 * `{` is the JSON twin of one (twin.h).
 */
#ifndef PC_CONFIG_TREE_H
#define PC_CONFIG_TREE_H

#include "base/text.h"
#include "config/statement.h"
#include "config/twin.h"

/* Deeper blocks and chains of includes are a mistake, and the parser is recursive. */
#define TREE_DEPTH_MAX TWIN_DEPTH_MAX
/* A folder of sites may hold this many files. */
#define TREE_FILES_MAX 10000
/* Of one statement: the longest list of addresses somebody may paste. */
#define TREE_WORDS_MAX 65536

/*
 * Reads, splits and includes: the statements of an included file stand in place of the `include`.
 * Goes on after errors; false when there was one. All is in `arena`; words point into the texts of
 * `sources`, which must outlive the tree.
 */
bool tree_parse(struct tree *tree, struct arena *arena, struct source_set *sources, struct str path,
                struct diag *diag) __attribute__((warn_unused_result));
/* One text, includes and ${} left as written: for `fmt` and the twin. `bytes` must outlive it. */
bool tree_parse_text(struct tree *tree, struct arena *arena, struct str path, struct str bytes,
                     struct diag *diag) __attribute__((warn_unused_result));
/* Canonical layout. */
void tree_print(const struct tree *tree, struct text *out);

#endif
