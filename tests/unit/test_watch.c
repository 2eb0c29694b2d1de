#include "app/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fail.h"

struct world {
    char dir[64], a[96], b[96], link[96];
    struct watch watch;
    uint64_t now_ms;
};

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A load that took so many seconds names these files. */
static void load(struct world *w, const char *const *paths, bool keep, unsigned took_s)
{
    watch_begin(&w->watch);
    for (; *paths != NULL; paths++)
        watch_add(&w->watch, *paths);
    watch_end(&w->watch, keep, (uint64_t)took_s * 1000);
    w->now_ms = w->watch.next_ms;
}

static bool look(struct world *w)
{
    bool got = watch_look(&w->watch, w->now_ms);
    w->now_ms = w->watch.next_ms;
    return got;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/portcullis-test-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->a, sizeof w->a, "%s/a", w->dir);
    snprintf(w->b, sizeof w->b, "%s/b", w->dir);
    snprintf(w->link, sizeof w->link, "%s/link", w->dir);
    put(w->a, "one");
    watch_init(&w->watch);
    usleep(30000); /* older than a load that begins now */
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    watch_fini(&w->watch);
    unlink(w->a);
    unlink(w->b);
    unlink(w->link);
    rmdir(w->dir);
    free(w);
    return 0;
}

static void a_change_counts_once_when_it_has_settled(void **state)
{
    struct world *w = *state;
    load(w, (const char *const[]){w->a, NULL}, false, 0);
    assert_false(look(w));
    put(w->a, "two");
    assert_false(look(w)); /* seen, but perhaps not the last */
    put(w->a, "three");
    assert_false(look(w));
    assert_true(look(w));
    assert_string_equal(w->watch.what, w->a);
    assert_false(look(w));
}

static void it_is_looked_at_once_a_second(void **state)
{
    struct world *w = *state;
    load(w, (const char *const[]){w->a, NULL}, false, 0);
    put(w->a, "two");
    assert_false(watch_look(&w->watch, w->now_ms - 1));
    assert_false(w->watch.unsettled);
    assert_false(watch_look(&w->watch, w->now_ms));
    assert_true(w->watch.unsettled);
}

static void files_that_come_and_go_have_changed(void **state)
{
    struct world *w = *state;
    load(w, (const char *const[]){w->a, w->b, NULL}, false, 0);
    assert_false(look(w));
    put(w->b, "there");
    look(w);
    assert_true(look(w));
    unlink(w->b);
    look(w);
    assert_true(look(w));
}

static void a_swapped_symlink_has_changed(void **state)
{
    struct world *w = *state;
    put(w->b, "two");
    assert_int_equal(symlink(w->a, w->link), 0);
    usleep(30000);
    load(w, (const char *const[]){w->link, NULL}, false, 0);
    assert_false(look(w));
    unlink(w->link);
    assert_int_equal(symlink(w->b, w->link), 0);
    look(w);
    assert_true(look(w));
}

static void what_changed_while_it_was_read_counts(void **state)
{
    struct world *w = *state;
    put(w->a, "two");
    load(w, (const char *const[]){w->a, NULL}, false, 5);
    look(w);
    assert_true(look(w));
}

static void a_failed_load_keeps_the_files_of_the_one_before(void **state)
{
    struct world *w = *state;
    put(w->b, "two");
    usleep(30000);
    load(w, (const char *const[]){w->a, NULL}, false, 0);
    load(w, (const char *const[]){w->b, NULL}, true, 0);
    assert_int_equal(w->watch.count, 2);
    load(w, (const char *const[]){w->b, NULL}, false, 0);
    assert_int_equal(w->watch.count, 1);
    put(w->a, "unheard of");
    look(w);
    assert_false(look(w));
}

static void one_watch(void *state)
{
    struct world *w = state;
    struct watch watch;
    watch_init(&watch);
    watch_begin(&watch);
    watch_add(&watch, w->a);
    watch_add(&watch, w->b);
    watch_end(&watch, false, 0);
    (void)watch_look(&watch, watch.next_ms);
    watch_fini(&watch);
}

static void without_memory_a_file_is_not_watched_and_the_others_are(void **state)
{
    assert_true(alloc_walk(one_watch, *state) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_change_counts_once_when_it_has_settled, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(it_is_looked_at_once_a_second, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_that_come_and_go_have_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_swapped_symlink_has_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_changed_while_it_was_read_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_load_keeps_the_files_of_the_one_before, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_memory_a_file_is_not_watched_and_the_others_are,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
