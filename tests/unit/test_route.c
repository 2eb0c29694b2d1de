/* From a request to its route. */
#include "proxy/route.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/regex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;
static struct route routes[32];
static size_t route_count;

static int start(void **state)
{
    (void)state;
    arena = arena_new((size_t)64 << 20, 4096);
    route_count = 0;
    memset(routes, 0, sizeof routes);
    return arena == NULL;
}

static int stop(void **state)
{
    (void)state;
    arena_end(arena);
    return 0;
}

/* As a configuration writes it. */
static struct route *route(const char *pattern)
{
    struct route *r = &routes[route_count];
    struct str text = str_from_z(pattern);
    r->order = (uint32_t)route_count++;
    r->pattern = text;
    if (str_starts(text, STR("~ "))) {
        const char *why;
        size_t at;
        r->kind = PATTERN_REGEX;
        r->path = str_skip(text, 2);
        r->regex = regex_new(arena, r->path, &why, &at);
        assert_non_null(r->regex);
    } else if (str_ends(text, STR("/*"))) {
        r->kind = PATTERN_PREFIX;
        r->path = str_sub(text, 0, text.len - 1);
    } else {
        r->kind = PATTERN_EXACT;
        r->path = text;
    }
    return r;
}

static void when(struct route *r, const struct condition *conditions, size_t count)
{
    struct condition *copy = arena_array(arena, count, sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, conditions, count * sizeof *copy);
    r->conditions = copy;
    r->condition_count = count;
}

static struct message request;

static const struct route *find(struct router *router, const char *path, struct route_match *match)
{
    static const struct addr client = {.family = ADDR_IP4, .ip = {192, 0, 2, 1}};
    struct route_query query = {.request = &request, .client = &client};
    query.path = str_from_z(path);
    size_t mark = str_find_byte(query.path, '?');
    if (mark != SIZE_MAX) {
        query.query = str_skip(query.path, mark + 1);
        query.path = str_sub(query.path, 0, mark);
    }
    struct route_match own;
    return router_find(router, &query, match ? match : &own) ? (match ? match : &own)->route : NULL;
}

static void ask(const char *method, const char *name, const char *value)
{
    message_init(&request, arena);
    request.method_text = str_from_z(method);
    if (name != NULL)
        assert_true(message_push(&request, str_from_z(name), str_from_z(value)));
}

static void exact_then_regex_then_longest_prefix(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "/*",   "/api/*",     "/api/v1/*", "~ \\.php$",   "/api/v1/x.php",
        "/api", "~ ^/api/v2", "/apiary/*", "/dicom/wado", "/dicom/*",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        route(patterns[i]);
    struct router *router = router_build(arena, routes, route_count);
    assert_non_null(router);
    ask("GET", NULL, NULL);
    static const struct {
        const char *path, *pattern;
    } cases[] = {
        {"/", "/*"},
        {"/x", "/*"},
        {"/api", "/api"},
        {"/api/", "/api/*"},
        {"/api/v1", "/api/v1/*"},
        {"/api/v1/", "/api/v1/*"},
        {"/api/v1/y", "/api/v1/*"},
        {"/api/v11", "/api/*"},
        {"/api/v", "/api/*"},
        {"/apia", "/*"},
        {"/apiary", "/apiary/*"},
        {"/apiary/bees", "/apiary/*"},
        {"/api/v1/x.php", "/api/v1/x.php"},
        {"/api/v1/y.php", "~ \\.php$"},
        {"/api/v2", "~ ^/api/v2"},
        {"/dicom/wado", "/dicom/wado"},
        {"/dicom/wado/", "/dicom/*"},
        {"/dicom%2fwado", "/*"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct route *found = find(router, cases[i].path, NULL);
        assert_non_null(found);
        assert_string_equal(found->pattern.at, cases[i].pattern);
    }
}

static void a_prefix_knows_its_rest_and_the_bare_path_wants_a_slash(void **state)
{
    (void)state;
    route("/x/*");
    struct router *router = router_build(arena, routes, route_count);
    struct route_match match;
    ask("GET", NULL, NULL);
    assert_non_null(find(router, "/x/a/b", &match));
    assert_true(str_eq(match.rest, STR("a/b")));
    assert_false(match.to_slash);
    assert_non_null(find(router, "/x", &match));
    assert_true(match.to_slash);
    assert_int_equal(match.rest.len, 0);
    assert_non_null(find(router, "/x/", &match));
    assert_false(match.to_slash);
    assert_null(find(router, "/", &match));
    assert_null(find(router, "/xy", &match));
    assert_null(find(router, "", &match));
}

static void groups_come_from_the_expression_that_matched(void **state)
{
    (void)state;
    route("~ ^/(no)(t)$");
    route("~ ^/user/([a-z]+)(/x)?$");
    route("/*");
    struct router *router = router_build(arena, routes, route_count);
    struct route_match match;
    ask("GET", NULL, NULL);
    assert_non_null(find(router, "/user/ann", &match));
    assert_true(str_eq(match.groups[1], STR("ann")));
    assert_int_equal(match.groups[2].len, 0);
    assert_non_null(find(router, "/user/7", &match));
    assert_int_equal(match.groups[0].len, 0);
}

static void conditions_choose_and_the_search_goes_on(void **state)
{
    (void)state;
    static struct str beta[] = {STR_INIT("beta"), STR_INIT("gamma")};
    static struct str post[] = {STR_INIT("POST")};
    const struct condition on_cookie = {
        .kind = CONDITION_COOKIE, .name = STR_INIT("group"), .values = beta, .value_count = 2};
    const struct condition on_post = {.kind = CONDITION_METHOD, .values = post, .value_count = 1};
    const struct condition not_header = {
        .kind = CONDITION_HEADER, .negated = true, .name = STR_INIT("X-Old")};
    const struct condition on_query = {
        .kind = CONDITION_QUERY, .name = STR_INIT("a b"), .values = beta, .value_count = 1};
    when(route("/x/*"), &on_cookie, 1);
    when(route("/x/*"), &on_post, 1);
    when(route("/x/y"), &not_header, 1);
    when(route("/q"), &on_query, 1);
    route("/*");
    struct router *router = router_build(arena, routes, route_count);
    ask("GET", "cookie", "a=b; group=gamma; c=d");
    assert_ptr_equal(find(router, "/x/1", NULL), &routes[0]);
    ask("GET", "cookie", "group=gammas");
    assert_ptr_equal(find(router, "/x/1", NULL), &routes[4]);
    assert_ptr_equal(find(router, "/x", NULL), &routes[4]);
    ask("POST", NULL, NULL);
    assert_ptr_equal(find(router, "/x/1", NULL), &routes[1]);
    assert_ptr_equal(find(router, "/x", NULL), &routes[1]);
    ask("GET", NULL, NULL);
    assert_ptr_equal(find(router, "/x/y", NULL), &routes[2]);
    ask("GET", "x-old", "1");
    assert_ptr_equal(find(router, "/x/y", NULL), &routes[4]);
    assert_ptr_equal(find(router, "/q?b=1&a%20b=beta", NULL), &routes[3]);
    assert_ptr_equal(find(router, "/q?a+b=b%65ta", NULL), &routes[3]);
    assert_ptr_equal(find(router, "/q?a+b=b%65t", NULL), &routes[4]);
    assert_ptr_equal(find(router, "/q?a+b", NULL), &routes[4]);
}

static void from_and_path_conditions_hold(void **state)
{
    (void)state;
    struct cidr net;
    const char *why;
    size_t at;
    assert_int_equal(cidr_parse(STR("192.0.2.0/24"), &net), CIDR_OK);
    const struct condition from = {.kind = CONDITION_FROM, .nets = &net, .net_count = 1};
    const struct condition not_from = {
        .kind = CONDITION_FROM, .negated = true, .nets = &net, .net_count = 1};
    const struct condition path = {.kind = CONDITION_PATH,
                                   .regex = regex_new(arena, STR("7$"), &why, &at)};
    when(route("/*"), &not_from, 1);
    when(route("/*"), (const struct condition[]){from, path}, 2);
    struct router *router = router_build(arena, routes, route_count);
    ask("GET", NULL, NULL);
    assert_ptr_equal(find(router, "/17", NULL), &routes[1]);
    assert_null(find(router, "/18", NULL));
}

static void routes_that_nothing_reaches_are_told(void **state)
{
    (void)state;
    static struct str post[] = {STR_INIT("POST")};
    const struct condition on_post = {.kind = CONDITION_METHOD, .values = post, .value_count = 1};
    when(route("/a/*"), &on_post, 1);
    route("/a/*");
    route("/a/*"); /* hidden by 1 */
    when(route("/b"), &on_post, 1);
    when(route("/b"), &on_post, 1); /* hidden by 3 */
    route("/b");
    route("/c"); /* fine */
    struct router *router = router_build(arena, routes, route_count);
    const struct route *hidden, *by;
    size_t at = 0, found = 0;
    while (router_hidden(router, &at, &hidden, &by)) {
        found++;
        assert_true((hidden == &routes[2] && by == &routes[1]) ||
                    (hidden == &routes[4] && by == &routes[3]));
    }
    assert_int_equal(found, 2);
}

static void an_expression_for_all_hides_what_is_behind(void **state)
{
    (void)state;
    route("/exact");
    route("~ \\.css$");
    route("~ ^/");
    route("~ x");
    route("/p/*");
    struct router *router = router_build(arena, routes, route_count);
    const struct route *hidden, *by;
    size_t at = 0, found = 0;
    while (router_hidden(router, &at, &hidden, &by)) {
        found++;
        assert_true(by == &routes[2] && (hidden == &routes[3] || hidden == &routes[4]));
    }
    assert_int_equal(found, 2);
}

static void ten_thousand_routes_build_quickly_and_are_all_found(void **state)
{
    (void)state;
    enum { MANY = 10000 };
    struct route *many = arena_array(arena, MANY, sizeof *many);
    assert_non_null(many);
    for (uint32_t i = 0; i < MANY; i++) {
        many[i].order = i;
        many[i].kind = i % 2 ? PATTERN_PREFIX : PATTERN_EXACT;
        many[i].path = str_printf(arena, "/app%u/part%u%s", i % 97, i, i % 2 ? "/" : "");
    }
    uint64_t before = clock_mono_us();
    struct router *router = router_build(arena, many, MANY);
    uint64_t built = clock_mono_us();
    assert_non_null(router);
    ask("GET", NULL, NULL);
    static const struct addr client = {.family = ADDR_IP4};
    struct route_query query = {.request = &request, .client = &client};
    struct route_match match;
    for (size_t i = 0; i < MANY; i++) {
        query.path = many[i].path;
        assert_true(router_find(router, &query, &match));
        assert_ptr_equal(match.route, &many[i]);
    }
    print_message("built in %u us, a look-up in %u ns\n", (unsigned)(built - before),
                  (unsigned)((clock_mono_us() - built) * 1000 / MANY));
}

static void without_memory_there_is_no_router(void **state)
{
    (void)state;
    route("/a/*");
    route("/b");
    route("~ c");
    struct router *router = NULL;
    for (uint64_t n = 1; router == NULL; n++) {
        assert_true(n < 100);
        arena_fail_at(n);
        router = router_build(arena, routes, route_count);
        arena_fail_at(0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exact_then_regex_then_longest_prefix),
        TEST(a_prefix_knows_its_rest_and_the_bare_path_wants_a_slash),
        TEST(groups_come_from_the_expression_that_matched),
        TEST(conditions_choose_and_the_search_goes_on),
        TEST(from_and_path_conditions_hold),
        TEST(routes_that_nothing_reaches_are_told),
        TEST(an_expression_for_all_hides_what_is_behind),
        TEST(ten_thousand_routes_build_quickly_and_are_all_found),
        TEST(without_memory_there_is_no_router),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
