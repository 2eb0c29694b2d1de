#include "net/name_notice.h"

#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fail.h"

static int log_in, log_out;

static int begin(void **state)
{
    int fds[2];
    (void)state;
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    log_in = fds[0];
    log_out = fds[1];
    log_init(log_out);
    return 0;
}

static int end(void **state)
{
    (void)state;
    close(log_in);
    close(log_out);
    return 0;
}

/* What was told since the last call. */
static const char *told(void)
{
    static char bytes[4096];
    ssize_t got = read(log_in, bytes, sizeof bytes - 1);
    bytes[got > 0 ? got : 0] = '\0';
    return bytes;
}

static void who_never_resolved_is_not_told_of(void **state)
{
    struct name_notices n = {0};
    (void)state;
    name_failed(&n, STR("a.test"), "timeout", false);
    name_failed(&n, STR("a.test"), "no such name", true);
    name_found(&n, STR("a.test"));
    name_found(&n, STR("a.test"));
    assert_string_equal(told(), "");
    name_notices_fini(&n);
}

static void an_outage_and_its_end_are_told_once(void **state)
{
    struct name_notices n = {0};
    (void)state;
    name_found(&n, STR("a.test"));
    for (int i = 0; i < 3; i++)
        name_failed(&n, STR("a.test"), "timeout", false);
    const char *text = told();
    assert_non_null(strstr(text, "a.test cannot be looked up: timeout"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    name_found(&n, STR("b.test"));
    assert_string_equal(told(), "");
    name_found(&n, STR("a.test"));
    name_found(&n, STR("a.test"));
    text = told();
    assert_non_null(strstr(text, "a.test resolves again"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    name_notices_fini(&n);
}

static void gone_is_worse_than_failing_and_stays_so(void **state)
{
    struct name_notices n = {0};
    (void)state;
    name_found(&n, STR("a.test"));
    name_failed(&n, STR("a.test"), "timeout", false);
    told();
    name_failed(&n, STR("a.test"), "no such name", true);
    assert_non_null(strstr(told(), "a.test is gone: no such name"));
    name_failed(&n, STR("a.test"), "timeout", false);
    name_failed(&n, STR("a.test"), "no such name", true);
    assert_string_equal(told(), "");
    name_found(&n, STR("a.test"));
    assert_non_null(strstr(told(), "a.test resolves again"));
    name_notices_fini(&n);
}

static void the_number_of_names_is_bounded(void **state)
{
    struct name_notices n = {0};
    char name[32];
    (void)state;
    for (unsigned i = 0; i < NAME_NOTICE_MAX + 10; i++) {
        int len = snprintf(name, sizeof name, "n%u.test", i);
        name_found(&n, str_from(name, (size_t)len));
    }
    assert_int_equal(n.count, NAME_NOTICE_MAX);
    name_failed(&n, STR("n4095.test"), "timeout", false);
    assert_non_null(strstr(told(), "n4095.test cannot"));
    name_failed(&n, STR("n4096.test"), "timeout", false);
    assert_string_equal(told(), "");
    name_notices_fini(&n);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static void one_outage(void *unused)
{
    struct name_notices n = {0};
    (void)unused;
    name_found(&n, STR("a.test"));
    name_failed(&n, STR("a.test"), "timeout", false);
    assert_true(told()[0] != 0 || alloc_has_failed());
    name_notices_fini(&n);
}

static void without_memory_an_outage_is_not_told_of(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_outage, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_never_resolved_is_not_told_of),
        TEST(an_outage_and_its_end_are_told_once),
        TEST(gone_is_worse_than_failing_and_stays_so),
        TEST(the_number_of_names_is_bounded),
        cmocka_unit_test_setup_teardown(without_memory_an_outage_is_not_told_of, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
