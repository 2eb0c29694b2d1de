/*
 * The text of one configuration file as words and punctuation, each with its position:
 *
 *     bare    no space, { } ; " ' (but the braces of ${…}); \ is itself, # inside a word too
 *     "…"     with \" \\ \n \t and ${…}
 *     '…'     raw
 *     # …     at the start of a word: a comment, to the end of the line
 *     \       as the last byte of a line: the next line goes on with this one, as after a space
 *
 * Strings of a word point into the file's bytes where nothing had to be replaced, else into the
 * arena. Errors go to `diag`; the lexer then goes on with the next word.
 */
#ifndef PC_CONFIG_LEXER_H
#define PC_CONFIG_LEXER_H

#include "base/diag.h"
#include "config/source.h"

enum word_kind { WORD_BARE, WORD_DOUBLE, WORD_SINGLE, WORD_ARROW };

struct word {
    struct str text; /* what it means: quotes, escapes and ${} done */
    struct str raw;  /* as written; empty in a tree read from JSON */
    enum word_kind kind;
    struct diag_pos pos;
};

enum token {
    TOKEN_WORD,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_SEMICOLON,
    TOKEN_NEWLINE,
    TOKEN_COMMENT, /* without the end of its line */
    TOKEN_END
};

struct lexer {
    struct arena *arena;
    struct source_set *sources; /* for ${NAME}; NULL: ${} stays as written */
    struct diag *diag;
    struct str bytes; /* the whole file */
    size_t at;
    struct diag_pos line; /* of the line at `at`; `column` and `width` mean nothing */
    size_t line_at;       /* where it begins */
    struct word word;     /* of the token answered last; `raw` and `pos` for any kind */
};

/*
 * `in` is the include line that brought the file, or NULL. Bytes that no configuration may hold
 * (control bytes, what is no UTF-8) are told here, all of them.
 */
void lexer_init(struct lexer *lexer, struct arena *arena, struct source_set *sources,
                struct diag *diag, struct str file, struct str bytes, const struct diag_pos *in);
enum token lexer_next(struct lexer *lexer);
/* ${…} and $${ of a text that came another way (JSON) replaced; errors point to `pos`. */
struct str lexer_expand(struct lexer *lexer, struct str text, const struct diag_pos *pos);

#endif
