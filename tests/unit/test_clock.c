#include "base/clock.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void wall_time_is_written_as_rfc_3339(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {999, "1970-01-01T00:00:00.000Z"}, /* cut, never rounded into the next second */
        {1000, "1970-01-01T00:00:00.001Z"},
        {999999, "1970-01-01T00:00:00.999Z"},
        {951782400000000, "2000-02-29T00:00:00.000Z"},
        {1795264496789000, "2026-11-21T12:34:56.789Z"},
        {4102444799999999, "2099-12-31T23:59:59.999Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char room[64];
        struct text text = text_over(room, sizeof room);
        clock_add_rfc3339(&text, rows[i].us);
        assert_true(str_eq(text_str(&text), str_from_z(rows[i].text)));
    }
}

static void the_monotonic_clock_never_goes_back(void **state)
{
    (void)state;
    uint64_t last = clock_mono_us();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_mono_us();
        assert_true(now >= last);
        last = now;
    }
    assert_true(clock_mono_ms() >= last / 1000);
    assert_true(clock_wall_us() > 1700000000000000U);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wall_time_is_written_as_rfc_3339),
        cmocka_unit_test(the_monotonic_clock_never_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
