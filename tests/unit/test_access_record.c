#include "observe/access_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void references_differ_and_hold_only_their_digits(void **state)
{
    (void)state;
    enum { COUNT = 200 }; /* more than are drawn at once */
    static struct access_record records[COUNT];
    bool met[256] = {false};
    for (int i = 0; i < COUNT; i++) {
        access_record_init(&records[i], ACCESS_REQUEST);
        struct str reference = access_record_reference(&records[i]);
        assert_int_equal(reference.len, ACCESS_REFERENCE_LEN);
        for (size_t at = 0; at < reference.len; at++) {
            assert_non_null(strchr("0123456789abcdefghjkmnpqrstvwxyz", reference.at[at]));
            met[(unsigned char)reference.at[at]] = true;
        }
        for (int j = 0; j < i; j++)
            assert_false(str_eq(reference, access_record_reference(&records[j])));
    }
    int digits = 0;
    for (int c = 0; c < 256; c++)
        digits += met[c];
    assert_int_equal(digits, 32); /* 3,200 random digits leave none out */
}

static void a_target_is_split_at_its_first_question_mark(void **state)
{
    (void)state;
    static const struct {
        struct str target, path, query;
        bool has_query;
    } rows[] = {
        {STR_INIT("/a"), STR_INIT("/a"), STR_INIT(""), false},
        {STR_INIT("/a?"), STR_INIT("/a"), STR_INIT(""), true},
        {STR_INIT("/a?b=1?c"), STR_INIT("/a"), STR_INIT("b=1?c"), true},
        {STR_INIT("?"), STR_INIT(""), STR_INIT(""), true},
        {STR_INIT(""), STR_INIT(""), STR_INIT(""), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct access_record record = {0};
        access_record_set_target(&record, rows[i].target);
        assert_true(str_eq(record.path, rows[i].path));
        assert_true(str_eq(record.query, rows[i].query));
        assert_int_equal(record.has_query, rows[i].has_query);
    }
}

static void decisions_beyond_the_last_place_are_noted(void **state)
{
    (void)state;
    struct access_record record = {0};
    struct where where = {.file = STR("p.conf"), .line = 7};
    for (int i = 0; i < ACCESS_DECISIONS_MAX; i++)
        access_record_decide(&record, ACCESS_STAGE_ROUTE, STR("chosen"), STR(""), &where);
    assert_int_equal(record.decision_count, ACCESS_DECISIONS_MAX);
    assert_false(record.decisions_cut);
    access_record_decide(&record, ACCESS_STAGE_ADMIT, STR("denied"), STR(""), NULL);
    assert_int_equal(record.decision_count, ACCESS_DECISIONS_MAX);
    assert_true(record.decisions_cut);
    assert_int_equal(record.decisions[0].where.line, 7);
}

static void the_first_refusal_counts(void **state)
{
    (void)state;
    struct access_record record = {0};
    struct where where = {.file = STR("p.conf"), .line = 3};
    access_record_refuse(&record, ACCESS_BY_ROUTE, STR("route deny"), STR("why"), &where);
    access_record_refuse(&record, ACCESS_BY_ORIGIN, STR("origin timeout"), STR(""), NULL);
    assert_int_equal(record.refused_layer, ACCESS_BY_ROUTE);
    assert_true(str_eq(record.refused_by, STR("route deny")));
    assert_int_equal(record.refused_at.line, 3);
}

static void every_value_has_a_word_and_no_other_reads_past_them(void **state)
{
    (void)state;
    assert_true(str_eq(access_kind_name(ACCESS_SUMMARY), STR("summary")));
    assert_true(str_eq(access_kind_name(ACCESS_SUMMARY + 1), STR("?")));
    assert_true(str_eq(access_stage_name(ACCESS_STAGE_RESPOND), STR("respond")));
    assert_true(str_eq(access_stage_name(ACCESS_STAGE_RESPOND + 1), STR("?")));
    assert_true(str_eq(access_layer_name(ACCESS_BY_PROXY), STR("proxy")));
    assert_true(str_eq(access_layer_name(ACCESS_BY_PROXY + 1), STR("?")));
    assert_true(str_eq(access_end_name(ACCESS_FAILED), STR("failed")));
    assert_true(str_eq(access_end_name(ACCESS_FAILED + 1), STR("?")));
}

static void a_mark_is_never_the_zero_of_what_did_not_happen(void **state)
{
    (void)state;
    assert_int_equal(access_record_mark(100, 100), 1);
    assert_int_equal(access_record_mark(100, 99), 1);
    assert_int_equal(access_record_mark(100, 350), 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_differ_and_hold_only_their_digits),
        cmocka_unit_test(a_target_is_split_at_its_first_question_mark),
        cmocka_unit_test(decisions_beyond_the_last_place_are_noted),
        cmocka_unit_test(the_first_refusal_counts),
        cmocka_unit_test(every_value_has_a_word_and_no_other_reads_past_them),
        cmocka_unit_test(a_mark_is_never_the_zero_of_what_did_not_happen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
