/*
 * From the record to `why`: a line that the log wrote is found again by its reference and, if it
 * was refused, by its client, by nothing else, whatever hostile bytes the record held; and what is
 * found can be shown. The first 16 bytes are the reference, the rest the record's strings.
 */
#include "app/log_search.h"
#include "app/record_text.h"
#include "base/arena.h"
#include "observe/access_log.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool finds(struct str line, struct str reference, struct str client)
{
    const struct log_search search = {.reference = reference, .client = client};
    return log_search_fits(&search, line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char letters[] = "0123456789abcdefghjkmnpqrstvwxyz";
    static char bytes[ACCESS_LOG_LINE_MAX];
    struct access_record record;
    struct str rest = str_from(data, size),
               *strings[] = {&record.path,         &record.query,      &record.user_agent,
                             &record.referer,      &record.host,       &record.cookies,
                             &record.request_type, &record.refused_why};
    if (size < sizeof record.reference || size > 4096)
        return 0;
    access_record_init(&record, ACCESS_REQUEST);
    for (size_t i = 0; i < sizeof record.reference; i++)
        record.reference[i] = letters[data[i] % 32];
    rest = str_skip(rest, sizeof record.reference);
    must(addr_parse_ip(STR("192.0.2.77"), &record.client));
    record.peer = record.client;
    record.method = STR("GET");
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (!str_split(&rest, '\0', strings[i]))
            break;
    struct str why = record.refused_why;
    if (data[0] & 1)
        access_record_refuse(&record, ACCESS_BY_PARSER, STR("test"), why, NULL);
    else
        record.refused_why = (struct str){0};
    struct text line = text_over(bytes, sizeof bytes);
    access_log_add(&line, &record, ACCESS_LOG_JSON);
    must(text_ok(&line) && line.len != 0);
    struct str whole = str_trim(text_str(&line));
    must(whole.at[whole.len - 1] == '}');
    must(finds(whole, str_from(record.reference, sizeof record.reference), STR("")));
    must(!finds(whole, STR("thisreferenceisnt"), STR("")));
    must(finds(whole, STR(""), STR("192.0.2.77")) == ((data[0] & 1) != 0));
    must(!finds(whole, STR(""), STR("192.0.2.7")));
    struct arena *arena = arena_new(32 << 20, 4096);
    struct text full = text_in(arena, 1 << 20), one = text_in(arena, 1 << 20);
    must(record_text_full(arena, whole, false, &full) && record_text_line(arena, whole, &one));
    must(str_find(text_str(&full), str_from(record.reference, sizeof record.reference)) !=
         SIZE_MAX);
    arena_end(arena);
    return 0;
}
