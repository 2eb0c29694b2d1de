#include "observe/log_thread.h"

#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fail.h"

enum { PATIENCE_MS = 20000 };

static char folder[] = "/tmp/pc-log-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    memcpy(folder, "/tmp/pc-log-XXXXXX", sizeof folder);
    return mkdtemp(folder) == NULL;
}

static const char *path_of(const char *name)
{
    static char path[4][64];
    static unsigned next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(path_of(names[i]));
    return rmdir(folder);
}

static int open_log(const char *name)
{
    int fd = open(path_of(name), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static size_t size_of(const char *name)
{
    struct stat info;
    return stat(path_of(name), &info) == 0 ? (size_t)info.st_size : 0;
}

static struct str content_of(const char *name)
{
    static char bytes[65536];
    FILE *file = fopen(path_of(name), "r");
    assert_non_null(file);
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return str_from(bytes, len);
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void wait_for_size(const char *name, size_t bytes)
{
    uint64_t until = clock_mono_ms() + PATIENCE_MS;
    while (size_of(name) < bytes && clock_mono_ms() < until)
        nap();
    assert_int_equal(size_of(name), bytes);
}

static struct log_thread *start(unsigned rings)
{
    struct log_thread_conf conf = {.rings = rings};
    struct log_thread *thread = log_thread_new(&conf);
    assert_non_null(thread);
    return thread;
}

static const struct log_sink_conf plain = {.name = STR_INIT("test")};

static void a_line_reaches_its_file_by_itself_and_targets_are_kept_apart(void **state)
{
    (void)state;
    struct log_thread *thread = start(1);
    log_thread_set_target(thread, 0, &plain, open_log("a"));
    log_thread_set_target(thread, 63, &plain, open_log("b"));
    struct log_ring *ring = log_thread_ring(thread, 0);
    assert_true(log_ring_put(ring, 0, STR("to a")));
    assert_true(log_ring_put(ring, 63, STR("to b")));
    wait_for_size("a", 5);
    wait_for_size("b", 5);
    assert_true(log_ring_put(ring, 0, STR("again"))); /* it sleeps or naps by now */
    wait_for_size("a", 11);
    assert_int_equal(log_thread_counts(thread, 0).lines, 2);
    assert_int_equal(log_thread_counts(thread, 63).bytes, 5);
    assert_true(log_thread_stop(thread, 1000));
    assert_true(str_eq(content_of("a"), STR("to a\nagain\n")));
}

static void what_cannot_be_written_is_counted_as_lost(void **state)
{
    (void)state;
    struct log_thread *thread = start(1);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    log_thread_set_target(thread, 7, &plain, full);
    assert_true(log_ring_put(log_thread_ring(thread, 0), 7, STR("to a full disk")));
    uint64_t until = clock_mono_ms() + PATIENCE_MS;
    while (log_thread_lost(thread) == 0 && clock_mono_ms() < until)
        nap();
    assert_int_equal(log_thread_lost(thread), 1);
    assert_int_equal(log_thread_dropped(thread), 0); /* no ring was full */
    assert_true(log_thread_stop(thread, 1000));
}

static void a_new_descriptor_takes_the_lines_that_come_after_it(void **state)
{
    (void)state;
    struct log_thread *thread = start(1);
    struct log_ring *ring = log_thread_ring(thread, 0);
    log_thread_set_target(thread, 0, &plain, open_log("a"));
    assert_true(log_ring_put(ring, 0, STR("old")));
    wait_for_size("a", 4);
    log_thread_set_fd(thread, 0, open_log("b"));
    uint64_t until = clock_mono_ms() + PATIENCE_MS;
    while (size_of("b") == 0 && clock_mono_ms() < until) {
        (void)log_ring_put(ring, 0, STR("new"));
        nap();
    }
    assert_true(log_thread_stop(thread, 1000));
    assert_true(str_starts(content_of("b"), STR("new\n")));
}

static void what_is_queued_before_a_slot_is_cleared_is_written(void **state)
{
    (void)state;
    struct log_thread *thread = start(1);
    struct log_ring *ring = log_thread_ring(thread, 0);
    log_thread_set_target(thread, 5, &plain, open_log("a"));
    wait_for_size("a", 0);
    assert_true(log_ring_put(ring, 5, STR("first")));
    wait_for_size("a", 6);
    for (int i = 0; i < 5000; i++)
        (void)log_ring_put(ring, 5, STR("x"));
    log_thread_clear_target(thread, 5);
    assert_true(log_thread_stop(thread, 5000));
    assert_int_equal(size_of("a"), 6 + 2 * 5000);
}

static void stopping_writes_what_is_queued(void **state)
{
    (void)state;
    struct log_thread *thread = start(2);
    log_thread_set_target(thread, 0, &plain, open_log("a"));
    for (int i = 0; i < 2000; i++)
        assert_true(log_ring_put(log_thread_ring(thread, (unsigned)i % 2), 0, STR("line")));
    assert_true(log_thread_stop(thread, 5000));
    assert_int_equal(size_of("a"), 2000 * 5);
}

static void stopping_gives_up_on_a_reader_who_does_not_read(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct log_thread *thread = start(1);
    log_thread_set_target(thread, 0, &plain, ends[1]);
    static char line[4000];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 60; i++)
        assert_true(log_ring_put(log_thread_ring(thread, 0), 0, str_from(line, sizeof line)));
    assert_true(log_thread_stop(thread, 50));
    close(ends[0]);
}

struct wish {
    atomic_uint target;
    atomic_int want;
    atomic_uint count;
};

static void on_want(void *user, unsigned target, enum log_want want)
{
    struct wish *wish = user;
    atomic_store(&wish->target, target);
    atomic_store(&wish->want, (int)want);
    atomic_fetch_add(&wish->count, 1);
}

static void a_file_that_reached_its_size_is_asked_to_be_rotated_once(void **state)
{
    (void)state;
    struct wish wish = {0};
    struct log_thread_conf conf = {.rings = 1, .on_want = on_want, .user = &wish};
    struct log_thread *thread = log_thread_new(&conf);
    assert_non_null(thread);
    struct log_sink_conf sink = {.name = STR("a"), .rotate_bytes = 100};
    log_thread_set_target(thread, 7, &sink, open_log("a"));
    for (int i = 0; i < 100; i++)
        assert_true(log_ring_put(log_thread_ring(thread, 0), 7, STR("0123456789")));
    wait_for_size("a", 1100);
    assert_true(log_thread_stop(thread, 1000));
    assert_int_equal(atomic_load(&wish.count), 1);
    assert_int_equal(atomic_load(&wish.target), 7);
    assert_int_equal(atomic_load(&wish.want), LOG_WANT_ROTATE);
}

/* --- many at once ------------------------------------------------------------------------------
 */

enum { PRODUCERS = 4, LINES_EACH = 20000 };

struct producer {
    struct log_ring *ring;
    unsigned number;
    uint64_t put;
    pthread_t id;
};

static void *produce(void *argument)
{
    struct producer *producer = argument;
    for (unsigned i = 0; i < LINES_EACH; i++) {
        char line[64];
        int len = snprintf(line, sizeof line, "%u %u", producer->number, i);
        producer->put +=
            log_ring_put(producer->ring, producer->number % 2, str_from(line, (size_t)len));
        if (i % 64 == 0)
            nap();
    }
    return NULL;
}

/* Each producer's numbers must rise, and lines be whole; answers how many lines there are. */
static uint64_t check_file(const char *name)
{
    FILE *file = fopen(path_of(name), "r");
    assert_non_null(file);
    long last[PRODUCERS];
    memset(last, -1, sizeof last);
    uint64_t lines = 0;
    unsigned number, i;
    while (fscanf(file, "%u %u\n", &number, &i) == 2) {
        assert_in_range(number, 0, PRODUCERS - 1);
        assert_true((long)i > last[number]);
        last[number] = (long)i;
        lines++;
    }
    assert_true(feof(file));
    fclose(file);
    return lines;
}

static void many_producers_lose_nothing_that_was_taken_while_files_change(void **state)
{
    (void)state;
    struct log_thread *thread = start(PRODUCERS);
    struct producer producers[PRODUCERS] = {0};
    log_thread_set_target(thread, 0, &plain, open_log("a"));
    log_thread_set_target(thread, 1, &plain, open_log("b"));
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.ring = log_thread_ring(thread, i), .number = i};
        assert_int_equal(pthread_create(&producers[i].id, NULL, produce, &producers[i]), 0);
    }
    for (int i = 0; i < 50; i++) {
        log_thread_set_fd(thread, 0, open_log("a"));
        nap();
    }
    uint64_t put = 0;
    for (unsigned i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].id, NULL);
        put += producers[i].put;
    }
    assert_int_equal(put + log_thread_dropped(thread), PRODUCERS * LINES_EACH);
    assert_true(log_thread_stop(thread, PATIENCE_MS));
    assert_int_equal(check_file("a") + check_file("b"), put);
}

static void one_thread(void *unused)
{
    struct log_thread_conf conf = {.rings = 2};
    struct log_sink_conf sink = {.name = STR("a")};
    (void)unused;
    struct log_thread *thread = log_thread_new(&conf);
    assert_true(thread != NULL || alloc_has_failed());
    if (thread == NULL)
        return;
    log_thread_set_target(thread, 0, &sink, open_log("a"));
    log_ring_put(log_thread_ring(thread, 1), 0, STR("a line"));
    assert_true(log_thread_stop(thread, PATIENCE_MS));
}

static void without_memory_there_is_no_thread(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_thread, NULL) > 3);
}

int main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(a_line_reaches_its_file_by_itself_and_targets_are_kept_apart),
        WITH_FOLDER(what_cannot_be_written_is_counted_as_lost),
        WITH_FOLDER(a_new_descriptor_takes_the_lines_that_come_after_it),
        WITH_FOLDER(what_is_queued_before_a_slot_is_cleared_is_written),
        WITH_FOLDER(stopping_writes_what_is_queued),
        WITH_FOLDER(stopping_gives_up_on_a_reader_who_does_not_read),
        WITH_FOLDER(a_file_that_reached_its_size_is_asked_to_be_rotated_once),
        WITH_FOLDER(many_producers_lose_nothing_that_was_taken_while_files_change),
        cmocka_unit_test_setup_teardown(without_memory_there_is_no_thread, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
