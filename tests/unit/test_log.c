#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int ends[2];
static char line[4096];

/* What the last call wrote, NUL-terminated. */
static const char *written(void)
{
    ssize_t len = read(ends[0], line, sizeof line - 1);
    assert_true(len > 0);
    line[len] = '\0';
    return line;
}

static int make_pipe(void **state)
{
    (void)state;
    return pipe(ends);
}

static void lines_begin_with_the_program_and_the_level(void **state)
{
    (void)state;
    unsetenv("JOURNAL_STREAM");
    log_init(ends[1]);
    log_error("no %s", "way");
    assert_string_equal(written(), "portcullis: error: no way\n");
    log_warning("w");
    assert_string_equal(written(), "portcullis: warning: w\n");
    log_notice("n");
    assert_string_equal(written(), "portcullis: n\n");
}

static void the_journal_gets_priorities(void **state)
{
    (void)state;
    setenv("JOURNAL_STREAM", "8:1", 1);
    log_init(ends[1]);
    unsetenv("JOURNAL_STREAM");
    log_error("e");
    assert_string_equal(written(), "<3>error: e\n");
    log_notice("n");
    assert_string_equal(written(), "<5>n\n");
    log_init(ends[1]);
}

static void one_call_is_one_line_whatever_it_says(void **state)
{
    (void)state;
    char big[5000];
    log_init(ends[1]);
    log_notice("a\nb\x1b\x7f\t");
    assert_string_equal(written(), "portcullis: a?b???\n");
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\0';
    for (size_t len = 2020; len < 2060; len++) {
        log_notice("%.*s", (int)len, big);
        const char *got = written();
        assert_true(strlen(got) <= 2048);
        assert_int_equal(strchr(got, '\n') - got, strlen(got) - 1);
    }
}

static void errno_is_left_alone(void **state)
{
    (void)state;
    log_init(-1);
    errno = ENOTTY;
    log_error("nowhere");
    assert_int_equal(errno, ENOTTY);
    log_init(ends[1]);
}

static void four_escaped_texts_live_at_once(void **state)
{
    (void)state;
    const char *a = log_escape(STR("a\n")), *b = log_escape(STR("b\x1b"));
    const char *c = log_escape(STR("")), *d = log_escape(STR("d\xff"));
    assert_string_equal(a, "a\\x0a");
    assert_string_equal(b, "b\\x1b");
    assert_string_equal(c, "");
    assert_string_equal(d, "d\\xff");
    char big[600];
    memset(big, '\n', sizeof big);
    assert_int_equal(strlen(log_escape(str_from(big, sizeof big))), 508); /* whole escapes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_begin_with_the_program_and_the_level),
        cmocka_unit_test(the_journal_gets_priorities),
        cmocka_unit_test(one_call_is_one_line_whatever_it_says),
        cmocka_unit_test(errno_is_left_alone),
        cmocka_unit_test(four_escaped_texts_live_at_once),
    };
    return cmocka_run_group_tests(tests, make_pipe, NULL);
}
