#include "observe/access_combined.h"

#include "observe/access_mask.h"

#include <time.h>

/* Room for what is always there: address, time, status, bytes, quotes. */
enum { FIXED_BYTES = 512 };

struct str access_combined_protocol(uint8_t version)
{
    switch (version) {
    case 10:
        return STR("HTTP/1.0");
    case 11:
        return STR("HTTP/1.1");
    default:
        return STR("");
    }
}

/* Inside quotes, a quote becomes \x22 so that no value ends early. All or "-". */
static void add_part(struct text *text, struct str s)
{
    size_t used = text->len + FIXED_BYTES;
    struct text part = text_over(text->at + text->len, text->cap > used ? text->cap - used : 0);
    size_t quote = 0;
    while (quote != SIZE_MAX) {
        quote = str_find_byte(s, '"');
        text_add_escaped(&part, str_sub(s, 0, quote));
        if (quote != SIZE_MAX) {
            text_add(&part, STR("\\x22"));
            s = str_skip(s, quote + 1);
        }
    }
    if (text_ok(&part) && part.len != 0)
        text->len += part.len;
    else
        text_add_byte(text, '-');
}

static void add_quoted(struct text *text, struct str s)
{
    text_add_byte(text, '"');
    add_part(text, s);
    text_add_byte(text, '"');
}

static void add_time(struct text *text, uint64_t wall_us)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    text_printf(text, "[%02d/%s/%04d:%02d:%02d:%02d +0000]", tm.tm_mday, months[tm.tm_mon % 12],
                tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void add_request_line(struct text *text, const struct access_record *record)
{
    struct access_mask_scratch scratch;
    bool cut = false; /* the format has no place to say so */
    text_add_byte(text, '"');
    if (str_empty(record->method) && str_empty(record->path)) {
        text_add_byte(text, '-');
    } else {
        add_part(text, access_mask_shorten(record->method, &cut));
        text_add_byte(text, ' ');
        add_part(text, access_mask_shorten(record->path, &cut));
        if (!str_empty(record->query)) {
            text_add_byte(text, '?');
            add_part(text, access_mask_query_of(record, &scratch, &cut));
        }
        if (record->version != 0) {
            text_add_byte(text, ' ');
            text_add(text, access_combined_protocol(record->version));
        }
    }
    text_add_byte(text, '"');
}

void access_combined_add(struct text *out, const struct access_record *record)
{
    char bytes[ACCESS_COMBINED_MAX];
    struct text text = text_over(bytes, sizeof bytes);
    struct access_mask_scratch scratch;
    bool cut = false;
    if (record->client.family == ADDR_NONE)
        text_add_byte(&text, '-');
    else
        addr_add_text(&text, &record->client);
    text_add(&text, STR(" - - "));
    add_time(&text, record->start_wall_us);
    text_add_byte(&text, ' ');
    add_request_line(&text, record);
    text_printf(&text, " %03u %llu ", record->status, (unsigned long long)record->body_out);
    add_quoted(&text, access_mask_referer_of(record, &scratch, &cut));
    text_add_byte(&text, ' ');
    add_quoted(&text, access_mask_shorten(record->user_agent, &cut));
    text_add(out, text_str(&text));
}
