/*
 * Would an origin that reads paths leniently take this one for another route's? The path that
 * decides here is decoded once and compared by bytes (http/uri.h), and the origin gets the raw
 * target. Many origins read more into it:
 *
 *     slash       `%2f`, `%5c` and `\` are a slash
 *     parameters  what follows a ';' in a segment is dropped (servlet containers)
 *     twice       it is decoded a second time, by a framework or another proxy
 *     overlong    an ASCII byte in a longer form of UTF-8 (`%c0%af`) is that byte
 *     cut         a decoded '?', '#' or NUL ends the path
 *     case        letters are compared without case
 *     host        what stands between two leading slashes and the next is a host (RFC 3986 4.2;
 *                 `new URL(target, base)` in JavaScript, parse_url() in PHP)
 *
 * in any order and combination; then "." and ".." are resolved and runs of slashes are one. Where
 * such a reading falls on a route that lets other clients in than the chosen one, or climbs to a
 * path that has no route, the path is ambiguous: the rules of the chosen route would be asked about
 * a resource of the other. Doubled slashes come from sloppy clients all the time: of the reading as
 * a host only what this client may not ask for counts. A pure function of its arguments; nothing is
 * looked at where neither the path nor the routes give a reason to.
 */
#ifndef PC_PROXY_LAX_PATH_H
#define PC_PROXY_LAX_PATH_H

#include "base/text.h"
#include "http/uri.h"
#include "proxy/route.h"

enum {
    LAX_SLASH = 1,
    LAX_PARAMETERS = 2,
    LAX_TWICE = 4,
    LAX_OVERLONG = 8,
    LAX_CUT = 16,
    LAX_DOTS = 32, /* a dot segment was resolved */
    LAX_CASE = 64,
    LAX_HOST = 128,
    LAX_MANY = 256, /* more readings than LAX_READINGS_MAX: none of them an honest one */
};

/* Honest paths have one or two; each costs a walk over its bytes and a look-up. */
enum { LAX_READINGS_MAX = 32 };

enum lax_verdict {
    LAX_PLAIN,     /* every reading falls on a route with the same policy */
    LAX_AMBIGUOUS, /* `reading`, `how` and `other` say which does not */
    LAX_UNDECIDED, /* an expression ran into its limit on a reading */
    LAX_NO_MEMORY,
};

struct lax_path {
    struct str reading;        /* in the arena */
    unsigned how;              /* LAX_ bits: what made it of the path */
    const struct route *other; /* NULL: no route, or LAX_MANY */
};

/*
 * `query` is the one that found `chosen`; `reasons` are the `readings` of uri_parse(). Whether the
 * chosen route wants to know (`paths`) is the caller's question.
 */
enum lax_verdict lax_path_judge(struct arena *arena, const struct router *router,
                                const struct route_query *query, unsigned reasons,
                                const struct route *chosen, struct lax_path *out)
    __attribute__((warn_unused_result));

/* A sentence that names the reading and both routes with their lines. */
void lax_path_add_why(struct text *out, const struct lax_path *lax, const struct route *chosen);

#endif
