#include "app/load_form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct load_form *form(uint32_t needs, unsigned roots)
{
    struct load_form *f = calloc(1, sizeof *f);
    assert_non_null(f);
    struct letter m;
    letter_init(&m, LETTER_SETTINGS);
    m.u.settings.workers = 2;
    m.u.settings.sandbox = 1;
    m.u.settings.needs = needs;
    assert_true(load_form_take(f, &m));
    for (unsigned i = 0; i < roots; i++) {
        letter_init(&m, LETTER_ROOT);
        m.u.root.inode = i + 1;
        strcpy(m.u.root.path, "/srv/a");
        assert_true(load_form_take(f, &m));
    }
    return f;
}

enum change { SAME, USER, THREADS, OFF, OTHER_INODE, OTHER_PATH };

static const struct {
    uint32_t needs_before, needs_after;
    unsigned roots_before, roots_after;
    enum change change;
    const char *because; /* NULL: the running worker follows */
} rows[] = {
    {0, 0, 0, 0, SAME, NULL},
    {3, 0, 2, 1, SAME, NULL}, /* what is wanted no more stays open until the next worker */
    {0, 0, 1, 2, SAME, "there is a new folder of 'files'"},
    {0, 0, 1, 1, OTHER_INODE, "there is a new folder of 'files'"},
    {0, 0, 1, 1, OTHER_PATH, "there is a new folder of 'files'"},
    {0, SANDBOX_NEED_UNIX, 0, 0, SAME, "there are origins on UNIX sockets now"},
    {SANDBOX_NEED_UNIX, SANDBOX_NEED_JIT, 0, 0, SAME, "there are regexes now"},
    {0, 0, 0, 0, USER, "'user' has changed"},
    {0, 0, 0, 0, THREADS, "the number of threads has changed"},
    {0, 0, 0, 0, OFF, "'sandbox' has changed"},
};

static void what_a_running_worker_cannot_follow_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct load_form *before = form(rows[i].needs_before, rows[i].roots_before);
        struct load_form *after = form(rows[i].needs_after, rows[i].roots_after);
        after->settings.uid += rows[i].change == USER;
        after->settings.workers += rows[i].change == THREADS;
        after->settings.sandbox -= rows[i].change == OFF;
        after->roots[0].inode += rows[i].change == OTHER_INODE ? 100 : 0;
        if (rows[i].change == OTHER_PATH)
            strcpy(after->roots[0].path, "/srv/b");
        const char *because = load_form_wants_fresh_worker(before, after);
        if (rows[i].because == NULL)
            assert_null(because);
        else
            assert_string_equal(because, rows[i].because);
        free(before);
        free(after);
    }
}

static void folders_do_not_matter_without_a_sandbox(void **state)
{
    (void)state;
    struct load_form *before = form(0, 0), *after = form(3, 5);
    before->settings.sandbox = after->settings.sandbox = 0;
    assert_null(load_form_wants_fresh_worker(before, after));
    free(before);
    free(after);
}

static void one_folder_too_many_does_not_fit(void **state)
{
    (void)state;
    struct load_form *f = form(0, ROOTS_MAX);
    struct letter m;
    letter_init(&m, LETTER_ROOT);
    strcpy(m.u.root.path, "/srv/a");
    assert_false(load_form_take(f, &m));
    free(f);
}

static void settings_come_once(void **state)
{
    (void)state;
    struct load_form *f = form(0, 0);
    struct letter m;
    letter_init(&m, LETTER_SETTINGS);
    assert_false(load_form_take(f, &m));
    assert_false(load_form_complete(f)); /* without an address there is nothing to serve */
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_running_worker_cannot_follow_is_named),
        cmocka_unit_test(folders_do_not_matter_without_a_sandbox),
        cmocka_unit_test(one_folder_too_many_does_not_fit),
        cmocka_unit_test(settings_come_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
