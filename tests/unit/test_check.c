#include "config/check.h"

#include "base/arena.h"
#include "config/tree.h"

#include <glob.h>
#include <libgen.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A small table of every kind of row; the real one is tested where it stands. */
static const struct directive table[] = {
    {"listen", "ADDRESS…", PLACE_FILE, DIRECTIVE_LIST, 0, "80 443", "", NULL, "listen 80", NULL},
    {"workers", "auto|N", PLACE_FILE, 0, 0, "auto", "", NULL, "workers 4", NULL},
    {"drain", "DURATION", PLACE_FILE, 0, 0, "30s", "", NULL, "drain 30s", NULL},
    {"trusted_proxies", "CIDR…", PLACE_FILE, DIRECTIVE_LIST, 0, "", "", NULL, "", NULL},
    {"site", "HOST… [-> TARGET…]", PLACE_FILE,
     DIRECTIVE_LIST | DIRECTIVE_BLOCK | DIRECTIVE_NEEDS_BLOCK, PLACE_SITE, "", "", NULL, "", NULL},
    {"->", "(PATTERN | ~ REGEX)… -> TARGET…", PLACE_SITE, DIRECTIVE_LIST | DIRECTIVE_BLOCK,
     PLACE_ROUTE, "", "", NULL, "", NULL},
    {"tls", "internal|off | CERT KEY [CERT KEY] | DIR", PLACE_FILE | PLACE_SITE, 0, 0, "", "", NULL,
     "", NULL},
    {"compress", "on|off | TYPE…", PLACE_ANY, 0, 0, "on", "", NULL, "", NULL},
    {"websocket", "on|off", PLACE_ANY, 0, 0, "on", "", NULL, "", NULL},
    {"body", "SIZE|off", PLACE_ANY, 0, 0, "100m", "", NULL, "", NULL},
    {"strip", "", PLACE_ROUTE, 0, 0, "", "", NULL, "", NULL},
    {"allow", "from any|CIDR…", PLACE_ANY, DIRECTIVE_LIST, 0, "", "", NULL, "", NULL},
    {"error", "STATUS… FILE", PLACE_ANY, DIRECTIVE_LIST, 0, "", "", NULL, "", NULL},
    {"keepalive", "N [idle DURATION] | off", PLACE_ANY, 0, 0, "", "", NULL, "", NULL},
    {"log", "(FILE|stderr|syslog|off) [json|combined] [rotate SIZE keep N]", PLACE_ANY, 0, 0, "",
     "", NULL, "", NULL},
    {"http", "redirect [PORT] | serve | refuse", PLACE_FILE | PLACE_SITE, 0, 0, "", "", NULL, "",
     NULL},
};
static const size_t table_rows = sizeof table / sizeof table[0];

struct result {
    struct arena *arena;
    struct source_set *sources;
    struct tree tree;
    struct diag diag;
    struct str rendered;
    bool ok;
};

static struct result check_file(const char *path)
{
    struct result r = {.arena = arena_new(64 << 20, 65536), .sources = source_set_disk()};
    diag_init(&r.diag, r.arena);
    r.ok = tree_parse(&r.tree, r.arena, r.sources, str_from_z(path), &r.diag);
    r.ok = check_tree(&r.tree, table, table_rows, &r.diag) && r.ok;
    struct text out = text_in(r.arena, 1 << 20);
    diag_render(&r.diag, &out, false);
    r.rendered = text_str(&out);
    return r;
}

static struct result check_text(const char *conf)
{
    struct result r = {.arena = arena_new(64 << 20, 65536), .sources = source_set_disk()};
    diag_init(&r.diag, r.arena);
    assert_true(source_put(r.sources, SOURCE_CONF, STR("x.conf"), str_from_z(conf)));
    r.ok = tree_parse(&r.tree, r.arena, r.sources, STR("x.conf"), &r.diag);
    r.ok = check_tree(&r.tree, table, table_rows, &r.diag) && r.ok;
    struct text out = text_in(r.arena, 1 << 20);
    diag_render(&r.diag, &out, false);
    r.rendered = text_str(&out);
    return r;
}

static void end(struct result *r)
{
    source_set_end(r->sources);
    arena_end(r->arena);
}

/* --- wrong files: tests/unit/config_wrong/g_*.conf beside what is said of them -------------------
 */

static void every_wrong_file_is_told_as_expected(void **state)
{
    (void)state;
    assert_int_equal(chdir(PC_SOURCE_DIR "/tests/unit/config_wrong"), 0);
    bool update = getenv("PC_UPDATE_EXPECTED") != NULL; /* after looking at the difference */
    glob_t files;
    assert_int_equal(glob("g_*.conf", 0, NULL, &files), 0);
    unsigned wrong = 0;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        struct result r = check_file(files.gl_pathv[i]);
        char path[512];
        snprintf(path, sizeof path, "%.*sexpected", (int)strlen(files.gl_pathv[i]) - 4,
                 files.gl_pathv[i]);
        if (update) {
            FILE *out = fopen(path, "w");
            assert_non_null(out);
            fwrite(r.rendered.at, 1, r.rendered.len, out);
            fclose(out);
        }
        const struct source *expected = source_get(r.sources, SOURCE_DATA, str_from_z(path));
        if (r.ok || !str_eq(expected->bytes, r.rendered)) {
            print_error("%s:\n%.*s--- instead of\n%.*s", path, STR_ARG(r.rendered),
                        STR_ARG(expected->bytes));
            wrong++;
        }
        end(&r);
    }
    globfree(&files);
    assert_int_equal(wrong, 0);
}

static void a_right_file_passes_and_has_its_rows(void **state)
{
    (void)state;
    struct result r =
        check_text("listen 80 443\n"
                   "workers auto; drain 1h\n"
                   "tls internal\n"
                   "log access.log json rotate 100m keep 7\n"
                   "error 502 503 down.html\n"
                   "site a.example *.b.example {\n"
                   "    keepalive 64 idle 30s\n"
                   "    /x/* /y -> localhost:3000 { strip; body 2g; allow from any }\n"
                   "    ~ '^/z(.*)$' -> redirect 301 /$1\n"
                   "    /* -> files ./public else localhost:1\n"
                   "}\n"
                   "site * -> localhost:3001\n");
    if (!r.ok)
        print_error("%.*s", STR_ARG(r.rendered));
    assert_true(r.ok);
    for (const struct statement *s = r.tree.top.first; s; s = s->next)
        assert_non_null(s->directive);
    end(&r);
}

static void ten_thousand_routes_are_cheap(void **state)
{
    (void)state;
    struct result r = {.arena = arena_new(64 << 20, 65536), .sources = source_set_disk()};
    struct text conf = text_in(r.arena, 8 << 20);
    text_add_z(&conf, "site * {\n");
    for (unsigned i = 0; i < 10000; i++)
        text_printf(&conf, "    /path/%u/* -> localhost:3000\n", i);
    text_add_z(&conf, "}\n");
    size_t before = arena_used(r.arena);
    diag_init(&r.diag, r.arena);
    assert_true(source_put(r.sources, SOURCE_CONF, STR("x.conf"), text_str(&conf)));
    assert_true(tree_parse(&r.tree, r.arena, r.sources, STR("x.conf"), &r.diag));
    assert_true(check_tree(&r.tree, table, table_rows, &r.diag));
    assert_true(arena_used(r.arena) - before < 8 << 20);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wrong_file_is_told_as_expected),
        cmocka_unit_test(a_right_file_passes_and_has_its_rows),
        cmocka_unit_test(ten_thousand_routes_are_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
