#include "observe/access_log.h"

#include "base/clock.h"
#include "observe/access_combined.h"
#include "observe/access_mask.h"

/* A line under construction. */
struct line {
    struct text *text;
    const struct access_record *record;
    bool cut; /* something was shortened or left out */
};

/* Where the value of a field comes from. */
enum source {
    FROM_STR,   /* a member: struct str */
    FROM_BYTES, /* uint64_t; a request always has it, be it 0 */
    FROM_U64,
    FROM_U32,
    FROM_U16,
    FROM_FLAG,
    FROM_HOST,     /* struct addr, without port */
    FROM_ENDPOINT, /* struct addr, with port */
    FROM_PLACE,    /* struct where: "file:line" */
    FROM_STRING_FN,
    FROM_LIST_FN,
};

/* Appends the value as JSON; appends nothing where there is none. */
typedef void field_fn(struct line *line);

struct field_row {
    struct str key;  /* ,"name": */
    uint8_t source;  /* enum source */
    size_t at;       /* offset of the member */
    field_fn *add;   /* of FROM_…_FN */
    struct str unit; /* for the documentation; may be empty */
    struct str help;
};

static struct str shortened(struct line *line, struct str s)
{
    return access_mask_shorten(s, &line->cut);
}

static void add_text(struct line *line, struct str s)
{
    if (!str_empty(s))
        text_add_json(line->text, shortened(line, s));
}

static void add_place(struct line *line, const struct where *where)
{
    if (str_empty(where->file))
        return;
    char bytes[512];
    struct text text = text_over(bytes, sizeof bytes);
    text_add(&text, str_sub(where->file, 0, sizeof bytes - 16)); /* leaves room for the line */
    text_add_byte(&text, ':');
    text_add_u64(&text, where->line);
    text_add_json(line->text, text_str(&text));
}

static void add_addr(struct line *line, const struct addr *addr, bool with_port)
{
    char bytes[256]; /* the longest is a UNIX path: 108 bytes */
    struct text text = text_over(bytes, sizeof bytes);
    if (with_port)
        addr_add_text_port(&text, addr);
    else
        addr_add_text(&text, addr);
    text_add_json(line->text, text_str(&text));
}

/* Of the lines of a second all but the fraction is the same, and dear to make. */
static void add_time(struct line *line)
{
    enum { WHOLE = 20 }; /* "2026-11-21T12:34:56." */
    static _Thread_local char made[32];
    static _Thread_local uint64_t made_for = UINT64_MAX;
    uint64_t wall_us = line->record->start_wall_us;
    if (made_for != wall_us / 1000000) {
        struct text text = text_over(made, sizeof made);
        clock_add_rfc3339(&text, wall_us);
        made_for = wall_us / 1000000;
    }
    unsigned ms = (unsigned)(wall_us / 1000 % 1000);
    char rest[] = {(char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z',
                   '"'};
    text_add_byte(line->text, '"');
    text_add(line->text, str_from(made, WHOLE));
    text_add(line->text, str_from(rest, sizeof rest));
}

static void add_kind(struct line *line)
{
    add_text(line, access_kind_name(line->record->kind));
}

static void add_reference(struct line *line)
{
    if (line->record->reference[0] != '\0')
        add_text(line, access_record_reference(line->record));
}

static void add_protocol(struct line *line)
{
    add_text(line, access_combined_protocol(line->record->version));
}

static void add_query(struct line *line)
{
    struct access_mask_scratch scratch;
    if (line->record->has_query)
        text_add_json(line->text, access_mask_query_of(line->record, &scratch, &line->cut));
}

static void add_canonical(struct line *line)
{
    if (!str_eq(line->record->canonical_path, line->record->path))
        add_text(line, line->record->canonical_path);
}

static void add_referer(struct line *line)
{
    struct access_mask_scratch scratch;
    if (!str_empty(line->record->referer))
        text_add_json(line->text, access_mask_referer_of(line->record, &scratch, &line->cut));
}

static void add_cookies(struct line *line)
{
    if (line->record->show & ACCESS_SHOW_COOKIES)
        add_text(line, line->record->cookies);
}

static void add_authorization(struct line *line)
{
    if (line->record->show & ACCESS_SHOW_AUTHORIZATION)
        add_text(line, line->record->authorization);
}

static void add_refused_layer(struct line *line)
{
    add_text(line, access_layer_name(line->record->refused_layer));
}

static void add_end(struct line *line)
{
    add_text(line, access_end_name(line->record->end));
}

static void add_decision(struct line *line, const struct access_decision *decision)
{
    text_add(line->text, STR("{\"stage\":"));
    add_text(line, access_stage_name(decision->stage));
    text_add(line->text, STR(",\"verdict\":"));
    text_add_json(line->text, shortened(line, decision->verdict));
    if (!str_empty(decision->why)) {
        text_add(line->text, STR(",\"why\":"));
        add_text(line, decision->why);
    }
    if (!str_empty(decision->where.file)) {
        text_add(line->text, STR(",\"at\":"));
        add_place(line, &decision->where);
    }
    text_add_byte(line->text, '}');
}

static void add_decisions(struct line *line)
{
    const struct access_record *record = line->record;
    if (record->decisions_cut)
        line->cut = true;
    if (record->decision_count == 0)
        return;
    text_add_byte(line->text, '[');
    for (unsigned i = 0; i < record->decision_count && i < ACCESS_DECISIONS_MAX; i++) {
        if (i != 0)
            text_add_byte(line->text, ',');
        add_decision(line, &record->decisions[i]);
    }
    text_add_byte(line->text, ']');
}

#define KEY(name_text) STR_INIT(",\"" name_text "\":")
#define MEMBER(name_text, from, member, unit_text, help_text)                                      \
    {                                                                                              \
        KEY(name_text), from, offsetof(struct access_record, member), NULL, STR_INIT(unit_text),   \
            STR_INIT(help_text)                                                                    \
    }
#define MADE(name_text, from, function, unit_text, help_text)                                      \
    {                                                                                              \
        KEY(name_text), from, 0, function, STR_INIT(unit_text), STR_INIT(help_text)                \
    }

/* The one table: order of the line, names, and docs/log.md. */
static const struct field_row fields[] = {
    MADE("time", FROM_STRING_FN, add_time, "RFC 3339, UTC",
         "first byte of the request, or the accept of the connection"),
    MADE("kind", FROM_STRING_FN, add_kind, "",
         "`request`; `connection`: never became a request; `summary`: connections of one client "
         "that "
         "were counted instead of recorded"),
    MADE("ref", FROM_STRING_FN, add_reference, "",
         "the reference on error pages and in X-Request-Id"),
    MEMBER("count", FROM_U64, count, "connections", "of a summary: how many"),
    MEMBER("conn", FROM_U64, connection_id, "", "the connection; unique while the worker lives"),
    MEMBER("req", FROM_U32, request_number, "", "number of the request on its connection, from 1"),
    MEMBER("client", FROM_HOST, client, "",
           "who it is: the peer, or what a peer in `trusted_proxies` says"),
    MEMBER("peer", FROM_ENDPOINT, peer, "", "address and port the connection came from"),
    MEMBER("local", FROM_ENDPOINT, local, "", "address and port it came to"),
    MEMBER("sni", FROM_STR, sni, "", "name the TLS client asked for"),
    MEMBER("tls", FROM_STR, tls_version, "", "version of TLS: `1.2`, `1.3`"),
    MEMBER("cipher", FROM_STR, cipher, "", "cipher suite"),
    MEMBER("alpn", FROM_STR, alpn, "", "protocol agreed on by ALPN"),
    MEMBER("resumed", FROM_FLAG, tls_resumed, "", "the TLS session was resumed"),
    MADE("protocol", FROM_STRING_FN, add_protocol, "", "`HTTP/1.0`, `HTTP/1.1`"),
    MEMBER("method", FROM_STR, method, "", "method"),
    MEMBER("scheme", FROM_STR, scheme, "", "`https`, `http`"),
    MEMBER("host", FROM_STR, host, "", "host the request is for"),
    MEMBER("path", FROM_STR, path, "", "path as received"),
    MADE("query", FROM_STRING_FN, add_query, "",
         "query as received, without `?`; values masked unless `log_show query`"),
    MADE("canonical", FROM_STRING_FN, add_canonical, "",
         "the path that decided, where it is not the one received"),
    MEMBER("site", FROM_STR, site, "", "site, as written in the configuration"),
    MEMBER("route", FROM_STR, route, "", "pattern of the route"),
    MEMBER("route_at", FROM_PLACE, route_where, "file:line", "line of the route"),
    MEMBER("status", FROM_U16, status, "", "status sent to the client"),
    MADE("refused_layer", FROM_STRING_FN, add_refused_layer, "",
         "which part refused: `listener`, `tls`, `parser`, `limit`, `route`, `files`, `origin`, "
         "`proxy` (our own trouble)"),
    MEMBER("refused_by", FROM_STR, refused_by, "", "what refused: `route deny`, `origin timeout`"),
    MEMBER("why", FROM_STR, refused_why, "", "why it refused, in a sentence"),
    MEMBER("at", FROM_PLACE, refused_at, "file:line", "line of the configuration that refused"),
    MEMBER("origin", FROM_STR, origin, "", "origin, as written in the configuration"),
    MEMBER("origin_peer", FROM_ENDPOINT, origin_peer, "", "address and port of the origin"),
    MEMBER("origin_local", FROM_ENDPOINT, origin_local, "",
           "our address and port of that connection"),
    MEMBER("origin_status", FROM_U16, origin_status, "", "status the origin answered"),
    MEMBER("tries", FROM_U16, tries, "origins", "how many origins were tried"),
    MEMBER("pooled", FROM_FLAG, origin_pooled, "", "a kept connection was used"),
    MEMBER("websocket", FROM_FLAG, websocket, "", "became a WebSocket"),
    MEMBER("request_type", FROM_STR, request_type, "", "Content-Type of the request"),
    MEMBER("response_type", FROM_STR, response_type, "", "Content-Type of the answer"),
    MEMBER("encoding", FROM_STR, encoding, "", "what we compressed the answer with"),
    MEMBER("bytes_in", FROM_BYTES, bytes_in, "bytes", "head and body of the request"),
    MEMBER("body_in", FROM_BYTES, body_in, "bytes", "body of the request"),
    MEMBER("bytes_out", FROM_BYTES, bytes_out, "bytes", "head and body of the answer"),
    MEMBER("body_out", FROM_BYTES, body_out, "bytes", "body of the answer"),
    MEMBER("head_us", FROM_U64, head_us, "µs from `time`", "the head of the request was complete"),
    MEMBER("connected_us", FROM_U64, connected_us, "µs from `time`",
           "a connection to the origin was at hand"),
    MEMBER("sent_us", FROM_U64, sent_us, "µs from `time`",
           "the request was sent to the origin, body included"),
    MEMBER("answer_us", FROM_U64, answer_us, "µs from `time`", "first byte of the origin's answer"),
    MEMBER("total_us", FROM_U64, total_us, "µs from `time`", "the end"),
    MEMBER("connect_us", FROM_U64, connect_us, "µs",
           "how long connecting to the origin took, TLS included"),
    MADE("end", FROM_STRING_FN, add_end, "",
         "`complete`, `client-aborted`, `client-timed-out`, `origin-aborted`, `origin-timed-out`, "
         "`shut-down`, `failed` (our own trouble)"),
    MEMBER("user_agent", FROM_STR, user_agent, "", "User-Agent"),
    MADE("referer", FROM_STRING_FN, add_referer, "",
         "Referer; user, query values and fragment masked unless `log_show query`"),
    MADE("cookies", FROM_STRING_FN, add_cookies, "", "Cookie; only with `log_show cookies`"),
    MADE("authorization", FROM_STRING_FN, add_authorization, "",
         "Authorization; only with `log_show authorization`"),
    MADE("stages", FROM_LIST_FN, add_decisions, "",
         "who decided what, in order: objects of `stage` (`listener`, `tls`, `parse`, `route`, "
         "`admit`, `prepare`, `forward`, `respond`), `verdict`, `why`, `at` (file:line)"),
};

enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

/* @UNSAFE: the row's offset and source name one member of the record, by the macro above. */
static const void *member_of(const struct line *line, const struct field_row *row)
{
    return (const char *)line->record + row->at;
}

/* Known without making the value; what a function makes may still turn out to be nothing. */
static bool is_absent(const struct line *line, const struct field_row *row)
{
    const void *member = member_of(line, row);
    switch ((enum source)row->source) {
    case FROM_STR:
        return str_empty(*(const struct str *)member);
    case FROM_BYTES:
        return line->record->kind != ACCESS_REQUEST;
    case FROM_U64:
        return *(const uint64_t *)member == 0;
    case FROM_U32:
        return *(const uint32_t *)member == 0;
    case FROM_U16:
        return *(const uint16_t *)member == 0;
    case FROM_FLAG:
        return !*(const bool *)member;
    case FROM_HOST:
    case FROM_ENDPOINT:
        return ((const struct addr *)member)->family == ADDR_NONE;
    case FROM_PLACE:
        return str_empty(((const struct where *)member)->file);
    case FROM_STRING_FN:
    case FROM_LIST_FN:
        break;
    }
    return false;
}

static void add_value(struct line *line, const struct field_row *row)
{
    const void *member = member_of(line, row);
    switch ((enum source)row->source) {
    case FROM_STR:
        add_text(line, *(const struct str *)member);
        break;
    case FROM_BYTES:
    case FROM_U64:
        text_add_u64(line->text, *(const uint64_t *)member);
        break;
    case FROM_U32:
        text_add_u64(line->text, *(const uint32_t *)member);
        break;
    case FROM_U16:
        text_add_u64(line->text, *(const uint16_t *)member);
        break;
    case FROM_FLAG:
        text_add(line->text, STR("true"));
        break;
    case FROM_HOST:
        add_addr(line, member, false);
        break;
    case FROM_ENDPOINT:
        add_addr(line, member, true);
        break;
    case FROM_PLACE:
        add_place(line, member);
        break;
    case FROM_STRING_FN:
    case FROM_LIST_FN:
        row->add(line);
        break;
    }
}

/* A field that has no value, or no room, leaves no trace but in `cut`. */
static void add_field(struct line *line, const struct field_row *row)
{
    struct text *text = line->text;
    if (is_absent(line, row))
        return;
    size_t before = text->len;
    if (before == 0)
        text_add_byte(text, '{');
    text_add(text, before == 0 ? str_skip(row->key, 1) : row->key);
    size_t value_at = text->len;
    add_value(line, row);
    if (text_ok(text) && text->len != value_at)
        return;
    line->cut |= !text_ok(text);
    text->len = before;
    text->cut = false;
}

static void add_json_line(struct text *out, const struct access_record *record)
{
    static const struct str tail_cut = STR_INIT(",\"cut\":true}"), tail = STR_INIT("}");
    char bytes[ACCESS_LOG_LINE_MAX];
    struct text text = text_over(bytes, sizeof bytes - tail_cut.len);
    struct line line = {.text = &text, .record = record};
    for (size_t i = 0; i < FIELD_COUNT; i++)
        add_field(&line, &fields[i]);
    text_add(out, text_str(&text));
    text_add(out, line.cut ? tail_cut : tail);
}

void access_log_add(struct text *text, const struct access_record *record,
                    enum access_log_format format)
{
    if (format == ACCESS_LOG_JSON)
        add_json_line(text, record);
    else if (record->kind != ACCESS_SUMMARY)
        access_combined_add(text, record);
}

static struct str type_name(enum source source)
{
    switch (source) {
    case FROM_BYTES:
    case FROM_U64:
    case FROM_U32:
    case FROM_U16:
        return STR("integer");
    case FROM_FLAG:
        return STR("boolean");
    case FROM_LIST_FN:
        return STR("array");
    default:
        return STR("string");
    }
}

void access_log_fields_markdown(struct text *text)
{
    text_add_z(text, "| field | type | unit or form | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        struct str quoted = str_skip(fields[i].key, 2); /* name": */
        text_printf(text, "| `%.*s` | ", STR_ARG(str_sub(quoted, 0, quoted.len - 2)));
        text_add(text, type_name(fields[i].source));
        text_printf(text, " | %.*s | ", STR_ARG(fields[i].unit));
        text_add(text, fields[i].help);
        text_add_z(text, " |\n");
    }
    text_add_z(text,
               "| `cut` | boolean |  | a value was shortened or a field left out: the line or "
               "the value was too long |\n");
}
