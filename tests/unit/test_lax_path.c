/* Paths that lenient origins read as another route's. */
#include "proxy/lax_path.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/regex.h"
#include "http/uri.h"
#include "proxy/access_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cases.h"

static struct arena *arena;
static struct cidr ten[1] = {{.net = {.family = ADDR_IP4, .ip = {10}}, .bits = 8}};
static struct access_rule rules[1] = {{.allow = true, .nets = ten, .net_count = 1}};
static struct access_list list = {.rules = rules, .count = 1, .has_allow = true};
static const struct route_conf OPEN = {0};
static const struct route_conf CLOSED = {.access = {[2] = &list}};
static const struct route_conf LOOSE = {.paths_loose = true};

struct table {
    struct route routes[24];
    size_t count;
    struct router *router;
};

static struct route *add(struct table *t, const char *pattern, const struct route_conf *conf)
{
    struct route *r = &t->routes[t->count];
    struct str text = str_from_z(pattern);
    *r = (struct route){.order = (uint32_t)t->count++, .pattern = text, .path = text, .conf = conf};
    r->where = (struct where){STR("a.conf"), (uint32_t)t->count};
    if (str_starts(text, STR("~ "))) {
        const char *why;
        size_t at;
        r->kind = PATTERN_REGEX;
        r->path = str_skip(text, 2);
        r->regex = regex_new(arena, r->path, &why, &at);
        assert_non_null(r->regex);
    } else if (str_ends(text, STR("/*"))) {
        r->kind = PATTERN_PREFIX;
        r->path.len--;
    }
    return r;
}

static void when_path(struct route *r, const char *regex)
{
    const char *why;
    size_t at;
    r->conditions = ARENA_NEW(arena, struct condition);
    r->condition_count = 1;
    r->conditions->kind = CONDITION_PATH;
    r->conditions->name = str_from_z(regex);
    r->conditions->regex = regex_new(arena, r->conditions->name, &why, &at);
    assert_non_null(r->conditions->regex);
}

static void build(struct table *t)
{
    t->router = router_build(arena, t->routes, t->count);
    assert_non_null(t->router);
}

/* As the configuration in tests/e2e/test_40_lax_paths.py. */
static void fill(struct table *a, struct table *b)
{
    add(a, "/dicom/*", &CLOSED);
    add(a, "/Portal/*", &CLOSED);
    add(a, "/admin", &CLOSED);
    add(a, "~ \\.php$", &CLOSED);
    add(a, "/app/*", &OPEN)->strip = true;
    add(a, "/app/admin/*", &CLOSED)->strip = true;
    add(a, "/loose/*", &LOOSE);
    add(a, "/twin/*", &OPEN);
    add(a, "/TWIN/*", &CLOSED);
    add(a, "/a;b", &OPEN);
    when_path(add(a, "/sem/*", &CLOSED), "/secret$");
    add(a, "/sem/*", &OPEN);
    add(a, "/*", &OPEN);
    build(a);
    add(b, "/public/*", &OPEN);
    build(b);
}

struct judged {
    unsigned status;
    bool ambiguous;
    struct lax_path lax;
    const struct route *chosen;
};

static struct judged judge(const struct table *t, struct str target)
{
    static const struct addr client = {.family = ADDR_IP4};
    static struct message request;
    struct judged judged = {.status = 400};
    struct parse_error error;
    struct route_match match;
    struct uri uri;
    if (uri_parse(arena, target, &uri, &error) != PARSE_DONE)
        return judged;
    struct route_query query = {
        .request = &request, .path = uri.path, .query = uri.query, .client = &client};
    judged.status = 404;
    if (!router_find(t->router, &query, &match))
        return judged;
    judged.chosen = match.route;
    judged.status = match.route->conf == &CLOSED ? 403 : match.to_slash ? 308 : 200;
    if (match.route->conf->paths_loose)
        return judged;
    enum lax_verdict verdict =
        lax_path_judge(arena, t->router, &query, uri.readings, match.route, &judged.lax);
    assert_true(verdict == LAX_PLAIN || verdict == LAX_AMBIGUOUS);
    judged.ambiguous = verdict == LAX_AMBIGUOUS;
    if (judged.ambiguous)
        judged.status = 400;
    return judged;
}

static bool row_holds(const struct test_case *row, const struct judged *judged)
{
    struct str other = judged->lax.other ? judged->lax.other->pattern : (struct str){0};
    if (!case_expects(row, judged->status) || judged->ambiguous != row->has_route)
        return false;
    return !row->has_route ||
           (str_eq(other, row->route) &&
            (row->reading.len == 0 || str_eq(judged->lax.reading, row->reading)));
}

static int start(void **state)
{
    (void)state;
    arena = arena_new((size_t)64 << 20, 1 << 16);
    return arena == NULL;
}

static int stop(void **state)
{
    (void)state;
    arena_end(arena);
    return 0;
}

static void every_path_of_the_table_is_read_in_all_ways(void **state)
{
    (void)state;
    struct table a = {0}, b = {0};
    fill(&a, &b);
    struct case_reader cases = case_open(arena, PC_SOURCE_DIR "/tests/e2e/cases/paths.json");
    struct test_case row;
    unsigned count = 0, failed = 0;
    for (; case_next(&cases, &row); count++) {
        struct judged judged = judge(str_eq(row.host, STR("a.test")) ? &a : &b, row.bytes);
        if (row_holds(&row, &judged))
            continue;
        print_error("%.*s: %u as %.*s\n", STR_ARG(row.name), judged.status,
                    STR_ARG(judged.lax.reading));
        failed++;
    }
    assert_int_equal(failed, 0);
    assert_true(count >= 100);
}

static void the_reason_names_reading_and_both_routes(void **state)
{
    (void)state;
    struct table a = {0}, b = {0};
    fill(&a, &b);
    struct judged judged = judge(&a, STR("/X/%252E%252E/DICOM;v=1/y"));
    char memory[512];
    struct text why = text_over(memory, sizeof memory);
    lax_path_add_why(&why, &judged.lax, judged.chosen);
    assert_true(
        str_eq(text_str(&why),
               STR("an origin may read this path as /dicom/y (decoded twice, parameters "
                   "dropped, dot segments resolved, without case), which falls on route "
                   "/dicom/* at a.conf:1; as it stands it falls on route /* at a.conf:13")));
    judged = judge(&b, STR("/public/%252e%252e/secret"));
    why = text_over(memory, sizeof memory);
    lax_path_add_why(&why, &judged.lax, judged.chosen);
    assert_true(str_find(text_str(&why), STR("which falls on no route; as it stands it falls on "
                                             "route /public/* at a.conf:1")) != SIZE_MAX);
}

static void a_path_of_many_readings_is_refused_and_costs_little(void **state)
{
    (void)state;
    struct table a = {0}, b = {0};
    fill(&a, &b);
    /* What gives each order of the ways another result, as long as a line may be. */
    static const char bit[] = "a;b%252f%c0%bbc%c0%afd;%25c0%25afe%3b%253ff%3fg%23h%c0%bfi/%252e/";
    struct text target = text_in(arena, 8192);
    text_add_byte(&target, '/');
    while (target.len + sizeof bit < 8000)
        text_add_z(&target, bit);
    uint64_t before = clock_mono_us();
    struct judged judged = judge(&a, text_str(&target));
    print_message("%u bytes: %u us, status %u%s\n", (unsigned)target.len,
                  (unsigned)(clock_mono_us() - before), judged.status,
                  judged.lax.how & LAX_MANY ? ", too many readings" : "");
}

static void what_has_no_reading_costs_nothing(void **state)
{
    (void)state;
    struct table a = {0}, b = {0}, c = {0};
    fill(&a, &b);
    add(&c, "/dicom/*", &CLOSED);
    add(&c, "/*", &OPEN);
    build(&c);
    enum { TIMES = 200000 };
    static const struct addr client = {.family = ADDR_IP4};
    static struct message request;
    const struct {
        const char *what, *path;
        const struct table *table;
        bool has_readings, asks;
    } rows[] = {
        {"one policy", "/public/studies/1.2.840/x", &b, false, false},
        {"several policies", "/public/studies/1.2.840/x", &c, false, false},
        {"several policies, an upper-case pattern", "/public/studies/1.2.840/x", &a, false, true},
        {"a parameter", "/public/studies;v=1/1.2.840/x", &a, true, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct route_query query = {
            .request = &request, .path = str_from_z(rows[i].path), .client = &client};
        struct route_match match;
        struct lax_path lax;
        assert_true(router_find(rows[i].table->router, &query, &match));
        assert_int_equal(router_asks_nocase(rows[i].table->router, query.path), rows[i].asks);
        uint64_t before = clock_mono_us();
        size_t used = arena_used(arena);
        struct arena *own = arena_new((size_t)64 << 20, 1 << 16);
        for (int n = 0; n < TIMES; n++)
            assert_int_equal(lax_path_judge(own, rows[i].table->router, &query,
                                            rows[i].has_readings ? URI_READ_BYTES : 0, match.route,
                                            &lax),
                             LAX_PLAIN);
        print_message("%s: %u ns\n", rows[i].what,
                      (unsigned)((clock_mono_us() - before) * 1000 / TIMES));
        if (!rows[i].has_readings && !rows[i].asks)
            assert_int_equal(arena_used(own), 0);
        assert_int_equal(arena_used(arena), used);
        arena_end(own);
    }
}

static void policies_are_compared_over_all_levels(void **state)
{
    (void)state;
    struct cidr net = {.net = {.family = ADDR_IP4, .ip = {10}}, .bits = 8};
    struct cidr wider = {.net = {.family = ADDR_IP4, .ip = {10}}, .bits = 7};
    struct access_rule allow_10[] = {{.allow = true, .nets = &net, .net_count = 1}};
    struct access_rule allow_10_too[] = {{.allow = true, .nets = &net, .net_count = 1}};
    struct access_rule deny_10[] = {{.allow = false, .nets = &net, .net_count = 1}};
    struct access_rule allow_wider[] = {{.allow = true, .nets = &wider, .net_count = 1}};
    const struct access_list x = {allow_10, 1, true}, y = {allow_10_too, 1, true},
                             z = {deny_10, 1, false}, w = {allow_wider, 1, true}, none = {0};
    const struct route_conf site_x = {.access = {[1] = &x}}, route_y = {.access = {[2] = &y}},
                            both = {.access = {[1] = &x, [2] = &z}}, wide = {.access = {&w}},
                            empty = {.access = {&none}}, open = {0};
    assert_true(access_policy_same(&site_x, &route_y));
    assert_true(access_policy_same(&open, &empty));
    assert_true(access_policy_same(NULL, &empty));
    assert_true(access_policy_same(NULL, NULL));
    assert_false(access_policy_same(&site_x, &both));
    assert_false(access_policy_same(&both, &site_x));
    assert_false(access_policy_same(&site_x, &wide));
    assert_false(access_policy_same(&open, &wide));
    assert_false(access_policy_same(NULL, &both));
}

static void without_memory_nothing_passes(void **state)
{
    (void)state;
    struct table a = {0}, b = {0};
    fill(&a, &b);
    static const struct addr client = {.family = ADDR_IP4};
    static struct message request;
    struct route_query query = {
        .request = &request, .path = STR("/x/%2e%2e/DICOM/y"), .client = &client};
    struct lax_path lax;
    struct route_match match;
    assert_true(router_find(a.router, &query, &match));
    enum lax_verdict verdict = LAX_NO_MEMORY;
    uint64_t n = 1;
    for (; verdict == LAX_NO_MEMORY; n++) {
        assert_true(n < 100);
        arena_fail_at(n);
        verdict = lax_path_judge(arena, a.router, &query, URI_READ_BYTES, match.route, &lax);
        arena_fail_at(0);
    }
    assert_true(n > 3);
    assert_int_equal(verdict, LAX_AMBIGUOUS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_path_of_the_table_is_read_in_all_ways),
        TEST(the_reason_names_reading_and_both_routes),
        TEST(a_path_of_many_readings_is_refused_and_costs_little),
        TEST(what_has_no_reading_costs_nothing),
        TEST(policies_are_compared_over_all_levels),
        TEST(without_memory_nothing_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
