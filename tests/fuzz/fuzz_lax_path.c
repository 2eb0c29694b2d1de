/* A target and routes of two policies: whatever is found is a reading, and an ambiguous path has
 * one that falls elsewhere; what gives no reason to look is plain. */
#include "http/uri.h"
#include "proxy/access_policy.h"
#include "proxy/lax_path.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct access_rule rules[1];
static struct access_list list = {.rules = rules, .count = 1};
static const struct route_conf OPEN = {0};
static const struct route_conf CLOSED = {.access = {[2] = &list}};

static struct route prefix(const char *path, const struct route_conf *conf, bool strip)
{
    struct str text = str_from_z(path);
    return (struct route){
        .kind = PATTERN_PREFIX, .pattern = text, .path = text, .conf = conf, .strip = strip};
}

static void judge(struct arena *arena, const struct router *router, const struct uri *uri)
{
    static const struct addr client = {.family = ADDR_IP4};
    static struct message request;
    struct route_query query = {.request = &request, .path = uri->path, .client = &client};
    struct route_match match;
    struct lax_path lax;
    struct text why = text_in(arena, 1 << 16);
    if (!router_find(router, &query, &match))
        return;
    if (lax_path_judge(arena, router, &query, uri->readings, match.route, &lax) != LAX_AMBIGUOUS)
        return;
    lax_path_add_why(&why, &lax, match.route);
    bool cased = router_asks_nocase(router, uri->path);
    if (lax.reading.len == 0 || lax.reading.at[0] != '/' || lax.how == 0 ||
        lax.reading.len > uri->path.len || (uri->readings == 0 && !cased) ||
        (lax.other != NULL && access_policy_same(lax.other->conf, match.route->conf)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct uri uri;
    struct parse_error error;
    if (size > 512)
        return 0;
    struct arena *arena = arena_new(1 << 22, 4096);
    struct route routes[] = {prefix("/", &OPEN, false), prefix("/a/", &CLOSED, false),
                             prefix("/b/", &OPEN, true), prefix("/b/A/", &CLOSED, false)};
    const struct router *router = router_build(arena, routes, 4),
                        *one = router_build(arena, routes + 2, 1);
    if (router == NULL || one == NULL)
        abort();
    if (uri_parse(arena, str_from(data, size), &uri, &error) == PARSE_DONE) {
        judge(arena, router, &uri);
        judge(arena, one, &uri);
    }
    arena_end(arena);
    return 0;
}
