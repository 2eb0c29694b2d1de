/*
 * The one table of directives: each row drives the parser, the checks of its arguments, the hints,
 * the reference page, the JSON twin and its schema, completion and editor syntax. Nothing about a
 * directive is written twice.
 */
#ifndef PC_CONFIG_DIRECTIVE_H
#define PC_CONFIG_DIRECTIVE_H

#include "config/tree.h"

struct compile; /* config/compile.h: the state of turning a tree into a snapshot */

enum place {
    PLACE_FILE = 1,
    PLACE_SITE = 2,
    PLACE_ROUTE = 4,
    PLACE_ANY = 7, /* file, site and route: of settings that are inherited */
    PLACE_UPSTREAM = 8,
    PLACE_METRICS = 16,
    PLACE_EVERY = 31, /* of `include` */
};

enum {
    DIRECTIVE_LIST = 1,  /* may be said several times (`+`) */
    DIRECTIVE_BLOCK = 2, /* may have a block */
    DIRECTIVE_NEEDS_BLOCK = 4,
};

/*
 * `args` is the grammar of the words behind the name, which is also how the reference shows it:
 *   lower-case words (and ~, ->) are keywords, UPPER-CASE words values of a type of value.h,
 *   [x] optional, (…) groups, x… one or more;
 *   x|y without spaces: alternatives of single words or groups;
 *   x | y with spaces: alternatives of all that stands on either side. Examples:
 *     "auto|N"   "on|off|AGE"   "[not] method|from VALUE…"   "N [idle DURATION] | off"
 * A statement that fits it, stands in one of its places and is no forbidden repetition has its row
 * in `statement->directive`, with all errors of the arguments' form already told (check.h).
 *
 * The route is the row named "->": its `args` cover all words of the statement, patterns included
 * ("(PATTERN | ~ REGEX)… -> TARGET…"). A statement with a bare `->` is a route, unless its first
 * word names a row whose `args` have a `->` of their own (`site`).
 */
struct directive {
    const char *name;
    const char *args;
    unsigned places; /* enum place */
    unsigned flags;
    unsigned inside;          /* the place its block opens; 0: it has none, or only `include` */
    const char *default_text; /* as the reference shows it; "" for none */
    const char *help;         /* one line */
    const char *more;         /* further sentences, or NULL */
    const char *example;      /* a piece of configuration that is valid in its (first) place */
    void (*apply)(struct compile *compile, const struct statement *statement);
};

extern const struct directive directives[];
extern const size_t directive_count;

const struct directive *directive_find(struct str name);

#endif
