#include "http/accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void with_field(struct message *m, enum header_id id, const char *value)
{
    message_init(m, arena_new(65536, 4096));
    if (value != NULL)
        assert_true(message_push(m, header_name(id), str_from_z(value)));
}

static const struct {
    const char *value;
    bool json;
} pages[] = {
    {NULL, false},
    {"*/*", false},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false},
    {"application/json", true},
    {"application/json, text/plain, */*", true},
    {"application/json;q=0.5, text/html", false},
    {"application/json, text/html", false},
    {"application/problem+json", true},
    {"application/dicom+json, */*;q=0.1", true},
    {"application/*, text/*;q=0.9", true},
    {"text/html, application/json;q=0.9, */*", false},
    {"application/json;q=0, */*", false},
    {"application/json;q=0", false},
    {"image/png", false},
    {"Application/JSON", true},
    {"garbage;;;,,;q=x", false},
};

static void json_only_for_those_who_prefer_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        struct message m;
        with_field(&m, HEADER_ACCEPT, pages[i].value);
        if (accept_prefers_json(&m) != pages[i].json)
            fail_msg("%s", pages[i].value ? pages[i].value : "(none)");
        arena_end(m.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_only_for_those_who_prefer_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
