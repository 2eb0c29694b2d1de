/*
 * The JSON twin of a configuration: the same statements, comments and blank lines included, for
 * programs. A file that begins with `{` is read as one.
 *
 *     {"portcullis": 1, "statements": [
 *         {"line": 1, "comments": ["# …", ""], "words": ["listen", "80", "443"], "comment": "# …"},
 *         {"line": 4, "words": ["site", "example.com"], "opening": "# …", "block": [
 *             {"words": ["/", "->", "localhost:3000"], "inline": true, "block": []}
 *         ], "closing": ["# …"]}
 *     ]}
 *
 * A word is a string as it stands between double quotes after their escapes: ${NAME} is the
 * environment, $${ a literal ${. "->" is the arrow; the rare text -> is {"text": "->"}. "comments"
 * are whole lines before the statement, "" a blank one; "opening" stands behind the `{`, "closing"
 * before the `}`; "inline": its block stands on one line. "line" is for readers and not read back;
 * which quotes a word had and where a `\` joined lines is all that is lost. `include` stays as it
 * is.
 */
#ifndef PC_CONFIG_TWIN_H
#define PC_CONFIG_TWIN_H

#include "base/text.h"
#include "config/statement.h"

/* As deep as the text may nest (tree.h). */
#define TWIN_DEPTH_MAX 16

/* `tree` comes from tree_parse_text(), so that nothing of the environment gets into the twin. */
void twin_print(const struct tree *tree, struct text *out);

/* Does the text want to be JSON? */
bool twin_is(struct str bytes);
/*
 * Goes on after errors where it can; false when there was one. `lexer` was begun with the text: it
 * knows file and diag, and puts in the environment unless its sources are NULL.
 */
bool twin_read(struct tree *tree, struct lexer *lexer) __attribute__((warn_unused_result));

#endif
