#include "app/conduct.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool say_at(struct conduct *c, enum letter_kind kind, uint64_t generation, uint64_t now_ms)
{
    struct letter m;
    letter_init(&m, kind);
    m.u.generation = generation;
    return conduct_allows(c, &m, now_ms);
}

static bool say(struct conduct *c, enum letter_kind kind, uint64_t generation)
{
    return say_at(c, kind, generation, 0);
}

/* Locked, and told to serve generation 3. */
static struct conduct begun(void)
{
    struct conduct c;
    conduct_init(&c, 0);
    assert_true(say(&c, LETTER_LOCKED, 0));
    conduct_ordered(&c, 3);
    return c;
}

static void nothing_counts_before_the_locks(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < LETTER_KINDS; kind++) {
        struct conduct c;
        conduct_init(&c, 0);
        conduct_ordered(&c, 3);
        conduct_asked(&c);
        assert_int_equal(say(&c, kind, 3), kind == LETTER_LOCKED);
    }
}

static void the_locks_are_told_once(void **state)
{
    (void)state;
    struct conduct c = begun();
    assert_false(say(&c, LETTER_LOCKED, 0));
}

static void a_load_is_answered_once(void **state)
{
    (void)state;
    static const enum letter_kind answers[] = {LETTER_READY, LETTER_REFUSED};
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 2; k++) {
            struct conduct c = begun();
            assert_true(say(&c, answers[i], 3));
            assert_false(say(&c, answers[k], 3));
        }
}

static void only_what_was_ordered_is_answered(void **state)
{
    (void)state;
    struct conduct c = begun();
    assert_false(say(&c, LETTER_READY, 4));
    assert_false(say(&c, LETTER_READY, UINT64_MAX));
    assert_false(say(&c, LETTER_READY, 0));
}

static void an_answer_may_cross_the_next_load(void **state)
{
    (void)state;
    struct conduct c = begun();
    conduct_ordered(&c, 4);
    assert_true(say(&c, LETTER_READY, 3));
    assert_true(say(&c, LETTER_READY, 4));
    assert_false(say(&c, LETTER_READY, 3));
}

static void texts_belong_to_a_load_and_have_an_end(void **state)
{
    (void)state;
    struct conduct c = begun();
    for (unsigned i = 0; i < CONDUCT_TEXTS_MAX; i++)
        assert_true(say(&c, LETTER_TEXT, 0));
    assert_false(say(&c, LETTER_TEXT, 0));
    c = begun();
    assert_true(say(&c, LETTER_READY, 3));
    assert_false(say(&c, LETTER_TEXT, 0));
}

static void figures_come_only_when_asked_and_not_without_end(void **state)
{
    (void)state;
    static const enum letter_kind figures[] = {LETTER_COUNTERS, LETTER_CERT, LETTER_ANSWERED};
    for (size_t i = 0; i < 3; i++) {
        struct conduct c = begun();
        assert_false(say(&c, figures[i], 0));
        conduct_asked(&c);
        assert_true(say(&c, figures[i], 0));
        assert_int_equal(say(&c, figures[i], 0), figures[i] != LETTER_ANSWERED);
    }
    struct conduct c = begun();
    conduct_asked(&c);
    for (unsigned i = 0; i < CONDUCT_ANSWERS_MAX; i++)
        assert_true(say(&c, LETTER_CERT, 0));
    assert_false(say(&c, LETTER_CERT, 0));
}

static void wishes_for_logs_are_limited_in_rate(void **state)
{
    (void)state;
    struct conduct c = begun();
    for (unsigned i = 0; i < CONDUCT_WANTS_MAX; i++)
        assert_true(say_at(&c, LETTER_LOG_WANTED, 0, 5));
    assert_false(say_at(&c, LETTER_LOG_WANTED, 0, 5));
    for (unsigned i = 0; i < CONDUCT_WANTS_PER_S; i++)
        assert_true(say_at(&c, LETTER_LOG_WANTED, 0, 1006));
    assert_false(say_at(&c, LETTER_LOG_WANTED, 0, 1006));
    for (uint64_t i = 0; i < 10000; i++) /* what 64 honest logs ask for, for minutes */
        assert_true(say_at(&c, LETTER_LOG_WANTED, 0, 2000 + i * 16));
}

static void letters_of_others_are_never_its_turn(void **state)
{
    (void)state;
    for (unsigned kind = LETTER_SETTINGS; kind < LETTER_LOCKED; kind++) {
        struct conduct c = begun();
        conduct_asked(&c);
        assert_false(say(&c, kind, 3));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_counts_before_the_locks),
        cmocka_unit_test(the_locks_are_told_once),
        cmocka_unit_test(a_load_is_answered_once),
        cmocka_unit_test(only_what_was_ordered_is_answered),
        cmocka_unit_test(an_answer_may_cross_the_next_load),
        cmocka_unit_test(texts_belong_to_a_load_and_have_an_end),
        cmocka_unit_test(figures_come_only_when_asked_and_not_without_end),
        cmocka_unit_test(wishes_for_logs_are_limited_in_rate),
        cmocka_unit_test(letters_of_others_are_never_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
