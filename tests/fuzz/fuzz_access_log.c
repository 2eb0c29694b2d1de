/*
 * A record of hostile bytes: the JSON line is JSON, and neither form holds a control byte or is
 * longer than promised.
 */
#include "observe/access_log.h"

#include "../json_check.h"

#include <string.h>

/* Cuts the next piece off: its first byte says how long it is, and repeats long ones. */
static struct str piece(struct str *rest)
{
    static char repeated[8][4096];
    static unsigned next;
    if (str_empty(*rest))
        return STR("");
    size_t len = (unsigned char)rest->at[0];
    struct str s = str_sub(str_skip(*rest, 1), 0, len & 0x7f);
    *rest = str_skip(*rest, 1 + s.len);
    if ((len & 0x80) == 0 || str_empty(s))
        return s;
    char *out = repeated[next++ % 8];
    size_t at = 0;
    for (; at + s.len <= sizeof repeated[0]; at += s.len)
        memcpy(out + at, s.at, s.len);
    return str_from(out, at);
}

static void fill(struct access_record *record, struct str rest)
{
    struct str numbers = piece(&rest);
    record->kind = (uint8_t)(numbers.len % 4);
    record->show = (uint8_t)(numbers.len / 4);
    for (size_t i = 0; i < numbers.len && i < 6; i++) /* the machine's clock is not hostile */
        record->start_wall_us = record->start_wall_us << 8 | (uint8_t)numbers.at[i];
    memset(record->reference, '0', sizeof record->reference);
    record->status = (uint16_t)(numbers.len * 7);
    record->version = numbers.len % 2 ? 11 : 0;
    record->connection_id = record->bytes_in = record->start_wall_us;
    record->client.family = record->peer.family = numbers.len % 3 ? ADDR_IP4 : ADDR_IP6;
    record->refused_layer = record->end = (uint8_t)numbers.len;
    struct str *const members[] = {
        &record->method,
        &record->path,
        &record->query,
        &record->referer,
        &record->user_agent,
        &record->host,
        &record->sni,
        &record->alpn,
        &record->request_type,
        &record->canonical_path,
        &record->cookies,
        &record->authorization,
        &record->refused_by,
        &record->refused_why,
        &record->response_type,
        &record->origin,
        &record->route_where.file,
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        *members[i] = piece(&rest);
    record->has_query = !str_empty(record->query);
    while (!str_empty(rest)) {
        struct str verdict = piece(&rest);
        struct where where = {.file = piece(&rest), .line = 1};
        access_record_decide(record, ACCESS_STAGE_ROUTE, verdict, piece(&rest), &where);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct access_record record = {0};
    fill(&record, str_from(data, size));
    char bytes[ACCESS_LOG_LINE_MAX];
    struct text json = text_over(bytes, sizeof bytes);
    access_log_add(&json, &record, ACCESS_LOG_JSON);
    if (!text_ok(&json) || !json_is_object(text_str(&json)) || !is_printable(text_str(&json)))
        __builtin_trap();
    struct text combined = text_over(bytes, sizeof bytes);
    access_log_add(&combined, &record, ACCESS_LOG_COMBINED);
    if (!text_ok(&combined) || !is_printable(text_str(&combined)))
        __builtin_trap();
    return 0;
}
