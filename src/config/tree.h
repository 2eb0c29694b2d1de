/*
 * portcullis.conf as a tree: statements of words and blocks, with the position of everything, after
 * `include`, `${ENV}`, quotes and escapes. It knows the grammar, not the directives. Comments and
 * blank lines are kept for the printer (`fmt`).
 */
#ifndef PC_CONFIG_TREE_H
#define PC_CONFIG_TREE_H

#include "base/diag.h"
#include "config/source.h"

enum word_kind { WORD_BARE, WORD_DOUBLE, WORD_SINGLE, WORD_ARROW };

struct word {
    struct str text; /* what it means: quotes, escapes and ${} done */
    struct str raw;  /* as written */
    enum word_kind kind;
    struct diag_pos pos;
};

struct statement {
    struct statement *next;
    struct word *words; /* at least one */
    size_t count;
    struct block *block; /* or NULL */
    struct str comments; /* whole lines before it, with blank lines, as written; for the printer */
    struct str trailing; /* comment at the end of its line */
};

struct block {
    struct statement *first, *last;
    struct str comments; /* before the closing brace */
    struct diag_pos open, close;
};

struct tree {
    struct block top;
};

/* Reads, splits and includes. Goes on after errors; false when there was one. All is in `arena`. */
bool tree_parse(struct tree *tree, struct arena *arena, struct source_set *sources,
                struct str path, struct diag *diag) __attribute__((warn_unused_result));
/* One text without includes resolved: for `fmt`. */
bool tree_parse_text(struct tree *tree, struct arena *arena, struct str path, struct str bytes,
                     struct diag *diag) __attribute__((warn_unused_result));
/* Canonical layout. */
void tree_print(const struct tree *tree, struct text *out);

#endif
