#include "app/locks.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LOCKED                                                                                     \
    "Name:\tportcullis\nUid:\t33\t33\t33\t33\nCapInh:\t0000000000000000\n"                         \
    "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"            \
    "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"

static const struct letter_locks all = {.wanted = 1, .seccomp = 1, .landlock_abi = 7};

static const struct {
    const char *status;
    struct letter_locks said;
    const char *missing;
} rows[] = {
    {LOCKED, {.wanted = 1, .seccomp = 1, .landlock_abi = 7}, ""},
    {LOCKED, {.missing = "Landlock: none"}, "Landlock: none"},
    {"", {.wanted = 1, .seccomp = 1, .landlock_abi = 7}, "/proc does not show the worker"},
    {"Uid:\t0\t0\t0\t0\nCapInh:\t0\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t0\nCapAmb:\t0\n"
     "NoNewPrivs:\t1\nSeccomp:\t2\n",
     {.wanted = 1, .seccomp = 1, .landlock_abi = 7},
     "user: it runs as root"},
    {"Uid:\t5\t0\t0\t0\nCapInh:\t0\nCapPrm:\t3f\nCapEff:\t0\nCapBnd:\t0\nCapAmb:\t0\n"
     "NoNewPrivs:\t0\nSeccomp:\t0\n",
     {.wanted = 1, .seccomp = 1, .landlock_abi = 7},
     "no_new_privs; capabilities: it has some; seccomp: the kernel knows of no filter"},
};

static void what_does_not_hold_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char memory[512];
        struct text out = text_over(memory, sizeof memory);
        struct locks_seen seen = locks_parse(str_from_z(rows[i].status));
        locks_add_missing(&out, &seen, &rows[i].said);
        assert_int_equal(out.len, strlen(rows[i].missing));
        assert_memory_equal(memory, rows[i].missing, out.len);
    }
}

static void a_worker_that_says_nothing_is_told_of(void **state)
{
    (void)state;
    char memory[512];
    struct text out = text_over(memory, sizeof memory);
    struct locks_seen seen = locks_parse(STR(LOCKED));
    locks_add_missing(&out, &seen, NULL);
    assert_true(str_eq(text_str(&out), STR("the worker has not said which locks hold")));
}

static void a_status_that_is_cut_off_is_not_known(void **state)
{
    (void)state;
    struct str whole = STR(LOCKED);
    size_t last_needed = str_find(whole, STR("NoNewPrivs:\t1")) + strlen("NoNewPrivs:\t1");
    for (size_t len = 0; len <= whole.len; len++)
        assert_int_equal(locks_parse(str_sub(whole, 0, len)).known, len >= last_needed);
}

static void our_own_status_can_be_read(void **state)
{
    (void)state;
    struct locks_seen seen = locks_look(getpid());
    assert_true(seen.known);
    assert_int_equal(seen.uid, getuid());
}

static void json_says_which_locks_hold(void **state)
{
    (void)state;
    char memory[1024];
    struct text out = text_over(memory, sizeof memory);
    struct locks_seen seen = locks_parse(STR(LOCKED));
    locks_add_json(&out, &seen, &all);
    assert_true(
        str_eq(text_str(&out), STR("{\"sandbox\":\"on\",\"uid\":33,\"no_new_privs\":true,"
                                   "\"capabilities\":\"0\",\"bounding_set\":\"0\",\"seccomp\":true,"
                                   "\"landlock\":7}")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_hold_is_named),
        cmocka_unit_test(a_worker_that_says_nothing_is_told_of),
        cmocka_unit_test(a_status_that_is_cut_off_is_not_known),
        cmocka_unit_test(our_own_status_can_be_read),
        cmocka_unit_test(json_says_which_locks_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
