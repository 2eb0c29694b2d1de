#include "observe/recall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"

static struct access_record record_of(unsigned number)
{
    static char path[64];
    struct access_record r;
    access_record_init(&r, ACCESS_REQUEST);
    snprintf(path, sizeof path, "/studies/%u", number);
    r.method = STR("GET");
    r.host = STR("portal.example");
    r.path = str_from_z(path);
    r.status = 200;
    r.request_number = number;
    return r;
}

static void what_was_put_is_read_back(void **state)
{
    (void)state;
    struct recall *recall = recall_new(1);
    struct access_record in = record_of(7), out;
    const struct where site = {STR("/etc/portcullis.conf"), 3},
                       route = {STR("/etc/portcullis.conf"), 9},
                       deny = {STR("/etc/sites/a.conf"), 2};
    assert_true(addr_parse_ip_port(STR("10.0.0.9:4711"), &in.peer));
    assert_true(addr_parse_ip_port(STR("[2001:db8::1]:443"), &in.local));
    in.client = in.peer;
    in.query = STR("patient=1&x");
    in.has_query = true;
    in.canonical_path = in.path;
    in.site = STR("portal.example");
    in.route = STR("/studies/*");
    in.route_where = route;
    in.tls_version = STR("1.3");
    in.cipher = STR("TLS_AES_128_GCM_SHA256");
    in.tls_resumed = in.websocket = true;
    in.user_agent = STR("curl/7.88.1");
    in.referer = STR("https://a/?secret=1");
    in.version = 11;
    in.total_us = (uint64_t)24 * 3600 * 1000000;
    in.head_us = 17;
    in.bytes_in = UINT64_MAX;
    in.end = ACCESS_COMPLETE;
    in.cookies = STR("session=very-secret");
    in.authorization = STR("Bearer very-secret");
    access_record_decide(&in, ACCESS_STAGE_ROUTE, STR("site"), in.site, &site);
    access_record_decide(&in, ACCESS_STAGE_ROUTE, STR("route"), in.route, &route);
    access_record_decide(&in, ACCESS_STAGE_ADMIT, STR("slow"), STR(""), NULL);
    access_record_refuse(&in, ACCESS_BY_ROUTE, STR("route access"), STR("a deny line"), &deny);
    recall_put(recall, &in);
    const struct recall_entry *entry = recall_at(recall, 0);
    assert_true(recall_is(entry, access_record_reference(&in)));
    recall_read(entry, &out);
    assert_memory_equal(out.reference, in.reference, sizeof in.reference);
    assert_true(str_eq(out.path, in.path) && str_eq(out.query, in.query) && out.has_query);
    assert_true(str_eq(out.site, in.site) && str_eq(out.route, in.route));
    assert_true(str_eq(out.cipher, in.cipher) && str_eq(out.user_agent, in.user_agent));
    assert_true(str_eq(out.referer, in.referer) && str_eq(out.refused_why, in.refused_why));
    assert_true(addr_eq(&out.peer, &in.peer) && addr_eq(&out.local, &in.local));
    assert_true(out.tls_resumed && out.websocket && !out.origin_pooled && !out.decisions_cut);
    assert_int_equal(out.total_us, in.total_us);
    assert_int_equal(out.bytes_in, UINT64_MAX);
    assert_int_equal(out.head_us, 17);
    assert_int_equal(out.decision_count, 3);
    assert_int_equal(out.decisions[1].where.line, 9);
    assert_true(str_eq(out.decisions[1].where.file, route.file));
    assert_true(str_empty(out.decisions[2].where.file));
    assert_true(str_eq(out.route_where.file, route.file) && out.route_where.line == 9);
    assert_true(str_eq(out.refused_at.file, deny.file) && out.refused_at.line == 2);
    /* What must not be found in a memory is not there. */
    assert_true(str_empty(out.cookies) && str_empty(out.authorization));
    assert_int_equal(str_find(str_from(entry, sizeof *entry), STR("very-secret")), SIZE_MAX);
    recall_end(recall);
}

static void the_latest_come_first_and_the_oldest_go(void **state)
{
    (void)state;
    struct recall *recall = recall_new(3);
    unsigned size = (RECALL_RECORDS + 2) / 3;
    struct access_record out;
    assert_null(recall_at(recall, 0));
    for (unsigned i = 0; i < size + 5; i++) {
        struct access_record r = record_of(i);
        recall_put(recall, &r);
        recall_read(recall_at(recall, 0), &out);
        assert_int_equal(out.request_number, i);
    }
    recall_read(recall_at(recall, size - 1), &out);
    assert_int_equal(out.request_number, 5);
    assert_null(recall_at(recall, size));
    recall_end(recall);
}

static void nothing_is_too_long_for_an_entry(void **state)
{
    (void)state;
    static char bytes[4096];
    memset(bytes, 'x', sizeof bytes);
    struct str longest = str_from(bytes, sizeof bytes);
    struct recall *recall = recall_new(1);
    struct access_record in = record_of(1), out;
    in.method = in.host = in.path = in.query = in.site = in.route = in.user_agent = longest;
    in.canonical_path = in.referer = in.sni = in.cipher = in.origin = longest;
    struct where where = {longest, 1};
    in.route_where = in.refused_at = where;
    for (int i = 0; i < ACCESS_DECISIONS_MAX + 3; i++)
        access_record_decide(&in, ACCESS_STAGE_ROUTE, longest, longest, &where);
    recall_put(recall, &in);
    recall_read(recall_at(recall, 0), &out);
    assert_true(out.decisions_cut);
    assert_int_equal(out.path.len, 128);
    assert_true(out.decision_count < ACCESS_DECISIONS_MAX);
    /* Cut or not, each string lies in the entry. */
    const char *begin = (const char *)recall_at(recall, 0), *end = begin + RECALL_ENTRY_BYTES;
    const struct str all[] = {out.method, out.host, out.path, out.route, out.referer, out.sni};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        assert_true(all[i].len == 0 || (all[i].at >= begin && all[i].at + all[i].len <= end));
    recall_end(recall);
}

static void every_length_of_a_string_is_kept_or_cut_cleanly(void **state)
{
    (void)state;
    static char bytes[512];
    memset(bytes, 'y', sizeof bytes);
    struct recall *recall = recall_new(1);
    for (size_t len = 0; len < sizeof bytes; len++) {
        struct access_record in = record_of(1), out;
        in.path = in.canonical_path = str_from(bytes, len);
        in.user_agent = str_from(bytes, len);
        for (size_t i = 0; i < len % 13; i++)
            access_record_decide(&in, ACCESS_STAGE_ADMIT, str_from(bytes, len), STR("why"), NULL);
        recall_put(recall, &in);
        recall_read(recall_at(recall, 0), &out);
        assert_int_equal(out.path.len, len < 128 ? len : 128);
        assert_int_equal(out.decisions_cut, len > 128 || out.user_agent.len < len ||
                                                out.decision_count < len % 13 ||
                                                (len % 13 != 0 && len > 64));
    }
    recall_end(recall);
}

static void refusals_are_found_by_their_client(void **state)
{
    (void)state;
    struct recall *recall = recall_new(1);
    struct addr a = {0}, b = {0};
    assert_true(addr_parse_ip_port(STR("10.0.0.1:5"), &a));
    assert_true(addr_parse_ip(STR("10.0.0.1"), &b));
    struct access_record fine = record_of(1), refused = record_of(2);
    fine.client = refused.client = a;
    access_record_refuse(&refused, ACCESS_BY_LIMIT, STR("limit"), STR(""), NULL);
    recall_put(recall, &fine);
    recall_put(recall, &refused);
    assert_true(recall_is_refusal_of(recall_at(recall, 0), &b)); /* whatever the port */
    assert_false(recall_is_refusal_of(recall_at(recall, 1), &b));
    assert_true(addr_parse_ip(STR("10.0.0.2"), &b));
    assert_false(recall_is_refusal_of(recall_at(recall, 0), &b));
    recall_end(recall);
}

static void one_memory(void *unused)
{
    (void)unused;
    struct recall *recall = recall_new(2);
    assert_true(recall != NULL || alloc_has_failed());
    if (recall == NULL)
        return;
    struct access_record record = record_of(1);
    recall_put(recall, &record);
    recall_end(recall);
}

static void without_memory_nothing_is_remembered(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_memory, NULL) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_read_back),
        cmocka_unit_test(the_latest_come_first_and_the_oldest_go),
        cmocka_unit_test(nothing_is_too_long_for_an_entry),
        cmocka_unit_test(every_length_of_a_string_is_kept_or_cut_cleanly),
        cmocka_unit_test(refusals_are_found_by_their_client),
        cmocka_unit_test(without_memory_nothing_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
