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

enum {
    ALL = 1 << CODING_BR | 1 << CODING_ZSTD | 1 << CODING_GZIP,
    GZIP = 1 << CODING_GZIP,
};

static const struct {
    const char *value;
    unsigned available;
    enum coding best;
} codings[] = {
    {NULL, ALL, CODING_IDENTITY},
    {"", ALL, CODING_IDENTITY},
    {"gzip, deflate, br, zstd", ALL, CODING_BR},
    {"gzip, deflate, br, zstd", GZIP, CODING_GZIP},
    {"gzip, zstd", ALL, CODING_ZSTD},
    {"GZip", ALL, CODING_GZIP},
    {"x-gzip", ALL, CODING_GZIP},
    {"deflate", ALL, CODING_IDENTITY},
    {"br;q=0.5, gzip", ALL, CODING_GZIP},
    {"br;q=0.5, gzip;q=0.501", ALL, CODING_GZIP},
    {"br;q=0, gzip;q=0", ALL, CODING_IDENTITY},
    {"*", ALL, CODING_BR},
    {"*", GZIP, CODING_GZIP},
    {"br;q=0, *;q=0.1", ALL, CODING_ZSTD},
    {"*;q=0", ALL, CODING_IDENTITY},
    {"identity;q=0, *;q=0", ALL, CODING_IDENTITY},
    {"identity, gzip;q=0.5", ALL, CODING_IDENTITY},
    {"identity, gzip", ALL, CODING_GZIP},
    {"identity;q=0.5, gzip;q=0.8", ALL, CODING_GZIP},
    {"gzip ; q=1.000", ALL, CODING_GZIP},
    {"gzip;q=1.001", ALL, CODING_IDENTITY},
    {"gzip;q=2", ALL, CODING_IDENTITY},
    {"gzip;q=", ALL, CODING_IDENTITY},
    {"gzip;q=0.0001", ALL, CODING_IDENTITY},
    {"gzip;q=-1, zstd", ALL, CODING_ZSTD},
    {";q=1,,=,gzip", ALL, CODING_GZIP},
};

static void the_coding_with_the_highest_weight_wins(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof codings / sizeof codings[0]; i++) {
        struct message m;
        with_field(&m, HEADER_ACCEPT_ENCODING, codings[i].value);
        enum coding best = accept_encoding(&m, codings[i].available);
        if (best != codings[i].best)
            fail_msg("%s: %d", codings[i].value ? codings[i].value : "(none)", (int)best);
        arena_end(m.arena);
    }
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
        cmocka_unit_test(the_coding_with_the_highest_weight_wins),
        cmocka_unit_test(json_only_for_those_who_prefer_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
