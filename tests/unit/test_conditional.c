#include "http/conditional.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MODIFIED_S 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define SAME "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

static enum conditional evaluate(const char *method, const char *fields,
                                 const struct conditional_now *now)
{
    struct arena *arena = arena_new(65536, 4096);
    struct message request;
    message_init(&request, arena);
    request.method = (uint8_t)method_lookup(str_from_z(method));
    struct str rest = str_from_z(fields), line;
    while (str_split(&rest, '|', &line)) {
        size_t colon = str_find_byte(line, ':');
        assert_true(message_add(&request, str_sub(line, 0, colon), str_skip(line, colon + 2)));
    }
    enum conditional verdict = conditional_evaluate(&request, now);
    arena_end(arena);
    return verdict;
}

static const struct conditional_now strong = {.exists = true,
                                              .has_etag = true,
                                              .etag = {STR_INIT("v"), false},
                                              .has_modified = true,
                                              .modified_s = MODIFIED_S,
                                              .now_s = MODIFIED_S + 100};

static void conditions_are_judged_in_the_order_of_the_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *method, *fields;
        enum conditional verdict;
    } cases[] = {
        {"GET", "", CONDITIONAL_PROCEED},
        {"GET", "Range: bytes=0-1", CONDITIONAL_PROCEED},
        /* If-Match: strong */
        {"PUT", "If-Match: \"v\"", CONDITIONAL_PROCEED},
        {"PUT", "If-Match: W/\"v\"", CONDITIONAL_FAILED},
        {"PUT", "If-Match: \"a\", \"v\"", CONDITIONAL_PROCEED},
        {"PUT", "If-Match: \"a\"|If-Match: \"v\"", CONDITIONAL_PROCEED},
        {"PUT", "If-Match: *", CONDITIONAL_PROCEED},
        {"PUT", "If-Match: v", CONDITIONAL_FAILED},
        {"GET", "If-Match: \"a\"", CONDITIONAL_FAILED},
        /* wins over If-Unmodified-Since */
        {"PUT", "If-Match: \"v\"|If-Unmodified-Since: " BEFORE, CONDITIONAL_PROCEED},
        {"PUT", "If-Match: \"a\"|If-Unmodified-Since: " AFTER, CONDITIONAL_FAILED},
        {"PUT", "If-Unmodified-Since: " BEFORE, CONDITIONAL_FAILED},
        {"PUT", "If-Unmodified-Since: " SAME, CONDITIONAL_PROCEED},
        {"PUT", "If-Unmodified-Since: today", CONDITIONAL_PROCEED},
        /* If-None-Match: weak */
        {"GET", "If-None-Match: \"v\"", CONDITIONAL_NOT_MODIFIED},
        {"HEAD", "If-None-Match: W/\"v\"", CONDITIONAL_NOT_MODIFIED},
        {"PUT", "If-None-Match: \"v\"", CONDITIONAL_FAILED},
        {"PUT", "If-None-Match: *", CONDITIONAL_FAILED},
        {"GET", "If-None-Match: *", CONDITIONAL_NOT_MODIFIED},
        {"GET", "If-None-Match: \"a\"", CONDITIONAL_PROCEED},
        {"GET", "If-None-Match: \"a\",\"v\"", CONDITIONAL_NOT_MODIFIED},
        {"GET", "If-None-Match: \"a\"|If-None-Match: \"v\"", CONDITIONAL_NOT_MODIFIED},
        {"GET", "If-None-Match: garbage, \"v\"", CONDITIONAL_PROCEED},
        /* wins over If-Modified-Since */
        {"GET", "If-None-Match: \"a\"|If-Modified-Since: " SAME, CONDITIONAL_PROCEED},
        {"GET", "If-None-Match: \"v\"|If-Modified-Since: " BEFORE, CONDITIONAL_NOT_MODIFIED},
        {"GET", "If-Modified-Since: " SAME, CONDITIONAL_NOT_MODIFIED},
        {"GET", "If-Modified-Since: " AFTER, CONDITIONAL_NOT_MODIFIED},
        {"GET", "If-Modified-Since: " BEFORE, CONDITIONAL_PROCEED},
        {"POST", "If-Modified-Since: " SAME, CONDITIONAL_PROCEED},
        /* both kinds: the first that fails decides */
        {"GET", "If-Match: \"a\"|If-None-Match: \"v\"", CONDITIONAL_FAILED},
        {"GET", "If-Match: \"v\"|If-None-Match: \"v\"", CONDITIONAL_NOT_MODIFIED},
        /* If-Range */
        {"GET", "If-Range: \"v\"|Range: bytes=0-1", CONDITIONAL_PROCEED},
        {"GET", "If-Range: \"a\"|Range: bytes=0-1", CONDITIONAL_WHOLE},
        {"GET", "If-Range: W/\"v\"|Range: bytes=0-1", CONDITIONAL_WHOLE},
        {"GET", "If-Range: " SAME "|Range: bytes=0-1", CONDITIONAL_PROCEED},
        {"GET", "If-Range: " AFTER "|Range: bytes=0-1", CONDITIONAL_WHOLE},
        {"GET", "If-Range: junk|Range: bytes=0-1", CONDITIONAL_WHOLE},
        {"GET", "If-Range: \"a\"", CONDITIONAL_PROCEED},
        {"HEAD", "If-Range: \"a\"|Range: bytes=0-1", CONDITIONAL_PROCEED},
        {"GET", "If-None-Match: \"v\"|If-Range: \"v\"|Range: bytes=0-1", CONDITIONAL_NOT_MODIFIED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum conditional verdict = evaluate(cases[i].method, cases[i].fields, &strong);
        if (verdict != cases[i].verdict)
            fail_msg("%s %s: %d", cases[i].method, cases[i].fields, (int)verdict);
    }
}

static void what_does_not_exist_matches_nothing(void **state)
{
    (void)state;
    struct conditional_now none = {.now_s = MODIFIED_S};
    assert_int_equal(evaluate("PUT", "If-Match: *", &none), CONDITIONAL_FAILED);
    assert_int_equal(evaluate("PUT", "If-Match: \"v\"", &none), CONDITIONAL_FAILED);
    assert_int_equal(evaluate("PUT", "If-None-Match: *", &none), CONDITIONAL_PROCEED);
    assert_int_equal(evaluate("GET", "If-Modified-Since: " SAME, &none), CONDITIONAL_PROCEED);
    assert_int_equal(evaluate("GET", "If-Range: " SAME "|Range: bytes=0-1", &none),
                     CONDITIONAL_WHOLE);
}

static void a_weak_validator_does_not_hold_a_range_together(void **state)
{
    (void)state;
    struct conditional_now now = strong;
    now.etag.weak = true;
    assert_int_equal(evaluate("GET", "If-Range: \"v\"|Range: bytes=0-1", &now), CONDITIONAL_WHOLE);
    assert_int_equal(evaluate("GET", "If-None-Match: \"v\"", &now), CONDITIONAL_NOT_MODIFIED);
    now.now_s = MODIFIED_S; /* it may change again within this second */
    assert_int_equal(evaluate("GET", "If-Range: " SAME "|Range: bytes=0-1", &now),
                     CONDITIONAL_WHOLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_are_judged_in_the_order_of_the_rfc),
        cmocka_unit_test(what_does_not_exist_matches_nothing),
        cmocka_unit_test(a_weak_validator_does_not_hold_a_range_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
