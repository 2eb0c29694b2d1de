#include "app/status_text.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *laid_out(const char *json)
{
    static char bytes[512];
    struct text text = text_over(bytes, sizeof bytes - 1);
    status_text_add(&text, str_from_z(json));
    bytes[text.len] = '\0';
    return bytes;
}

static void each_value_has_its_line(void **state)
{
    (void)state;
    assert_string_equal(laid_out("{\"pid\":7,\"bytes\":{\"in\":1},\"listeners\":[\"a\",\"b\"]}\n"),
                        "pid: 7\nbytes:\n  in: 1\nlisteners:\n  a\n  b\n");
}

static void underscores_are_spaces_in_names_alone(void **state)
{
    (void)state;
    assert_string_equal(laid_out("{\"worker_user\":\"www_data\",\"names\":\"a_b\"}"),
                        "worker user: www_data\nnames: a_b\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_has_its_line),
        cmocka_unit_test(underscores_are_spaces_in_names_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
