#include "app/log_search.h"

#include "base/arena.h"
#include "observe/log_ring.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/portcullis-search-XXXXXX");
    arena = arena_new(64 << 20, 4096);
    return mkdtemp(folder) == NULL || arena == NULL;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    arena_end(arena);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[2][128];
    static unsigned turn;
    char *at = path[turn++ % 2];
    snprintf(at, sizeof path[0], "%s/%s", folder, name);
    return at;
}

static FILE *create(const char *name)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    return file;
}

static struct log_search by_reference(const char *reference)
{
    return (struct log_search){.reference = str_from_z(reference), .most = 1};
}

static void lines_fit_by_reference_or_by_refused_client(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool by_ref, by_client;
    } rows[] = {
        {"{\"ref\":\"abc\",\"client\":\"10.0.0.1\"}", true, false},
        {"{\"ref\":\"abcd\",\"client\":\"10.0.0.1\",\"refused_layer\":\"tls\"}", false, true},
        {"{\"ref\":\"x\",\"client\":\"10.0.0.10\",\"refused_layer\":\"tls\"}", false, false},
        {"{\"path\":\"/\\\"ref\\\":\\\"abc\\\"\"}", false, false},
        {"", false, false},
    };
    struct log_search ref = by_reference("abc"), client = {.client = STR("10.0.0.1"), .most = 5};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(log_search_fits(&ref, str_from_z(rows[i].line)), rows[i].by_ref);
        assert_int_equal(log_search_fits(&client, str_from_z(rows[i].line)), rows[i].by_client);
    }
}

static void elders_are_looked_through_until_one_is_missing(void **state)
{
    (void)state;
    static const char *const names[] = {"a.log", "a.log.1", "a.log.2", "a.log.4"};
    for (unsigned i = 0; i < 4; i++) {
        FILE *file = create(names[i]);
        fprintf(file, "{\"ref\":\"r%u\"}\n{\"ref\":\"other\"}\n", i);
        fclose(file);
    }
    for (unsigned i = 0; i < 4; i++) {
        char reference[8];
        snprintf(reference, sizeof reference, "r%u", i);
        struct log_search search = by_reference(reference);
        assert_true(log_search_file(&search, arena, path_of("a.log")));
        assert_int_equal(search.count, i < 3);
        assert_int_equal(search.files, i < 3 ? i + 1 : 3);
    }
    struct log_search search = by_reference("r0");
    assert_false(log_search_file(&search, arena, path_of("b.log")));
    assert_int_equal(errno, ENOENT);
}

static void the_latest_come_first_and_no_more_than_asked_for(void **state)
{
    (void)state;
    FILE *file = create("c.log"), *elder = create("c.log.1");
    for (unsigned i = 0; i < 10; i++) {
        fprintf(elder, "{\"n\":%u,\"client\":\"::1\",\"refused_layer\":\"tls\"}\n", i);
        if (i < 3)
            fprintf(file, "{\"n\":%u,\"client\":\"::1\",\"refused_layer\":\"tls\"}\n", 10 + i);
    }
    fclose(file);
    fclose(elder);
    struct log_search search = {.client = STR("::1"), .most = 5};
    assert_true(log_search_file(&search, arena, path_of("c.log")));
    assert_int_equal(search.count, 13);
    static const char *const wanted[] = {"{\"n\":12,", "{\"n\":11,", "{\"n\":10,", "{\"n\":9,",
                                         "{\"n\":8,"};
    for (unsigned i = 0; i < 5; i++)
        assert_true(str_starts(search.lines[i], str_from_z(wanted[i])));
}

static void lines_of_threads_that_changed_places_are_put_in_order(void **state)
{
    (void)state;
    FILE *file = create("f.log");
    for (unsigned thread = 0; thread < 2; thread++)
        for (unsigned i = 0; i < 500; i++)
            fprintf(file,
                    "{\"time\":\"2026-11-21T12:34:56.%03uZ\",\"client\":\"::1\","
                    "\"refused_layer\":\"tls\"}\n",
                    2 * i % 1000 + thread);
    fclose(file);
    struct log_search search = {.client = STR("::1"), .most = 5};
    assert_true(log_search_file(&search, arena, path_of("f.log")));
    assert_int_equal(search.count, 1000);
    for (unsigned i = 1; i < 1000; i++)
        assert_true(str_cmp(search.lines[i - 1], search.lines[i]) > 0);
}

/* Lines of every length around the block that is read at once, the last without its newline. */
static void lines_are_whole_wherever_a_block_ends(void **state)
{
    (void)state;
    for (size_t pad = 0; pad < 40; pad += 13) {
        FILE *file = create("d.log");
        size_t written = 0;
        unsigned n = 0;
        while (written < (size_t)3 * 8 * LOG_LINE_MAX)
            written += (size_t)fprintf(file, "{\"ref\":\"n%u\",\"x\":\"%0*d\"}\n", n++,
                                       (int)(1000 + pad), 0);
        fprintf(file, "{\"ref\":\"last\"}");
        fclose(file);
        struct log_search search = by_reference("last");
        assert_true(log_search_file(&search, arena, path_of("d.log")));
        assert_int_equal(search.count, 1);
        for (unsigned i = 230; i < 270; i++) { /* those around the end of the first block */
            char reference[16];
            snprintf(reference, sizeof reference, "n%u", i);
            search = by_reference(reference);
            assert_true(log_search_file(&search, arena, path_of("d.log")));
            assert_int_equal(search.count, 1);
            assert_true(str_ends(search.lines[0], STR("0\"}")));
        }
    }
}

static void a_line_that_never_ends_is_passed_over(void **state)
{
    (void)state;
    FILE *file = create("e.log");
    for (size_t i = 0; i < (size_t)20 * LOG_LINE_MAX; i++)
        fputc('x', file);
    fprintf(file, "\n{\"ref\":\"behind\"}\n");
    fclose(file);
    struct log_search search = by_reference("behind");
    assert_true(log_search_file(&search, arena, path_of("e.log")));
    assert_int_equal(search.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_fit_by_reference_or_by_refused_client),
        cmocka_unit_test(elders_are_looked_through_until_one_is_missing),
        cmocka_unit_test(the_latest_come_first_and_no_more_than_asked_for),
        cmocka_unit_test(lines_of_threads_that_changed_places_are_put_in_order),
        cmocka_unit_test(lines_are_whole_wherever_a_block_ends),
        cmocka_unit_test(a_line_that_never_ends_is_passed_over),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
