#include "upstream/retry_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc_fail.h"

static unsigned spend_all(struct retry_budgets *b, uint64_t identity, uint64_t now_ms)
{
    unsigned spent = 0;
    while (retry_budget_spend(b, identity, now_ms))
        spent++;
    return spent;
}

static void a_quiet_site_has_the_floor_and_regains_it(void **state)
{
    struct retry_budgets b;
    (void)state;
    retry_budgets_init(&b);
    assert_int_equal(spend_all(&b, 1, 5000), RETRY_FLOOR);
    assert_false(retry_budget_spend(&b, 1, 5100));
    assert_int_equal(spend_all(&b, 1, 6100), RETRY_FLOOR_PER_S);
    assert_int_equal(spend_all(&b, 1, 3600 * 1000), RETRY_FLOOR);
    retry_budgets_fini(&b);
}

static void a_fifth_of_the_requests_may_be_repeated(void **state)
{
    struct retry_budgets b;
    unsigned spent = 0;
    (void)state;
    retry_budgets_init(&b);
    for (unsigned i = 0; i < 10000; i++) {
        retry_budget_earn(&b, 1, 1000);
        spent += retry_budget_spend(&b, 1, 1000);
    }
    assert_in_range(spent, 10000 / RETRY_SHARE, 10000 / RETRY_SHARE + RETRY_FLOOR);
    retry_budgets_fini(&b);
}

static void what_is_saved_is_bounded_by_the_rate(void **state)
{
    struct retry_budgets b;
    (void)state;
    retry_budgets_init(&b);
    /* A hundred requests a second for a minute. */
    for (unsigned i = 0; i < 6000; i++)
        retry_budget_earn(&b, 1, 1000 + i * 10);
    assert_in_range(spend_all(&b, 1, 61000), 100, 100 + RETRY_FLOOR);
    /* What was saved when much was asked goes once little is. */
    for (unsigned i = 0; i < 60000; i++)
        retry_budget_earn(&b, 1, 100000 + i);
    retry_budget_earn(&b, 1, 400000);
    assert_in_range(spend_all(&b, 1, 400000), RETRY_FLOOR, RETRY_FLOOR + 1);
    retry_budgets_fini(&b);
}

static void upstreams_do_not_pay_for_each_other(void **state)
{
    struct retry_budgets b;
    (void)state;
    retry_budgets_init(&b);
    for (uint64_t identity = 0; identity < 1000; identity++)
        assert_int_equal(spend_all(&b, identity, 1000), RETRY_FLOOR);
    assert_int_equal(b.count, 1000);
    for (uint64_t identity = 0; identity < 1000; identity++)
        assert_int_equal(spend_all(&b, identity, 1000), 0);
    retry_budgets_fini(&b);
}

static void the_number_kept_is_bounded(void **state)
{
    struct retry_budgets b;
    (void)state;
    retry_budgets_init(&b);
    for (uint64_t identity = 0; identity <= RETRY_BUDGETS_MAX; identity++) {
        retry_budget_earn(&b, identity, 1000);
        assert_true(b.count <= RETRY_BUDGETS_MAX);
    }
    assert_int_equal(b.count, 1); /* all were forgotten for the last */
    retry_budgets_fini(&b);
}

static void one_budget(void *unused)
{
    struct retry_budgets b;
    (void)unused;
    retry_budgets_init(&b);
    retry_budget_earn(&b, 1, 1000);
    assert_true(retry_budget_spend(&b, 1, 1000) || alloc_has_failed());
    retry_budgets_fini(&b);
}

static void without_memory_nothing_is_repeated(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_budget, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_site_has_the_floor_and_regains_it),
        cmocka_unit_test(a_fifth_of_the_requests_may_be_repeated),
        cmocka_unit_test(what_is_saved_is_bounded_by_the_rate),
        cmocka_unit_test(upstreams_do_not_pay_for_each_other),
        cmocka_unit_test(the_number_kept_is_bounded),
        cmocka_unit_test(without_memory_nothing_is_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
