/* What a configuration is made of: statements of words, with blocks of further statements. */
#ifndef PC_CONFIG_STATEMENT_H
#define PC_CONFIG_STATEMENT_H

#include "config/lexer.h"

struct directive;

struct statement {
    struct statement *next;
    struct word *words; /* at least one */
    size_t count;
    struct block *block; /* or NULL */
    struct str comments; /* whole lines before it, with blank lines, as written; for the printer */
    struct str trailing; /* comment at the end of its line */
    bool broken;         /* an error of its words was told: nothing more is said of them */
    const struct directive *directive; /* its row, set by check; NULL: it was refused */
};

struct block {
    struct statement *first, *last;
    struct str opening;  /* comment behind the opening brace */
    struct str comments; /* before the closing brace */
    struct diag_pos open, close;
};

struct tree {
    struct block top;
};

#endif
