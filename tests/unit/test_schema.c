#include "config/schema.h"

#include "base/arena.h"
#include "config/completion.h"
#include "config/json.h"
#include "config/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* What is made from the table, shown on a small one. */
static const struct directive table[] = {
    {"workers", "auto|N", PLACE_FILE, 0, 0, "auto", "Threads.", "More of it.", "workers 4", NULL},
    {"site", "HOST… [-> TARGET…]", PLACE_FILE,
     DIRECTIVE_LIST | DIRECTIVE_BLOCK | DIRECTIVE_NEEDS_BLOCK, PLACE_SITE, "", "A host.", NULL,
     "site * -> a:1\n", NULL},
    {"->", "(PATTERN | ~ REGEX)… -> TARGET…", PLACE_SITE, DIRECTIVE_LIST | DIRECTIVE_BLOCK,
     PLACE_ROUTE, "", "A \"route\".", NULL, "/ -> a:1", NULL},
    {"strip", "", PLACE_ROUTE, 0, 0, "", "Cuts.", NULL, "strip", NULL},
    {"websocket", "on|off", PLACE_ANY, 0, 0, "on", "Upgrades.", NULL, "websocket off", NULL},
};
static const size_t rows = sizeof table / sizeof table[0];

static bool has(const struct text *text, const char *part)
{
    return str_find(text_str(text), str_from_z(part)) != SIZE_MAX;
}

static void the_schema_is_json_and_knows_each_row(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 4096);
    struct text out = text_in(arena, 1 << 18);
    schema_print(table, rows, &out);
    const char *why;
    size_t at;
    const struct json *top = json_read(arena, text_str(&out), &why, &at);
    if (top == NULL)
        print_error("%zu: %s\n%.*s\n", at, why, STR_ARG(text_str(&out)));
    assert_non_null(top);
    const struct json *defs = json_get(top, STR("$defs"));
    static const char *const names[] = {"workers",   "site",    "a route", "strip",
                                        "websocket", "in file", "in site", "in route"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_non_null(json_get(defs, str_from_z(names[i])));
    assert_true(has(&out, "{\"enum\": [\"on\", \"off\"]}"));
    arena_end(arena);
}

static void the_reference_has_each_row_once(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 4096);
    struct text out = text_in(arena, 1 << 18);
    reference_print(table, rows, &out);
    assert_true(has(&out, "### workers\n\n```\nworkers auto|N\n```\n\nThreads.\n\n"
                          "Stands in: top level. Default: `auto`.\n\nMore of it.\n\n"
                          "```\nworkers 4\n```\n"));
    assert_true(has(&out, "site HOST… [-> TARGET…] { … }"));
    assert_true(has(&out, "### A route\n"));
    assert_true(has(&out, "Stands in: top level, site, route. Default: `on`.\n"));
    arena_end(arena);
}

static void editors_and_shells_get_the_words(void **state)
{
    (void)state;
    static const struct completion_command commands[] = {
        {"run", "-c"}, {"check", "-c --json"}, {"stop", ""}, {NULL, NULL}};
    struct arena *arena = arena_new(1 << 20, 4096);
    struct text out = text_in(arena, 1 << 18);
    completion_print_bash(commands, &out);
    assert_true(has(&out, "words='run check stop --help --version'"));
    assert_true(has(&out, "check) words='-c --json' ;;"));
    out = text_in(arena, 1 << 18);
    completion_print_vim(table, rows, &out);
    assert_true(has(&out, "syn keyword portcullisKeyword auto\n"));
    assert_true(has(&out, "\\zswebsocket\\ze"));
    arena_end(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schema_is_json_and_knows_each_row),
        cmocka_unit_test(the_reference_has_each_row_once),
        cmocka_unit_test(editors_and_shells_get_the_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
