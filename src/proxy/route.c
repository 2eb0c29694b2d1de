#include "proxy/route.h"

#include "base/arena.h"
#include "base/regex.h"
#include "proxy/access_policy.h"
#include "proxy/trace.h"

#include <stdlib.h>
#include <string.h>

/* Routes of one pattern, in file order. */
struct group {
    const struct route **routes;
    size_t count;
};

/*
 * A node of the radix tree over the prefixes' bytes. Every prefix ends in '/', so a match of bytes
 * is a match of whole segments. Children differ in their first byte.
 */
struct node {
    struct str edge;           /* bytes from the parent to here */
    struct group group;        /* prefixes that end here, or none */
    const struct node *longer; /* next ancestor with a group: the next shorter prefix */
    uint8_t *first_bytes;      /* of the children, so that one memchr finds the way */
    struct node *children;
    size_t child_count;
};

struct hidden {
    const struct route *route, *by;
};

struct router {
    const struct route *routes; /* in file order */
    /* The same with patterns in lower case and expressions blind to case, or NULL: all routes let
     * the same clients in, so nobody asks. */
    struct router *folded;
    bool has_upper;   /* a pattern is not its own lower case */
    struct map exact; /* path -> struct group */
    const struct route **regexes;
    size_t regex_count;
    struct node *root; /* NULL: no prefixes */
    /* What can never be reached: rare, and an error of the configuration. */
    struct arena *telling; /* NULL: nobody is told */
    struct hidden *hidden; /* made for the first one */
    size_t hidden_count, hidden_max;
    bool hidden_lost; /* at the arena's cap */
};

/* ---- building ---- */

static int by_path(const void *a, const void *b)
{
    const struct route *x = *(const struct route *const *)a;
    const struct route *y = *(const struct route *const *)b;
    int order = str_cmp(x->path, y->path);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

/* The routes of one kind, in file order. NULL at the arena's cap. */
static const struct route **routes_of(struct arena *arena, const struct route *routes, size_t count,
                                      enum pattern_kind kind, size_t *found)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += routes[i].kind == kind;
    const struct route **of = arena_array(arena, n, sizeof *of);
    *found = 0;
    for (size_t i = 0; of != NULL && i < count; i++)
        if (routes[i].kind == kind)
            of[(*found)++] = &routes[i];
    return of;
}

/* How many at the beginning of sorted routes have the same path. */
static size_t same_path(const struct route **sorted, size_t count)
{
    size_t same = 1;
    while (same < count && str_eq(sorted[same]->path, sorted[0]->path))
        same++;
    return same;
}

static bool strs_eq(const struct str *a, const struct str *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!str_eq(a[i], b[i]))
            return false;
    return true;
}

static bool condition_eq(const struct condition *a, const struct condition *b)
{
    if (a->kind != b->kind || a->negated != b->negated || a->value_count != b->value_count ||
        a->net_count != b->net_count || !str_eq(a->name, b->name) ||
        !strs_eq(a->values, b->values, a->value_count))
        return false;
    for (size_t i = 0; i < a->net_count; i++)
        if (!addr_eq_host(&a->nets[i].net, &b->nets[i].net) || a->nets[i].bits != b->nets[i].bits)
            return false;
    return true;
}

/* Whatever reaches `later` is taken by `earlier`: of one pattern, all conditions of it are there.
 */
static bool takes_all_of(const struct route *earlier, const struct route *later)
{
    for (size_t i = 0; i < earlier->condition_count; i++) {
        size_t j = 0;
        while (j < later->condition_count &&
               !condition_eq(&earlier->conditions[i], &later->conditions[j]))
            j++;
        if (j == later->condition_count)
            return false;
    }
    return true;
}

static void hide(struct router *router, const struct route *route, const struct route *by)
{
    if (router->telling == NULL)
        return;
    if (router->hidden == NULL)
        router->hidden = arena_array(router->telling, router->hidden_max, sizeof *router->hidden);
    router->hidden_lost = router->hidden == NULL;
    if (router->hidden_lost)
        return;
    router->hidden[router->hidden_count++] = (struct hidden){route, by};
}

/* Beyond this many routes of one pattern each is compared with the first ones only: n squared. */
#define COMPARED_MAX 64

static void find_hidden(struct router *router, const struct route **group, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = 0; j < i && j < COMPARED_MAX; j++)
            if (takes_all_of(group[j], group[i])) {
                hide(router, group[i], group[j]);
                break;
            }
}

static bool build_exact(struct router *router, struct arena *arena, const struct route *routes,
                        size_t count)
{
    size_t n;
    const struct route **sorted = routes_of(arena, routes, count, PATTERN_EXACT, &n);
    if (sorted == NULL)
        return false;
    map_init(&router->exact, arena);
    qsort(sorted, n, sizeof *sorted, by_path);
    for (size_t i = 0, same; i < n; i += same) {
        same = same_path(sorted + i, n - i);
        struct group *group = ARENA_NEW(arena, struct group);
        if (group == NULL || !map_set(&router->exact, sorted[i]->path, group))
            return false;
        *group = (struct group){sorted + i, same};
        find_hidden(router, sorted + i, same);
    }
    return true;
}

static size_t common_bytes(struct str a, struct str b, size_t from)
{
    size_t at = from;
    while (at < a.len && at < b.len && a.at[at] == b.at[at])
        at++;
    return at;
}

/* Routes of a range that share the byte at `at`. */
static size_t same_byte(const struct route **sorted, size_t count, size_t at)
{
    size_t same = 1;
    while (same < count && sorted[same]->path.at[at] == sorted[0]->path.at[at])
        same++;
    return same;
}

/* A range of sorted routes that agree before `from` becomes the tree below `node`. */
static bool build_node(struct router *router, struct arena *arena, struct node *node,
                       const struct node *longer, const struct route **sorted, size_t count,
                       size_t from)
{
    size_t end = common_bytes(sorted[0]->path, sorted[count - 1]->path, from);
    size_t here = sorted[0]->path.len == end ? same_path(sorted, count) : 0;
    node->edge = str_sub(sorted[0]->path, from, end - from);
    node->longer = longer;
    node->group = (struct group){sorted, here};
    find_hidden(router, sorted, here);
    sorted += here;
    count -= here;
    for (size_t i = 0; i < count; i += same_byte(sorted + i, count - i, end))
        node->child_count++;
    if (node->child_count == 0)
        return true;
    node->children = arena_array(arena, node->child_count, sizeof *node->children);
    node->first_bytes = arena_alloc(arena, node->child_count);
    if (node->children == NULL || node->first_bytes == NULL)
        return false;
    for (size_t i = 0, child = 0, same; i < count; i += same, child++) {
        same = same_byte(sorted + i, count - i, end);
        node->first_bytes[child] = (uint8_t)sorted[i]->path.at[end];
        if (!build_node(router, arena, &node->children[child], here ? node : longer, sorted + i,
                        same, end))
            return false;
    }
    return true;
}

static bool build_prefixes(struct router *router, struct arena *arena, const struct route *routes,
                           size_t count)
{
    size_t n;
    const struct route **sorted = routes_of(arena, routes, count, PATTERN_PREFIX, &n);
    if (sorted == NULL || n == 0)
        return sorted != NULL;
    qsort(sorted, n, sizeof *sorted, by_path);
    router->root = ARENA_NEW(arena, struct node);
    return router->root != NULL && build_node(router, arena, router->root, NULL, sorted, n, 0);
}

/* Spellings of "every path"; what else always matches is not worth a proof. */
static bool matches_every_path(const struct route *route)
{
    static const struct str all[] = {
        STR_INIT("/"),     STR_INIT("^/"),  STR_INIT("."),    STR_INIT(".*"),
        STR_INIT("^.*"),   STR_INIT("^"),   STR_INIT("^/.*"), STR_INIT("^.*$"),
        STR_INIT("^/.*$"), STR_INIT("/.*"), STR_INIT("^."),
    };
    if (route->condition_count != 0)
        return false;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (str_eq(route->path, all[i]))
            return true;
    return false;
}

static bool build_regexes(struct router *router, struct arena *arena, const struct route *routes,
                          size_t count)
{
    struct map first; /* expression -> its first unconditional route */
    const struct route *all = NULL;
    map_init(&first, arena);
    router->regexes = routes_of(arena, routes, count, PATTERN_REGEX, &router->regex_count);
    if (router->regexes == NULL)
        return false;
    for (size_t i = 0; i < router->regex_count; i++) {
        const struct route *route = router->regexes[i];
        const struct route *by = all ? all : map_get(&first, route->path);
        if (by != NULL)
            hide(router, route, by);
        else if (route->condition_count == 0 &&
                 !map_set(&first, route->path, (void *)(uintptr_t)route))
            return false;
        if (all == NULL && matches_every_path(route))
            all = route;
    }
    for (size_t i = 0; all != NULL && i < count; i++)
        if (routes[i].kind == PATTERN_PREFIX)
            hide(router, &routes[i], all);
    return true;
}

static bool build_tables(struct router *router, struct arena *arena, const struct route *routes,
                         size_t count)
{
    router->routes = routes;
    return build_exact(router, arena, routes, count) &&
           build_regexes(router, arena, routes, count) &&
           build_prefixes(router, arena, routes, count);
}

/* ---- the same without case ---- */

static bool policies_differ(const struct route *routes, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (!access_policy_same(routes[0].conf, routes[i].conf))
            return true;
    return false;
}

static bool has_upper(struct str s)
{
    size_t i = 0;
    while (i < s.len && char_lower(s.at[i]) == s.at[i])
        i++;
    return i < s.len;
}

/* The conditions on the path, blind to case too. */
static bool fold_conditions(struct arena *arena, struct route *route)
{
    if (route->condition_count == 0)
        return true;
    struct condition *folded = arena_array(arena, route->condition_count, sizeof *folded);
    if (folded == NULL)
        return false;
    memcpy(folded, route->conditions, route->condition_count * sizeof *folded);
    route->conditions = folded;
    for (size_t i = 0; i < route->condition_count; i++) {
        if (folded[i].kind != CONDITION_PATH)
            continue;
        folded[i].regex = regex_new_nocase(arena, folded[i].name);
        if (folded[i].regex == NULL)
            return false;
    }
    return true;
}

static bool fold_route(struct arena *arena, struct route *route)
{
    if (route->kind == PATTERN_REGEX)
        route->regex = regex_new_nocase(arena, route->path);
    else
        route->path = str_lower(arena, route->path);
    bool built = route->kind == PATTERN_REGEX ? route->regex != NULL : route->path.at != NULL;
    return built && fold_conditions(arena, route);
}

/* Does a route's own spelling hold letters that a path in lower case would miss? */
static bool spells_upper(const struct route *route)
{
    if (has_upper(route->path) || str_find(route->path, STR("[:upper:]")) != SIZE_MAX)
        return true;
    for (size_t i = 0; i < route->condition_count; i++)
        if (route->conditions[i].kind == CONDITION_PATH && has_upper(route->conditions[i].name))
            return true;
    return false;
}

static bool build_folded(struct router *router, struct arena *arena, const struct route *routes,
                         size_t count)
{
    if (!policies_differ(routes, count))
        return true;
    struct route *folded = arena_array(arena, count, sizeof *folded);
    router->folded = ARENA_NEW(arena, struct router);
    if (folded == NULL || router->folded == NULL)
        return false;
    memcpy(folded, routes, count * sizeof *folded);
    for (size_t i = 0; i < count; i++) {
        router->has_upper = router->has_upper || spells_upper(&routes[i]);
        if (!fold_route(arena, &folded[i]))
            return false;
    }
    return build_tables(router->folded, arena, folded, count);
}

struct router *router_build(struct arena *arena, const struct route *routes, size_t count)
{
    struct router *router = ARENA_NEW(arena, struct router);
    if (router == NULL)
        return NULL;
    router->telling = arena;
    /* Each route is hidden at most once in its own group and once by an expression for all. */
    router->hidden_max = 2 * count + 1;
    bool built =
        build_tables(router, arena, routes, count) && build_folded(router, arena, routes, count);
    return built && !router->hidden_lost ? router : NULL;
}

bool router_hidden(const struct router *router, size_t *at, const struct route **hidden,
                   const struct route **by)
{
    if (*at >= router->hidden_count)
        return false;
    *hidden = router->hidden[*at].route;
    *by = router->hidden[(*at)++].by;
    return true;
}

/* ---- looking up ---- */

static bool conditions_hold(const struct route *route, const struct route_query *query)
{
    for (size_t i = 0; i < route->condition_count; i++)
        if (!condition_holds(&route->conditions[i], query)) {
            trace_passed_over(query->trace, route, &route->conditions[i]);
            return false;
        }
    return true;
}

static const struct route *first_that_holds(const struct group *group,
                                            const struct route_query *query)
{
    for (size_t i = 0; i < group->count; i++)
        if (conditions_hold(group->routes[i], query))
            return group->routes[i];
    return NULL;
}

static bool find_exact(const struct router *router, const struct route_query *query,
                       struct route_match *match)
{
    const struct group *group = map_get(&router->exact, query->path);
    match->route = group ? first_that_holds(group, query) : NULL;
    return match->route != NULL;
}

static bool find_regex(const struct router *router, const struct route_query *query,
                       struct route_match *match)
{
    for (size_t i = 0; i < router->regex_count; i++) {
        const struct route *route = router->regexes[i];
        enum regex_result result = regex_match(route->regex, query->path, match->groups);
        if (result == REGEX_NO_MATCH || !conditions_hold(route, query))
            continue;
        if (result == REGEX_MATCH) {
            match->route = route;
            return true;
        }
        if (query->undecided != NULL)
            *query->undecided = true;
    }
    memset(match->groups, 0, sizeof match->groups);
    return false;
}

/* Does `path`, with a '/' behind it where it has none at its end, go on with `edge` at `at`? */
static bool edge_fits(struct str path, size_t at, struct str edge)
{
    size_t have = path.len - at < edge.len ? path.len - at : edge.len;
    if (have != 0 && memcmp(path.at + at, edge.at, have) != 0)
        return false;
    return have == edge.len || (have + 1 == edge.len && edge.at[have] == '/' &&
                                (path.len == 0 || path.at[path.len - 1] != '/'));
}

static const struct node *child_for(const struct node *node, char byte)
{
    if (node->child_count == 0)
        return NULL;
    const uint8_t *at = memchr(node->first_bytes, (unsigned char)byte, node->child_count);
    return at ? &node->children[at - node->first_bytes] : NULL;
}

/* The deepest node whose bytes the path begins with. `*len` is how many those are. */
static const struct node *deepest(const struct node *root, struct str path, size_t *len)
{
    const struct node *found = NULL;
    size_t at = 0;
    for (const struct node *node = root; node != NULL && edge_fits(path, at, node->edge);) {
        at += node->edge.len;
        found = node;
        *len = at;
        if (at > path.len) /* the added '/' was the last byte */
            break;
        node = child_for(node, at < path.len ? path.at[at] : '/');
    }
    return found;
}

static bool find_prefix(const struct router *router, const struct route_query *query,
                        struct route_match *match)
{
    size_t len = 0;
    const struct node *node = router->root ? deepest(router->root, query->path, &len) : NULL;
    for (; node != NULL; node = node->longer) {
        const struct route *route = first_that_holds(&node->group, query);
        if (route == NULL)
            continue;
        match->route = route;
        match->to_slash = route->path.len > query->path.len;
        match->rest = str_skip(query->path, route->path.len);
        return true;
    }
    return false;
}

bool router_find(const struct router *router, const struct route_query *query,
                 struct route_match *match)
{
    *match = (struct route_match){0};
    return find_exact(router, query, match) || find_regex(router, query, match) ||
           find_prefix(router, query, match);
}

/* ---- looking up without case ---- */

bool router_asks_nocase(const struct router *router, struct str path)
{
    return router->folded != NULL && (router->has_upper || has_upper(path));
}

struct visit {
    const struct router *router;
    const struct route_query *query;
    bool (*visit)(const struct route *route, void *context);
    void *context;
    bool found;
};

static const struct route *original(const struct visit *v, const struct route *folded)
{
    return &v->router->routes[folded - v->router->folded->routes];
}

/* Is another route of this very spelling, earlier in the group, taken instead? */
static bool is_passed_over(const struct visit *v, const struct group *group, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (str_eq(original(v, group->routes[i])->path, original(v, group->routes[at])->path) &&
            conditions_hold(group->routes[i], v->query))
            return true;
    return false;
}

static void visit_group(struct visit *v, const struct group *group)
{
    bool more = true;
    for (size_t i = 0; more && i < group->count; i++) {
        if (!conditions_hold(group->routes[i], v->query) || is_passed_over(v, group, i))
            continue;
        v->found = true;
        more = v->visit(original(v, group->routes[i]), v->context);
    }
}

static void visit_prefixes(struct visit *v)
{
    const struct router *folded = v->router->folded;
    size_t len = 0;
    const struct node *node = folded->root ? deepest(folded->root, v->query->path, &len) : NULL;
    for (; node != NULL && !v->found; node = node->longer)
        visit_group(v, &node->group);
}

void router_find_nocase(const struct router *router, const struct route_query *query,
                        bool (*visit)(const struct route *route, void *context), void *context)
{
    const struct router *folded = router->folded;
    struct visit v = {.router = router, .query = query, .visit = visit, .context = context};
    struct route_match match = {0};
    if (folded == NULL)
        return;
    const struct group *group = map_get(&folded->exact, query->path);
    if (group != NULL)
        visit_group(&v, group);
    if (v.found)
        return;
    if (find_regex(folded, query, &match))
        visit(original(&v, match.route), context);
    else
        visit_prefixes(&v);
}
