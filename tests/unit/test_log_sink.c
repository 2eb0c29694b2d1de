#include "observe/log_sink.h"

#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fail.h"

static struct log_sink sink;
static char file[] = "/tmp/pc-sink-XXXXXX";

static int make(void **state)
{
    (void)state;
    memcpy(file, "/tmp/pc-sink-XXXXXX", sizeof file);
    int fd = mkostemp(file, O_APPEND | O_CLOEXEC);
    log_sink_init(&sink);
    struct log_sink_conf conf = {.name = STR("test.log"), .rotate_bytes = 20};
    if (fd < 0 || !log_sink_open(&sink, &conf))
        return 1;
    log_sink_set_fd(&sink, fd);
    return 0;
}

static int end(void **state)
{
    (void)state;
    log_sink_close(&sink);
    return unlink(file);
}

static struct str content(int fd)
{
    static char bytes[4 * LOG_SINK_BUFFER];
    ssize_t n = read(fd, bytes, sizeof bytes);
    return n > 0 ? str_from(bytes, (size_t)n) : STR("");
}

static struct str content_of_file(void)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    struct str s = content(fd);
    close(fd);
    return s;
}

static void add(const char *z)
{
    log_sink_add(&sink, str_from_z(z), STR(""));
}

static unsigned dropped(void)
{
    return (unsigned)atomic_load(&sink.counters.dropped);
}

static void make_it(bool syslog, int fd)
{
    struct log_sink_conf conf = {.name = STR("test.log"), .syslog = syslog};
    assert_true(log_sink_open(&sink, &conf));
    log_sink_set_fd(&sink, fd);
}

static void lines_gather_and_are_written_by_a_flush(void **state)
{
    (void)state;
    log_sink_add(&sink, STR("one "), STR("line"));
    add("two");
    assert_int_equal(content_of_file().len, 0);
    assert_true(log_sink_waiting(&sink));
    log_sink_flush(&sink);
    assert_false(log_sink_waiting(&sink));
    assert_true(str_eq(content_of_file(), STR("one line\ntwo\n")));
    assert_int_equal(atomic_load(&sink.counters.lines), 2);
    assert_int_equal(atomic_load(&sink.counters.bytes), 13);
}

static void a_full_buffer_writes_by_itself(void **state)
{
    (void)state;
    static char line[1024];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 100; i++)
        log_sink_add(&sink, str_from(line, sizeof line), STR(""));
    log_sink_flush(&sink);
    assert_int_equal(content_of_file().len, 100 * 1025);
    assert_int_equal(dropped(), 0);
}

static void rotation_is_asked_for_at_its_size_until_it_happens(void **state)
{
    (void)state;
    add("123456789012345678"); /* 19 bytes */
    log_sink_flush(&sink);
    assert_int_equal(log_sink_wants(&sink, 1000), LOG_WANT_NOTHING);
    add("");
    log_sink_flush(&sink);
    assert_int_equal(log_sink_wants(&sink, 1000), LOG_WANT_ROTATE);
    assert_int_equal(log_sink_wants(&sink, 2999), LOG_WANT_NOTHING);
    assert_int_equal(log_sink_wants(&sink, 3000), LOG_WANT_ROTATE);
    /* The same file again: what is in it counts. */
    log_sink_set_fd(&sink, open(file, O_WRONLY | O_APPEND | O_CLOEXEC));
    assert_int_equal(log_sink_wants(&sink, 1000), LOG_WANT_ROTATE);
    assert_int_equal(truncate(file, 0), 0);
    log_sink_set_fd(&sink, open(file, O_WRONLY | O_APPEND | O_CLOEXEC));
    assert_int_equal(log_sink_wants(&sink, 1000), LOG_WANT_NOTHING);
}

static void without_a_descriptor_lines_wait(void **state)
{
    (void)state;
    log_sink_set_fd(&sink, -1);
    add("patient");
    log_sink_flush(&sink);
    assert_true(log_sink_waiting(&sink));
    log_sink_set_fd(&sink, open(file, O_WRONLY | O_APPEND | O_CLOEXEC));
    log_sink_flush(&sink);
    assert_true(str_eq(content_of_file(), STR("patient\n")));
}

static void lines_for_nobody_are_counted(void **state)
{
    (void)state;
    log_sink_close(&sink);
    add("lost");
    assert_int_equal(dropped(), 1);
}

/* Files may grow no further than `bytes`: as if the disk were full. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_drops_counts_and_recovers_on_a_line_of_its_own(void **state)
{
    (void)state;
    limit_files(6);
    add("first");
    add("second");
    add("third");
    log_sink_flush(&sink);
    limit_files(RLIM_INFINITY);
    assert_true(str_eq(content_of_file(), STR("first\n")));
    assert_int_equal(dropped(), 2);
    limit_files(10);
    add("torn line");
    log_sink_flush(&sink);
    limit_files(RLIM_INFINITY);
    assert_true(str_eq(content_of_file(), STR("first\ntorn")));
    assert_int_equal(dropped(), 3);
    add("whole");
    log_sink_flush(&sink);
    assert_true(str_eq(content_of_file(), STR("first\ntorn\nwhole\n")));
}

static void a_new_file_does_not_begin_with_the_rest_of_a_line(void **state)
{
    (void)state;
    limit_files(2);
    add("torn");
    add("next");
    log_sink_flush(&sink);
    limit_files(RLIM_INFINITY);
    assert_int_equal(truncate(file, 0), 0);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    log_sink_set_fd(&sink, ends[1]);
    add("whole");
    log_sink_flush(&sink);
    assert_true(str_eq(content(ends[0]), STR("whole\n")));
    close(ends[0]);
}

static void losses_are_said_at_most_once_a_minute(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    log_init(ends[1]);
    assert_false(log_sink_report(&sink, 1000));
    assert_int_equal(content(ends[0]).len, 0);
    limit_files(0);
    add("a");
    log_sink_flush(&sink);
    assert_false(log_sink_report(&sink, 1000));
    struct str said = content(ends[0]);
    assert_int_not_equal(str_find(said, STR("log test.log: 1 lines lost: File too large")),
                         SIZE_MAX);
    add("b");
    add("c");
    log_sink_flush(&sink);
    limit_files(RLIM_INFINITY);
    assert_true(log_sink_report(&sink, 60999));
    assert_int_equal(content(ends[0]).len, 0);
    assert_false(log_sink_report(&sink, 61000));
    assert_int_not_equal(str_find(content(ends[0]), STR("2 lines lost")), SIZE_MAX);
    log_init(2);
    close(ends[0]);
    close(ends[1]);
}

static void a_pipe_nobody_reads_neither_blocks_nor_loses_until_the_buffer_is_full(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0); /* blocking, as a shared stderr is */
    make_it(false, ends[1]);
    static char line[1000];
    memset(line, 'x', sizeof line);
    unsigned added = 0;
    while (dropped() == 0 && added < 10000) {
        log_sink_add(&sink, str_from(line, sizeof line - 1), STR(""));
        log_sink_flush(&sink);
        added++;
    }
    assert_int_equal(dropped(), 1);
    size_t got = 0;
    while (log_sink_waiting(&sink)) {
        got += content(ends[0]).len;
        log_sink_flush(&sink);
    }
    got += content(ends[0]).len;
    assert_int_equal(got, (size_t)(added - 1) * sizeof line);
    close(ends[0]);
}

static void a_closed_pipe_is_an_error_that_is_counted(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    make_it(false, ends[1]);
    close(ends[0]);
    add("nobody");
    log_sink_flush(&sink);
    assert_int_equal(dropped(), 1);
    assert_false(log_sink_waiting(&sink));
}

static void syslog_gets_a_datagram_per_line(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    make_it(true, ends[1]);
    add("first");
    add("second");
    log_sink_flush(&sink);
    struct str got = content(ends[0]);
    assert_true(str_starts(got, STR("<30>")));
    assert_int_not_equal(str_find(got, STR(" portcullis[")), SIZE_MAX);
    assert_true(str_ends(got, STR("]: first")));
    assert_true(str_ends(content(ends[0]), STR("]: second")));
    assert_int_equal(atomic_load(&sink.counters.lines), 2);
    close(ends[0]);
}

static void when_syslog_is_gone_lines_wait_and_a_new_socket_is_asked_for(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    make_it(true, ends[1]);
    close(ends[0]);
    add("kept");
    log_sink_flush(&sink);
    assert_true(log_sink_waiting(&sink));
    assert_int_equal(log_sink_wants(&sink, 1000), LOG_WANT_REOPEN);
    assert_int_equal(log_sink_wants(&sink, 5999), LOG_WANT_NOTHING);
    assert_int_equal(log_sink_wants(&sink, 6000), LOG_WANT_REOPEN);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    log_sink_set_fd(&sink, ends[1]);
    log_sink_flush(&sink);
    assert_true(str_ends(content(ends[0]), STR("]: kept")));
    assert_int_equal(log_sink_wants(&sink, 7000), LOG_WANT_NOTHING);
    assert_int_equal(dropped(), 0);
    close(ends[0]);
}

static void one_sink(void *unused)
{
    struct log_sink one;
    struct log_sink_conf conf = {.name = STR("test.log")};
    (void)unused;
    log_sink_init(&one);
    assert_true(log_sink_open(&one, &conf) || alloc_has_failed());
    log_sink_close(&one);
}

static void without_memory_a_sink_does_not_open(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_sink, NULL) > 0);
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN); /* the log thread has all signals blocked */
    signal(SIGPIPE, SIG_IGN);
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, make, end)
    const struct CMUnitTest tests[] = {
        WITH_FILE(lines_gather_and_are_written_by_a_flush),
        WITH_FILE(a_full_buffer_writes_by_itself),
        WITH_FILE(rotation_is_asked_for_at_its_size_until_it_happens),
        WITH_FILE(without_a_descriptor_lines_wait),
        WITH_FILE(lines_for_nobody_are_counted),
        WITH_FILE(a_full_disk_drops_counts_and_recovers_on_a_line_of_its_own),
        WITH_FILE(a_new_file_does_not_begin_with_the_rest_of_a_line),
        WITH_FILE(losses_are_said_at_most_once_a_minute),
        WITH_FILE(a_pipe_nobody_reads_neither_blocks_nor_loses_until_the_buffer_is_full),
        WITH_FILE(a_closed_pipe_is_an_error_that_is_counted),
        WITH_FILE(syslog_gets_a_datagram_per_line),
        WITH_FILE(when_syslog_is_gone_lines_wait_and_a_new_socket_is_asked_for),
        cmocka_unit_test(without_memory_a_sink_does_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
