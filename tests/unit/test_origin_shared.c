#include "upstream/origin_shared.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int begin(void **state)
{
    *state = origin_registry_new();
    return *state == NULL;
}

static int end(void **state)
{
    origin_registry_end(*state);
    return 0;
}

static void one_identity_is_one_origin_for_all_who_take_it(void **state)
{
    struct origin_registry *r = *state;
    struct origin_shared *a = origin_shared_take(r, 1, STR("localhost:3000"));
    struct origin_shared *b = origin_shared_take(r, 1, STR("localhost:3000"));
    /* The same bucket, another origin. */
    struct origin_shared *c = origin_shared_take(r, 1 + 1024, STR("localhost:3001"));
    assert_non_null(a);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_true(str_eq(str_from(c->text, c->text_len), STR("localhost:3001")));
    origin_shared_give(r, a);
    assert_int_equal(b->identity, 1); /* still held */
    origin_shared_give(r, b);
    origin_shared_give(r, c);
}

static void it_rests_after_so_many_failures_in_a_row_and_then_begins_slowly(void **state)
{
    struct origin_registry *r = *state;
    struct origin_shared *o = origin_shared_take(r, 1, STR("a:1"));
    uint64_t now = o->met_ms + 5;
    origin_shared_failed(r, o, now, 2000, 2, STR("connect to a:1: refused"));
    assert_false(origin_shared_rests(o, now));
    assert_string_equal(o->cause, "connect to a:1: refused");
    origin_shared_succeeded(o, now);
    origin_shared_failed(r, o, now, 2000, 2, STR(""));
    assert_false(origin_shared_rests(o, now));
    origin_shared_failed(r, o, now, 2000, 2, STR(""));
    assert_true(origin_shared_rests(o, now));
    assert_true(origin_shared_rests(o, now + 1999));
    assert_false(origin_shared_rests(o, now + 2000));
    assert_int_equal(o->slow_from_ms, now + 2000);
    assert_int_equal(o->failed, 3);
    assert_string_equal(o->cause, "connect to a:1: refused"); /* an empty one replaces none */
    /* An answer ends its rest at once. */
    origin_shared_succeeded(o, now + 7);
    assert_false(origin_shared_rests(o, now + 7));
    assert_int_equal(o->slow_from_ms, now + 7);
    /* rest 0: never */
    origin_shared_failed(r, o, now, 0, 1, STR(""));
    assert_false(origin_shared_rests(o, now));
    origin_shared_give(r, o);
}

static void down_and_drained_are_told_apart_and_keep_the_checks_cause(void **state)
{
    struct origin_registry *r = *state;
    struct origin_shared *o = origin_shared_take(r, 1, STR("a:1"));
    o->slow_from_ms = 0;
    origin_shared_set(r, o, ORIGIN_DOWN, true, STR("GET /healthz: 503"));
    assert_true(origin_registry_drain(r, STR("a:1"), true));
    assert_int_equal(origin_shared_state(o), ORIGIN_DOWN | ORIGIN_DRAINED);
    origin_shared_failed(r, o, 1, 0, 1, STR("refused"));
    assert_string_equal(o->cause, "GET /healthz: 503");
    origin_shared_set(r, o, ORIGIN_DOWN, false, STR(""));
    assert_int_equal(origin_shared_state(o), ORIGIN_DRAINED);
    assert_true(o->slow_from_ms >= o->met_ms);
    assert_true(origin_registry_drain(r, STR("a:1"), false));
    assert_int_equal(origin_shared_state(o), 0);
    origin_shared_give(r, o);
}

static void drained_before_it_is_met_it_is_met_drained(void **state)
{
    struct origin_registry *r = *state;
    assert_true(origin_registry_drain(r, STR("a:1"), true));
    assert_true(origin_registry_drain(r, STR("a:1"), true)); /* twice is once */
    struct origin_shared *a = origin_shared_take(r, 1, STR("a:1"));
    struct origin_shared *b = origin_shared_take(r, 2, STR("a:1")); /* by another TLS */
    struct origin_shared *c = origin_shared_take(r, 3, STR("a:2"));
    assert_int_equal(origin_shared_state(a), ORIGIN_DRAINED);
    assert_int_equal(origin_shared_state(b), ORIGIN_DRAINED);
    assert_int_equal(origin_shared_state(c), 0);
    origin_shared_give(r, b);
    assert_true(origin_registry_drain(r, STR("a:1"), false));
    assert_int_equal(origin_shared_state(a), 0);
    b = origin_shared_take(r, 2, STR("a:1"));
    assert_int_equal(origin_shared_state(b), 0);
    origin_shared_give(r, a);
    origin_shared_give(r, b);
    origin_shared_give(r, c);
}

static void as_many_as_the_limit_can_be_drained_and_one_more_cannot(void **state)
{
    struct origin_registry *r = *state;
    char text[8];
    for (int i = 0; i <= ORIGIN_DRAINS_MAX; i++) {
        size_t len = (size_t)snprintf(text, sizeof text, "o%d", i);
        assert_int_equal(origin_registry_drain(r, str_from(text, len), true),
                         i < ORIGIN_DRAINS_MAX);
    }
    assert_false(origin_registry_drain(r, STR(""), true));
    assert_true(origin_registry_drain(r, STR("o7"), false));
    assert_true(origin_registry_drain(r, str_from(text, strlen(text)), true));
}

/* ---- many threads ---- */

enum { THREADS = 4, ROUNDS = 3000 };

static void *use_origins(void *registry)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct origin_shared *o = origin_shared_take(registry, i % 3, STR("shared:1"));
        if (o == NULL)
            return NULL;
        atomic_fetch_add(&o->in_use, 1);
        origin_shared_failed(registry, o, i, 5, 2, STR("why"));
        origin_shared_set(registry, o, ORIGIN_DOWN, i % 2 == 0, STR("checked"));
        (void)origin_shared_rests(o, i);
        origin_shared_succeeded(o, i);
        atomic_fetch_sub(&o->in_use, 1);
        origin_shared_give(registry, o);
    }
    return registry;
}

static void look(void *user, const struct origin_shared *origin)
{
    unsigned *seen = user;
    *seen += origin->cause[0] != '\0';
}

static void threads_may_take_use_and_give_at_once(void **state)
{
    struct origin_registry *r = *state;
    pthread_t threads[THREADS];
    struct origin_shared *held = origin_shared_take(r, 0, STR("shared:1"));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_origins, r), 0);
    unsigned seen = 0;
    for (int i = 0; i < 300; i++) {
        assert_true(origin_registry_drain(r, STR("shared:1"), i % 2 == 0));
        origin_registry_each(r, look, &seen);
    }
    for (int i = 0; i < THREADS; i++) {
        void *fine = NULL;
        pthread_join(threads[i], &fine);
        assert_ptr_equal(fine, r);
    }
    assert_int_equal(held->in_use, 0);
    assert_int_equal(held->failed, THREADS * ROUNDS / 3);
    origin_shared_give(r, held);
    seen = 0;
    origin_registry_each(r, look, &seen);
    assert_int_equal(seen, 0); /* nobody holds one: none is left */
}

#define WITH_REGISTRY(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_REGISTRY(one_identity_is_one_origin_for_all_who_take_it),
        WITH_REGISTRY(it_rests_after_so_many_failures_in_a_row_and_then_begins_slowly),
        WITH_REGISTRY(down_and_drained_are_told_apart_and_keep_the_checks_cause),
        WITH_REGISTRY(drained_before_it_is_met_it_is_met_drained),
        WITH_REGISTRY(as_many_as_the_limit_can_be_drained_and_one_more_cannot),
        WITH_REGISTRY(threads_may_take_use_and_give_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
