/*
 * What is wrong with a human's text (configuration, rules): collected, not printed at the first,
 * and rendered as
 *
 *     portcullis.conf:17:9: unknown directive 'balanse' in a route
 *         17 |         balanse least-requests
 *            |         ^~~~~~~ did you mean 'balance'?
 *
 * Warnings and notices say so behind the position. The collection owns copies of all it is given.
 */
#ifndef PC_BASE_DIAG_H
#define PC_BASE_DIAG_H

#include "base/str.h"

struct text;

struct diag_pos {
    struct str file;           /* as the user named it */
    uint32_t line, column;     /* from 1; column counts bytes; line 0: the file as a whole */
    uint32_t width;            /* bytes to underline, at least 1 */
    struct str text;           /* the line, without its end */
    const struct diag_pos *in; /* the `include` line that brought this file, or NULL */
};

enum diag_level { DIAG_ERROR, DIAG_WARNING, DIAG_NOTICE };

struct diag_entry {
    struct diag_entry *next;
    enum diag_level level;
    bool has_pos;
    struct diag_pos pos;
    struct str message, hint; /* hint may be empty */
};

struct diag {
    struct arena *arena;
    struct diag_entry *first, *last;
    struct diag_entry *hinted; /* the entry added last; NULL when it was one too many */
    unsigned errors, warnings, notices;
};

/* The arena must outlive the diag. */
void diag_init(struct diag *diag, struct arena *arena);

/* `pos` may be NULL. The message is a sentence without full stop. */
__attribute__((format(printf, 3, 4))) void diag_error(struct diag *diag, const struct diag_pos *pos,
                                                      const char *format, ...);
__attribute__((format(printf, 3, 4))) void
diag_warning(struct diag *diag, const struct diag_pos *pos, const char *format, ...);
__attribute__((format(printf, 3, 4))) void
diag_notice(struct diag *diag, const struct diag_pos *pos, const char *format, ...);
/* A remedy, shown beside the caret of the entry added last. */
__attribute__((format(printf, 2, 3))) void diag_hint(struct diag *diag, const char *format, ...);

/* Rendered in order of addition; text that came from files is escaped. */
void diag_render(const struct diag *diag, struct text *out, bool colour);
void diag_render_entry(const struct diag_entry *entry, struct text *out, bool colour);
/* [{"level":"error","file":…,"line":…,"column":…,"message":…,"hint":…}] */
void diag_render_json(const struct diag *diag, struct text *out);

#endif
