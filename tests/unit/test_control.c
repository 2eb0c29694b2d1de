#include "app/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { STARTER = 1000, WORKER = 33, GROUP = 50, OTHER = 7 };

static const gid_t in_group[] = {9, GROUP}, not_in[] = {9, 51};

static const struct {
    uid_t worker;
    gid_t group;
    struct control_peer peer;
    bool allowed;
} rows[] = {
    {WORKER, (gid_t)-1, {0, not_in, 2}, true},
    {WORKER, (gid_t)-1, {STARTER, not_in, 2}, true},
    {WORKER, (gid_t)-1, {OTHER, in_group, 2}, false},
    {WORKER, GROUP, {OTHER, in_group, 2}, true},
    {WORKER, GROUP, {OTHER, not_in, 2}, false},
    {WORKER, GROUP, {OTHER, NULL, 0}, false},
    {WORKER, GROUP, {WORKER, in_group, 2}, false},
    {STARTER, GROUP, {STARTER, in_group, 2}, true}, /* not root: the worker is the starter */
};

static void only_root_the_starter_and_the_group_may_command(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct control control;
        control_init(&control, NULL, NULL);
        control.starter = STARTER;
        control.worker = rows[i].worker;
        control.group = rows[i].group;
        assert_int_equal(control_allows(&control, &rows[i].peer), rows[i].allowed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_root_the_starter_and_the_group_may_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
