/*
 * From a request to its route: a pure look-up without effect. The order is that of the
 * configuration language: exact paths; regular expressions in file order; prefixes, longest first.
 * Of one pattern several times the first whose conditions all hold; where none holds the search
 * goes on. Exact paths are a hash, prefixes a radix tree: 10,000 routes cost what ten do.
 */
#ifndef PC_PROXY_ROUTE_H
#define PC_PROXY_ROUTE_H

#include "http/message.h"
#include "proxy/snapshot.h"

struct trace; /* proxy/trace.h */

struct route_query {
    const struct message *request;
    struct str path;  /* canonical */
    struct str query; /* raw, without '?' */
    const struct addr *client;
    /* Set when an expression ran into its limit (REGEX_LIMIT) before a route was found: what was
     * found then may not be used, since a stricter route may have been passed over. May be NULL. */
    bool *undecided;
    struct trace *trace; /* told of routes that are passed over for their `when`; NULL in service */
};

struct route_match {
    const struct route *route;
    struct str groups[10]; /* of the regular expression, else empty */
    struct str rest;       /* what the pattern's `*` matched */
    bool to_slash;         /* `/x` asked where only `/x/ *` exists: answer 308 to `/x/` */
};

/*
 * Builds the look-up tables of a site's routes (in file order, `order` and `conf` set) in its
 * part's arena, where they stay. NULL at the arena's cap.
 */
struct router *router_build(struct arena *arena, const struct route *routes, size_t count)
    __attribute__((warn_unused_result));

/*
 * The routes that no request can ever reach, each with the one that hides it: the same pattern
 * earlier without `when` or with the same ones, or an expression that every path matches. Start
 * with
 * `*at` 0; false at the end.
 */
bool router_hidden(const struct router *router, size_t *at, const struct route **hidden,
                   const struct route **by);

/* False: no route of this site takes the request. */
bool router_find(const struct router *router, const struct route_query *query,
                 struct route_match *match);

/*
 * Where a path in lower case falls for an origin that does not care about letters: patterns and
 * expressions are compared without case. Of patterns that differ in case alone each has its say:
 * `visit` is called for the route of each until it answers false.
 */
void router_find_nocase(const struct router *router, const struct route_query *query,
                        bool (*visit)(const struct route *route, void *context), void *context);
/* Could that be another route, with another access policy, than router_find() gives? */
bool router_asks_nocase(const struct router *router, struct str path);

/* One `when` line, for explanations too. */
bool condition_holds(const struct condition *condition, const struct route_query *query);

#endif
