#include "upstream/name_check.h"

#include "base/arena.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A resolver that knows "good.test" and leaves "slow.test" open. */
static unsigned asked, cancelled;
static struct resolver_wait *open_wait;

void resolver_ask(struct resolver *resolver, struct resolver_wait *wait)
{
    static const struct resolver_answer good = {.count = 1}, bad = {.why = "no such name"};
    (void)resolver;
    asked++;
    if (str_eq(wait->name, STR("slow.test")))
        open_wait = wait;
    else
        wait->on_answer(wait, str_eq(wait->name, STR("good.test")) ? &good : &bad);
}

void resolver_cancel(struct resolver_wait *wait)
{
    (void)wait;
    cancelled++;
}

static struct origin_conf origins[] = {
    {.host = STR_INIT("good.test"), .where = {STR_INIT("p.conf"), 1}},
    {.host = STR_INIT("bad.test"), .where = {STR_INIT("p.conf"), 2}},
    {.host = STR_INIT("bad.test"), .where = {STR_INIT("p.conf"), 3}},
    {.host = STR_INIT("slow.test"), .where = {STR_INIT("p.conf"), 4}},
    {.host = STR_INIT("127.0.0.1"), .addr = {.family = ADDR_IP4}},
};

static void names_that_do_not_resolve_are_warned_about_once(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    char said[1000] = "";
    log_init(fileno(file));
    const struct upstream_conf conf = {.origins = origins, .origin_count = 5};
    struct name_check *check = name_check_new(NULL);
    asked = cancelled = 0;
    name_check_add(check, &conf);
    name_check_add(check, &conf);
    assert_int_equal(asked, 3);
    static const struct resolver_answer late = {.why = "the DNS server does not answer"};
    open_wait->on_answer(open_wait, &late);
    name_check_end(check);
    log_init(2);
    assert_int_equal(cancelled, 3);
    rewind(file);
    said[fread(said, 1, sizeof said - 1, file)] = '\0';
    fclose(file);
    assert_non_null(strstr(said, "p.conf:2: bad.test does not resolve: no such name; requests"));
    assert_non_null(strstr(said, "p.conf:4: slow.test does not resolve: the DNS server"));
    assert_null(strstr(said, "p.conf:3"));
    assert_null(strstr(said, "good.test"));
}

static void without_memory_names_are_left_out(void **state)
{
    (void)state;
    const struct upstream_conf conf = {.origins = origins, .origin_count = 1};
    for (unsigned n = 1; n < 8; n++) {
        arena_fail_at(n);
        struct name_check *check = name_check_new(NULL);
        if (check != NULL)
            name_check_add(check, &conf);
        arena_fail_at(0);
        assert_true(n > 2 || check == NULL);
        name_check_end(check);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_do_not_resolve_are_warned_about_once),
        cmocka_unit_test(without_memory_names_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
