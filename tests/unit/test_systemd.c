#include "app/systemd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    struct systemd_env env;
    const char *path;
    unsigned fds;
    uint64_t watchdog_us;
} rows[] = {
    {{.self = 7}, "", 0, 0},
    {{.notify_socket = "/run/notify", .self = 7}, "/run/notify", 0, 0},
    {{.notify_socket = "@abstract", .self = 7}, "@abstract", 0, 0},
    {{.notify_socket = "relative", .self = 7}, "", 0, 0},
    {{.notify_socket = "/", .self = 7}, "", 0, 0},
    {{.listen_pid = "7", .listen_fds = "2", .self = 7}, "", 2, 0},
    {{.listen_pid = "8", .listen_fds = "2", .self = 7}, "", 0, 0},
    {{.listen_fds = "2", .self = 7}, "", 0, 0},
    {{.listen_pid = "7", .listen_fds = "64", .self = 7}, "", 64, 0},
    {{.listen_pid = "7", .listen_fds = "65", .self = 7}, "", 0, 0},
    {{.listen_pid = "7", .listen_fds = "-1", .self = 7}, "", 0, 0},
    {{.listen_pid = "7x", .listen_fds = "1", .self = 7}, "", 0, 0},
    {{.watchdog_usec = "30000000", .self = 7}, "", 0, 30000000},
    {{.watchdog_pid = "7", .watchdog_usec = "30000000", .self = 7}, "", 0, 30000000},
    {{.watchdog_pid = "8", .watchdog_usec = "30000000", .self = 7}, "", 0, 0},
};

static void the_environment_is_read_as_the_manual_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct systemd systemd;
        systemd_parse(&systemd, &rows[i].env);
        assert_string_equal(systemd.notify_path, rows[i].path);
        assert_int_equal(systemd.listen_fds, rows[i].fds);
        assert_int_equal(systemd.watchdog_us, rows[i].watchdog_us);
    }
}

static void a_path_that_is_too_long_is_no_path(void **state)
{
    (void)state;
    char path[200];
    struct systemd systemd;
    struct systemd_env env = {.notify_socket = path};
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[107] = '\0';
    systemd_parse(&systemd, &env);
    assert_int_equal(strlen(systemd.notify_path), 107);
    path[107] = 'x';
    path[108] = '\0';
    systemd_parse(&systemd, &env);
    assert_string_equal(systemd.notify_path, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_is_read_as_the_manual_says),
        cmocka_unit_test(a_path_that_is_too_long_is_no_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
