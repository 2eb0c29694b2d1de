#include "config/twin.h"

#include "base/arena.h"
#include "config/json.h"
#include "config/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"

static struct str layout_of(struct arena *arena, const char *text, struct diag *diag)
{
    struct tree tree;
    struct text out = text_in(arena, 1 << 20);
    if (tree_parse_text(&tree, arena, STR("x"), str_from_z(text), diag))
        tree_print(&tree, &out);
    return text_str(&out);
}

static void a_file_comes_back_from_its_twin(void **state)
{
    (void)state;
    static const char text[] = "# first\n"
                               "listen 80 443  # both\n"
                               "\n"
                               "site a.example {  # open\n"
                               "    /a -> b:1 { strip; allow from any }\n"
                               "\n"
                               "    ~ '^/\\d$' -> redirect /x\n"
                               "    log \"two words\" ${NAME}\n"
                               "    # last\n"
                               "}  # closed\n"
                               "x \"->\" '${RAW}'\n"
                               "# end\n";
    static const char back[] = "# first\n"
                               "listen 80 443  # both\n"
                               "\n"
                               "site a.example {  # open\n"
                               "    /a -> b:1 { strip; allow from any }\n"
                               "\n"
                               "    ~ ^/\\d$ -> redirect /x\n"
                               "    log \"two words\" \"${NAME}\"\n"
                               "    # last\n"
                               "}  # closed\n"
                               "x \"->\" \"$${RAW}\"\n"
                               "# end\n";
    struct arena *arena = arena_new(1 << 22, 4096);
    struct diag diag;
    struct tree tree;
    diag_init(&diag, arena);
    assert_true(tree_parse_text(&tree, arena, STR("x"), str_from_z(text), &diag));
    struct text twin = text_in(arena, 1 << 20);
    twin_print(&tree, &twin);
    const char *why;
    size_t at;
    assert_non_null(json_read(arena, text_str(&twin), &why, &at));
    text_add_byte(&twin, '\0');
    struct str layout = layout_of(arena, twin.at, &diag);
    if (!str_eq(layout, str_from_z(back)))
        print_error("%.*s", STR_ARG(layout));
    assert_true(str_eq(layout, str_from_z(back)));
    arena_end(arena);
}

static void a_twin_is_loaded_like_a_file(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 22, 4096);
    struct source_set *sources = source_set_disk();
    struct diag diag;
    struct tree tree;
    setenv("PC_TEST", "a b", 1);
    diag_init(&diag, arena);
    assert_true(source_put(sources, SOURCE_CONF, STR("dir/inner.conf"), STR("c ${PC_TEST}\n")));
    assert_true(source_put(
        sources, SOURCE_CONF, STR("dir/x.json"),
        STR("\xef\xbb\xbf {\"portcullis\": 1, \"statements\": [\n"
            "{\"words\": [\"site\", \"${PC_TEST}\", \"$${x}\"], \"block\": [\n"
            "  {\"words\": [\"include\", \"inner.conf\"]}, {\"words\": [\"d\", \"->\"]}]}]}")));
    assert_true(tree_parse(&tree, arena, sources, STR("dir/x.json"), &diag));
    const struct statement *site = tree.top.first, *c = site->block->first, *d = c->next;
    assert_true(str_eq(site->words[1].text, STR("a b")));
    assert_true(str_eq(site->words[2].text, STR("${x}")));
    assert_int_equal(site->words[1].pos.line, 2);
    assert_int_equal(site->words[1].pos.column, 20);
    assert_true(str_eq(c->words[1].text, STR("a b")));
    assert_true(str_eq(c->words[0].pos.in->file, STR("dir/x.json")));
    assert_int_equal(d->words[1].kind, WORD_ARROW);
    source_set_end(sources);
    arena_end(arena);
}

static void a_twin_out_of_form_is_told_where(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line, column;
    } cases[] = {
        {"{\"portcullis\": 1}", 1, 1},
        {"{\"statements\": []}", 1, 1},
        {"{\"portcullis\": 2, \"statements\": []}", 1, 1},
        {"{\"portcullis\": 1, \"statements\": [1]}", 1, 34},
        {"{\"portcullis\": 1,\n \"statements\": [{}]}", 2, 17},
        {"{\"portcullis\": 1,\n \"statements\": [{\"words\": []}]}", 2, 27},
        {"{\"portcullis\": 1,\n \"statements\": [{\"words\": [1]}]}", 2, 28},
        {"{\"portcullis\": 1,\n \"statements\": [{\"words\": [\"a\\u0001\"]}]}", 2, 28},
        {"{\"portcullis\": 1,\n \"statements\": [{\"words\": [\"a\"], \"x\": 1}]}", 2, 39},
        {"{\"portcullis\": 1,\n \"statements\": [{\"words\": [\"a\"], \"block\": 1}]}", 2, 43},
        {"{\"portcullis\": 1,\n \"statements\": [{\"words\": [\"a\"], \"comment\": \"x\"}]}", 2,
         45},
        {"{\"portcullis\": 1,\n \"statements\": [}", 2, 17},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new(1 << 20, 4096);
        struct diag diag;
        struct tree tree;
        diag_init(&diag, arena);
        assert_false(tree_parse_text(&tree, arena, STR("x"), str_from_z(cases[i].text), &diag));
        if (diag.first->pos.line != cases[i].line || diag.first->pos.column != cases[i].column)
            print_error("%s: %u:%u\n", cases[i].text, diag.first->pos.line, diag.first->pos.column);
        assert_int_equal(diag.first->pos.line, cases[i].line);
        assert_int_equal(diag.first->pos.column, cases[i].column);
        arena_end(arena);
    }
}

static void words_that_need_quotes_get_them(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 4096);
    struct diag diag;
    diag_init(&diag, arena);
    struct str layout = layout_of(
        arena,
        "{\"portcullis\":1,\"statements\":[{\"words\":[\"a\",\"\",\"b c\",\"#d\",\"e#\",\"f\\\\\","
        "\"g\\\"\",\"'\",\"'\\\"\",\"h\\ni\",\"j->k\",\"{\",\"$l\",\"C:\\\\m\",\"\\u00e4\"]}]}",
        &diag);
    const char *expected =
        "a \"\" \"b c\" \"#d\" e# 'f\\' 'g\"' \"'\" \"'\\\"\" \"h\\ni\" \"j->k\" \"{\" "
        "$l C:\\m \xc3\xa4\n";
    if (!str_eq(layout, str_from_z(expected)))
        print_error("%.*s%s", STR_ARG(layout), expected);
    assert_true(str_eq(layout, str_from_z(expected)));
    arena_end(arena);
}

static void one_twin(void *bytes)
{
    struct arena *arena = arena_new(1 << 22, 4096);
    struct diag diag;
    struct tree tree, back;
    struct text out = text_over(bytes, 1 << 16), layout = out;
    diag_init(&diag, arena);
    bool parsed =
        tree_parse_text(&tree, arena, STR("x"),
                        STR("# a\nsite b { /c -> d:1 { strip }\n~ '^/\\d$' -> e # f\n}\n"), &diag);
    assert_true(parsed || (alloc_has_failed() && diag.errors > 0));
    if (parsed) {
        tree_print(&tree, &layout);
        twin_print(&tree, &out);
        bool read = tree_parse_text(&back, arena, STR("x.json"), text_str(&out), &diag);
        assert_true(read || alloc_has_failed());
    }
    arena_end(arena);
}

static void without_memory_there_is_no_twin_but_an_answer(void **state)
{
    (void)state;
    static char bytes[1 << 16];
    assert_true(alloc_walk(one_twin, bytes) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_comes_back_from_its_twin),
        cmocka_unit_test(a_twin_is_loaded_like_a_file),
        cmocka_unit_test(a_twin_out_of_form_is_told_where),
        cmocka_unit_test(words_that_need_quotes_get_them),
        cmocka_unit_test(without_memory_there_is_no_twin_but_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
