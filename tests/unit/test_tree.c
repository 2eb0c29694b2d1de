#include "config/tree.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct parsed {
    struct arena *arena;
    struct diag diag;
    struct tree tree;
    bool ok;
};

static struct parsed parse(const char *text)
{
    struct parsed p = {.arena = arena_new(16 << 20, 4096)};
    diag_init(&p.diag, p.arena);
    p.ok = tree_parse_text(&p.tree, p.arena, STR("x.conf"), str_from_z(text), &p.diag);
    return p;
}

/* --- words --------------------------------------------------------------------------------------
 */

static void words_mean_what_is_written(void **state)
{
    (void)state;
    static const struct {
        const char *written, *meant;
    } cases[] = {
        {"a#b", "a#b"},
        {"C:\\dir", "C:\\dir"},
        {"'^\\d{2}$'", "^\\d{2}$"},
        {"'a\"b'", "a\"b"},
        {"\"a'b\"", "a'b"},
        {"\"\"", ""},
        {"''", ""},
        {"\"a\\\"b\\\\c\\nd\\te\"", "a\"b\\c\nd\te"},
        {"\"a b; { } # c\"", "a b; { } # c"},
        {"${PC_TEST}", "one two"},
        {"x${PC_TEST}y", "xone twoy"},
        {"\"${PC_TEST}\"", "one two"},
        {"'${PC_TEST}'", "${PC_TEST}"},
        {"$${PC_TEST}", "${PC_TEST}"},
        {"$host", "$host"},
        {"$$", "$$"},
        {"$1", "$1"},
        {"${PC_NONE:-}", ""},
        {"${PC_NONE:-a;b{c}", "a;b{c"},
        {"\"${PC_NONE:-a b}\"", "a b"},
        {"\"${PC_NONE:-say \\\"a\\\"}\"", "say \"a\""},
        {"${PC_BRACES}", "${PC_TEST}"},
        {"\"->\"", "->"},
    };
    setenv("PC_TEST", "one two", 1);
    setenv("PC_BRACES", "${PC_TEST}", 1);
    unsetenv("PC_NONE");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed p = {.arena = arena_new(1 << 20, 4096)};
        struct source_set *sources = source_set_disk();
        struct str text = str_printf(p.arena, "log %s;next", cases[i].written);
        diag_init(&p.diag, p.arena);
        assert_true(source_put(sources, SOURCE_CONF, STR("x"), text));
        assert_true(tree_parse(&p.tree, p.arena, sources, STR("x"), &p.diag));
        const struct statement *s = p.tree.top.first;
        assert_int_equal(s->count, 2);
        if (!str_eq(s->words[1].text, str_from_z(cases[i].meant)))
            print_error("%s: %.*s\n", cases[i].written, STR_ARG(s->words[1].text));
        assert_true(str_eq(s->words[1].text, str_from_z(cases[i].meant)));
        assert_true(s->words[1].kind != WORD_ARROW);
        assert_non_null(s->next);
        source_set_end(sources);
        arena_end(p.arena);
    }
}

static void positions_count_bytes_from_one(void **state)
{
    (void)state;
    struct parsed p = parse("\xef\xbb\xbf"
                            "a b\r\n"
                            "  \"\xc3\xa4\" c {\r\n"
                            "}");
    assert_true(p.ok);
    const struct statement *s = p.tree.top.first->next;
    assert_int_equal(p.tree.top.first->words[0].pos.column, 1);
    assert_int_equal(s->words[0].pos.line, 2);
    assert_int_equal(s->words[0].pos.column, 3);
    assert_int_equal(s->words[0].pos.width, 4);
    assert_int_equal(s->words[1].pos.column, 8);
    assert_true(str_eq(s->words[1].pos.text, STR("  \"\xc3\xa4\" c {")));
    assert_int_equal(s->block->open.column, 10);
    assert_int_equal(s->block->close.line, 3);
    arena_end(p.arena);
}

static void statements_end_where_the_grammar_says(void **state)
{
    (void)state;
    struct parsed p = parse("a 1; b { c; d { e } f } g # x\n;;\nh \\\n 2\\\n3\n");
    assert_true(p.ok);
    const struct statement *a = p.tree.top.first, *b = a->next, *g = b->next, *h = g->next;
    assert_int_equal(a->count, 2);
    assert_int_equal(b->block->first->next->block->first->count, 1);
    assert_true(str_eq(b->block->last->words[0].text, STR("f")));
    assert_true(str_eq(g->trailing, STR("# x")));
    assert_int_equal(h->count, 3);
    assert_null(h->next);
    arena_end(p.arena);
}

static void the_parser_stands_every_memory_failure(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 40; n++) {
        struct arena *arena = arena_new(1 << 20, 4096);
        struct diag diag;
        struct tree tree;
        diag_init(&diag, arena);
        arena_fail_at(n);
        bool ok = tree_parse_text(&tree, arena, STR("x"),
                                  STR("a \"\\n\" { b; c { d } }\ne f; # why\ng # h\n"), &diag);
        arena_fail_at(0);
        assert_true(ok || diag.errors != 0);
        arena_end(arena);
    }
}

static void words_are_counted(void **state)
{
    (void)state;
    struct arena *arena = arena_new(64 << 20, 4096);
    for (unsigned more = 0; more < 2; more++) {
        struct text text = text_in(arena, 1 << 20);
        for (unsigned i = 0; i < TREE_WORDS_MAX + more; i++)
            text_add_z(&text, "a ");
        struct diag diag;
        struct tree tree;
        diag_init(&diag, arena);
        assert_int_equal(tree_parse_text(&tree, arena, STR("x"), text_str(&text), &diag), !more);
        assert_int_equal(diag.errors, more);
    }
    arena_end(arena);
}

/* --- layout -------------------------------------------------------------------------------------
 */

static void assert_layout(const char *written, const char *canonical)
{
    struct parsed p = parse(written);
    assert_true(p.ok);
    struct text out = text_in(p.arena, 1 << 20);
    tree_print(&p.tree, &out);
    if (!str_eq(text_str(&out), str_from_z(canonical)))
        print_error("%.*s", STR_ARG(text_str(&out)));
    assert_true(str_eq(text_str(&out), str_from_z(canonical)));
    arena_end(p.arena);
}

static void the_layout_is_canonical(void **state)
{
    (void)state;
    static const struct {
        const char *written, *canonical;
    } cases[] = {
        {"", ""},
        {"\n\n  # only a remark  \n\n", "# only a remark\n"},
        {"a   1 ;b\t2", "a 1\nb 2\n"},
        {"a {\nb\n   c   }  # end\nd", "a {\n    b\n    c\n}  # end\nd\n"},
        {"a{b;c{d}}", "a { b; c { d } }\n"},
        {"a {\n}\n", "a {\n}\n"},
        {"a { }\n", "a { }\n"},
        {"a\n\n\n\n# x\n\n\nb\n", "a\n\n# x\n\nb\n"},
        {"a {\n\n  b\n\n}\n", "a {\n    b\n}\n"},
        {"a { # open\n  # in\n  b # b\n  # last\n}\n",
         "a {  # open\n    # in\n    b  # b\n    # last\n}\n"},
        {"listen 80 # x\ntls internal # y\n\nlog off # z\n",
         "listen 80     # x\ntls internal  # y\n\nlog off  # z\n"},
        {"/a -> b\n/longer/* /x -> c { s }\n\n/c -> d\n",
         "/a           -> b\n/longer/* /x -> c { s }\n\n/c -> d\n"},
        {"a 1 \\\n  2 \\\n3 # x\n", "a 1 \\\n    2 \\\n    3  # x\n"},
        {"a \"b c\" 'd' \"e\"\n", "a \"b c\" 'd' \"e\"\n"},
        {"# 1\r\na b\r\n", "# 1\na b\n"},
        {"; ; # kept\na; # also\n", "# kept\na  # also\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_layout(cases[i].written, cases[i].canonical);
        assert_layout(cases[i].canonical, cases[i].canonical);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_mean_what_is_written),
        cmocka_unit_test(positions_count_bytes_from_one),
        cmocka_unit_test(statements_end_where_the_grammar_says),
        cmocka_unit_test(the_parser_stands_every_memory_failure),
        cmocka_unit_test(words_are_counted),
        cmocka_unit_test(the_layout_is_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
