/* The real table: each row is in order, and what it shows as an example is valid where it stands.
 */
#include "config/directive.h"

#include "base/arena.h"
#include "config/check.h"
#include "config/signature.h"
#include "config/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void each_row_is_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < directive_count; i++) {
        const struct directive *row = &directives[i];
        struct signature signature;
        if (!signature_parse(str_from_z(row->args), &signature))
            print_error("args of %s\n", row->name);
        assert_true(signature_parse(str_from_z(row->args), &signature));
        assert_true(row->places != 0 && (row->places & ~(unsigned)PLACE_EVERY) == 0);
        assert_ptr_equal(directive_find(str_from_z(row->name)), row);
        assert_true(row->help != NULL && row->help[0] != '\0');
        assert_true(row->default_text != NULL);
        bool block = (row->flags & (DIRECTIVE_BLOCK | DIRECTIVE_NEEDS_BLOCK)) != 0;
        assert_int_equal(block, row->inside != 0);
    }
    assert_null(directive_find(STR("balanse")));
}

static void each_example_is_valid_in_its_first_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < directive_count; i++) {
        const struct directive *row = &directives[i];
        if (strcmp(row->name, "include") == 0) /* followed before the table is asked */
            continue;
        const char *frame = row->places & PLACE_FILE       ? "%s\n"
                            : row->places & PLACE_SITE     ? "site * {\n%s\n}\n"
                            : row->places & PLACE_UPSTREAM ? "upstream u {\n%s\n}\n"
                                                           : "site * {\n/x/* -> a:1 {\n%s\n}\n}\n";
        struct arena *arena = arena_new(1 << 20, 4096);
        struct text text = text_in(arena, 1 << 16);
        struct text out = text_in(arena, 1 << 16);
        struct str before = str_from_z(frame);
        size_t at = str_find(before, STR("%s"));
        text_add(&text, str_sub(before, 0, at));
        text_add_z(&text, row->example);
        text_add(&text, str_skip(before, at + 2));
        struct diag diag;
        struct tree tree;
        diag_init(&diag, arena);
        bool fine = tree_parse_text(&tree, arena, str_from_z(row->name), text_str(&text), &diag) &&
                    check_tree(&tree, directives, directive_count, &diag);
        diag_render(&diag, &out, false);
        if (!fine)
            print_error("%.*s", STR_ARG(text_str(&out)));
        assert_true(fine);
        arena_end(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_is_in_order),
        cmocka_unit_test(each_example_is_valid_in_its_first_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
