/*
 * The grammar of a directive's words (directive.h) as a set of positions and what may follow each.
 * Matching looks at each word once, keeps all positions it may stand at, and so knows at the first
 * word that fits none what was expected there.
 */
#ifndef PC_CONFIG_SIGNATURE_H
#define PC_CONFIG_SIGNATURE_H

#include "base/text.h"
#include "config/statement.h"
#include "config/value.h"

/* One bit each in a uint64_t. */
#define SIGNATURE_ATOMS_MAX 64

struct signature_atom {
    struct str keyword;            /* as written, or empty */
    const struct value_type *type; /* or NULL */
    uint64_t follow;               /* atoms that may come next */
};

struct signature {
    struct signature_atom atoms[SIGNATURE_ATOMS_MAX];
    size_t count;
    uint64_t first, last; /* atoms that may stand first and last */
    bool empty_fits;      /* no word at all is fine */
};

/* False when `args` breaks its own grammar or names an unknown type: a mistake of the program. */
bool signature_parse(struct str args, struct signature *out) __attribute__((warn_unused_result));
/* `at` is the first word that fits nowhere, or `count` when words are missing. */
struct signature_result {
    bool fits;
    size_t at;
    uint64_t expected; /* atoms that could have stood there */
};
struct signature_result signature_match(const struct signature *signature, const struct word *words,
                                        size_t count);
bool signature_atom_fits(const struct signature_atom *atom, const struct word *word);
/* "'json', 'combined' or a size such as 64k" */
void signature_add_expected(const struct signature *signature, uint64_t expected, struct text *out);
/* Has `args` the keyword? */
bool signature_has(const struct signature *signature, struct str keyword);

#endif
