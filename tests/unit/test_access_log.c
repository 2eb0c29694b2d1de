#include "observe/access_log.h"

#include "observe/access_mask.h"

#include "../json_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char line_bytes[ACCESS_LOG_LINE_MAX];

static struct str line_of(const struct access_record *record, enum access_log_format format)
{
    struct text text = text_over(line_bytes, sizeof line_bytes);
    access_log_add(&text, record, format);
    assert_true(text_ok(&text));
    assert_true(is_printable(text_str(&text)));
    if (format == ACCESS_LOG_JSON)
        assert_true(json_is_object(text_str(&text)));
    return text_str(&text);
}

static void assert_has(struct str line, const char *part)
{
    if (str_find(line, str_from_z(part)) == SIZE_MAX)
        fail_msg("no %s in %.*s", part, STR_ARG(line));
}

static void assert_lacks(struct str line, const char *part)
{
    if (str_find(line, str_from_z(part)) != SIZE_MAX)
        fail_msg("%s in %.*s", part, STR_ARG(line));
}

static struct access_record sample(void)
{
    struct access_record record = {
        .kind = ACCESS_REQUEST,
        .start_wall_us = 1795264496789000, /* 2026-11-21 12:34:56.789 */
        .connection_id = 7,
        .request_number = 2,
        .version = 11,
        .method = STR("GET"),
        .scheme = STR("https"),
        .host = STR("radiology.hospital.com"),
        .cookies = STR("session=abc123"),
        .authorization = STR("Basic c2VjcmV0"),
        .user_agent = STR("curl/7.88"),
        .referer = STR("https://u:pw@a.example/x?token=geheim#frag"),
        .site = STR("radiology.hospital.com"),
        .route = STR("/viewer/*"),
        .route_where = {.file = STR("portcullis.conf"), .line = 24},
        .status = 200,
        .body_out = 512,
        .total_us = 1500,
        .end = ACCESS_COMPLETE,
    };
    memcpy(record.reference, "0123456789abcdef", ACCESS_REFERENCE_LEN);
    assert_true(addr_parse_ip_port(STR("10.6.34.100:51234"), &record.peer));
    assert_true(addr_parse_ip_port(STR("10.6.34.1:443"), &record.local));
    record.client = record.peer;
    access_record_set_target(&record, STR("/viewer/study/12345?patient=Meier&flag"));
    return record;
}

static void a_json_line_has_its_fields_in_the_order_of_the_table(void **state)
{
    (void)state;
    struct access_record record = sample();
    access_record_decide(&record, ACCESS_STAGE_ROUTE, STR("chosen"), STR(""), &record.route_where);
    struct str line = line_of(&record, ACCESS_LOG_JSON);
    assert_true(str_eq(
        line,
        STR("{\"time\":\"2026-11-21T12:34:56.789Z\",\"kind\":\"request\",\"ref\":"
            "\"0123456789abcdef\",\"conn\":7,\"req\":2,\"client\":\"10.6.34.100\",\"peer\":"
            "\"10.6.34.100:51234\",\"local\":\"10.6.34.1:443\",\"protocol\":\"HTTP/1.1\","
            "\"method\":\"GET\",\"scheme\":\"https\",\"host\":\"radiology.hospital.com\",\"path\":"
            "\"/viewer/study/12345\",\"query\":\"patient=***&***\","
            "\"site\":\"radiology.hospital.com\",\"route\":\"/viewer/*\",\"route_at\":"
            "\"portcullis.conf:24\",\"status\":200,\"bytes_in\":0,\"body_in\":0,\"bytes_out\":0,"
            "\"body_out\":512,\"total_us\":1500,\"end\":\"complete\",\"user_agent\":\"curl/7.88\","
            "\"referer\":\"https://***@a.example/x?token=***#***\",\"stages\":[{\"stage\":"
            "\"route\",\"verdict\":\"chosen\",\"at\":\"portcullis.conf:24\"}]}")));
}

static void secrets_appear_only_when_asked_for(void **state)
{
    (void)state;
    static const struct {
        uint8_t show;
        bool query, cookies, authorization;
    } rows[] = {
        {0, false, false, false},
        {ACCESS_SHOW_QUERY, true, false, false},
        {ACCESS_SHOW_COOKIES, false, true, false},
        {ACCESS_SHOW_AUTHORIZATION, false, false, true},
        {ACCESS_SHOW_QUERY | ACCESS_SHOW_COOKIES | ACCESS_SHOW_AUTHORIZATION, true, true, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct access_record record = sample();
        record.show = rows[i].show;
        for (int format = ACCESS_LOG_JSON; format <= ACCESS_LOG_COMBINED; format++) {
            struct str line = line_of(&record, (enum access_log_format)format);
            bool json = format == ACCESS_LOG_JSON; /* the other has no place for the last two */
            (rows[i].query ? assert_has : assert_lacks)(line, "Meier");
            (rows[i].query ? assert_has : assert_lacks)(line, "geheim");
            (rows[i].cookies && json ? assert_has : assert_lacks)(line, "abc123");
            (rows[i].authorization && json ? assert_has : assert_lacks)(line, "c2VjcmV0");
        }
    }
}

static void what_does_not_apply_is_left_out(void **state)
{
    (void)state;
    struct access_record record = {.kind = ACCESS_CONNECTION};
    assert_true(str_eq(line_of(&record, ACCESS_LOG_JSON),
                       STR("{\"time\":\"1970-01-01T00:00:00.000Z\",\"kind\":\"connection\"}")));
    record.kind = ACCESS_SUMMARY;
    record.count = 17;
    assert_has(line_of(&record, ACCESS_LOG_JSON), "\"count\":17");
    assert_int_equal(line_of(&record, ACCESS_LOG_COMBINED).len, 0);
}

static void who_refused_why_and_where_is_said(void **state)
{
    (void)state;
    struct access_record record = sample();
    struct where where = {.file = STR("portcullis.conf"), .line = 9};
    record.status = 403;
    access_record_refuse(&record, ACCESS_BY_ROUTE, STR("route deny"), STR("no line lets it in"),
                         &where);
    assert_has(line_of(&record, ACCESS_LOG_JSON),
               "\"status\":403,\"refused_layer\":\"route\",\"refused_by\":\"route deny\","
               "\"why\":\"no line lets it in\",\"at\":\"portcullis.conf:9\"");
}

static void combined_lines_read_like_those_of_others(void **state)
{
    (void)state;
    struct access_record record = sample();
    assert_true(str_eq(line_of(&record, ACCESS_LOG_COMBINED),
                       STR("10.6.34.100 - - [21/Nov/2026:12:34:56 +0000] \"GET "
                           "/viewer/study/12345?patient=***&*** HTTP/1.1\" 200 512 "
                           "\"https://***@a.example/x?token=***#***\" \"curl/7.88\"")));
    struct access_record nothing = {.kind = ACCESS_CONNECTION};
    assert_true(str_eq(line_of(&nothing, ACCESS_LOG_COMBINED),
                       STR("- - - [01/Jan/1970:00:00:00 +0000] \"-\" 000 0 \"-\" \"-\"")));
}

static void text_from_the_network_cannot_forge_a_line(void **state)
{
    (void)state;
    struct access_record record = sample();
    record.user_agent = STR("a\" 200 1 \"b\r\n\x1b[2J\x7f\xff\xe2\x80\xae\\");
    assert_has(line_of(&record, ACCESS_LOG_COMBINED),
               "\"a\\x22 200 1 \\x22b\\x0d\\x0a\\x1b[2J\\x7f\\xff\\u202e\\\\\"");
    assert_has(line_of(&record, ACCESS_LOG_JSON),
               "\"user_agent\":\"a\\\" 200 1 \\\"b\\u000d\\u000a\\u001b[2J\\u007f\\u00ff\\u202e");
}

static void a_long_value_is_shortened_and_that_is_said(void **state)
{
    (void)state;
    static char agent[ACCESS_VALUE_MAX + 1];
    memset(agent, 'x', sizeof agent);
    struct access_record record = sample();
    record.user_agent = str_from(agent, sizeof agent - 1);
    assert_lacks(line_of(&record, ACCESS_LOG_JSON), "\"cut\"");
    record.user_agent.len = sizeof agent;
    assert_has(line_of(&record, ACCESS_LOG_JSON), ",\"cut\":true}");
}

static void a_line_too_long_loses_fields_and_stays_json(void **state)
{
    (void)state;
    static char hostile[2048];
    memset(hostile, '\x01', sizeof hostile); /* six bytes each when escaped */
    struct str s = str_from(hostile, sizeof hostile);
    struct access_record record = sample();
    record.sni = record.host = record.path = record.user_agent = record.referer = s;
    record.query = record.canonical_path = record.request_type = s;
    struct str line = line_of(&record, ACCESS_LOG_JSON);
    assert_has(line, ",\"cut\":true}");
    assert_has(line, "\"status\":200");
    assert_has(line, "\"end\":\"complete\"");
    line = line_of(&record, ACCESS_LOG_COMBINED);
    assert_has(line, " 200 512 ");
}

static void decisions_left_out_are_said(void **state)
{
    (void)state;
    struct access_record record = sample();
    for (int i = 0; i <= ACCESS_DECISIONS_MAX; i++)
        access_record_decide(&record, ACCESS_STAGE_FORWARD, STR("retried"), STR("refused"), NULL);
    assert_has(line_of(&record, ACCESS_LOG_JSON), ",\"cut\":true}");
}

/* --- docs/log.md ----------------------------------------------------------------------------- */

static const char page[] = PC_SOURCE_DIR "/docs/log.md";
static const struct str begin = STR_INIT("<!-- fields: written by test_access_log --write -->\n");
static const struct str finish = STR_INIT("<!-- end of fields -->\n");

static struct str read_page(char *bytes, size_t max)
{
    FILE *file = fopen(page, "r");
    assert_non_null(file);
    size_t len = fread(bytes, 1, max, file);
    fclose(file);
    return str_from(bytes, len);
}

static void the_reference_page_is_the_table(void **state)
{
    (void)state;
    static char bytes[65536], table_bytes[32768];
    struct str text = read_page(bytes, sizeof bytes);
    struct text table = text_over(table_bytes, sizeof table_bytes);
    access_log_fields_markdown(&table);
    assert_true(text_ok(&table));
    size_t from = str_find(text, begin), to = str_find(text, finish);
    assert_true(from != SIZE_MAX && to != SIZE_MAX && from < to);
    from += begin.len;
    if (!str_eq(str_sub(text, from, to - from), text_str(&table)))
        fail_msg("docs/log.md is stale: run test_access_log --write");
}

static int write_page(void)
{
    static char bytes[65536], table_bytes[32768];
    struct str text = read_page(bytes, sizeof bytes);
    struct text table = text_over(table_bytes, sizeof table_bytes);
    access_log_fields_markdown(&table);
    size_t from = str_find(text, begin), to = str_find(text, finish);
    if (from == SIZE_MAX || to == SIZE_MAX)
        return 1;
    FILE *file = fopen(page, "w");
    if (file == NULL)
        return 1;
    fprintf(file, "%.*s%.*s%.*s", STR_ARG(str_sub(text, 0, from + begin.len)),
            STR_ARG(text_str(&table)), STR_ARG(str_skip(text, to)));
    return fclose(file);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--write") == 0)
        return write_page();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_json_line_has_its_fields_in_the_order_of_the_table),
        cmocka_unit_test(secrets_appear_only_when_asked_for),
        cmocka_unit_test(what_does_not_apply_is_left_out),
        cmocka_unit_test(who_refused_why_and_where_is_said),
        cmocka_unit_test(combined_lines_read_like_those_of_others),
        cmocka_unit_test(text_from_the_network_cannot_forge_a_line),
        cmocka_unit_test(a_long_value_is_shortened_and_that_is_said),
        cmocka_unit_test(a_line_too_long_loses_fields_and_stays_json),
        cmocka_unit_test(decisions_left_out_are_said),
        cmocka_unit_test(the_reference_page_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
