#include "app/record_text.h"

#include "config/json.h"
#include "observe/access_mask.h"

#include <string.h>

static struct str get(const struct json *record, const char *key)
{
    const struct json *value = json_get(record, str_from_z(key));
    bool plain = value != NULL && (value->kind == JSON_STRING || value->kind == JSON_NUMBER);
    return plain ? value->text : STR("");
}

static bool has(const struct json *record, const char *key)
{
    return json_get(record, str_from_z(key)) != NULL;
}

/* NULL when the line is no object with a kind. */
static const struct json *read_record(struct arena *arena, struct str line)
{
    const char *why;
    size_t at;
    const struct json *record = json_read(arena, line, &why, &at);
    if (record == NULL || record->kind != JSON_OBJECT || str_empty(get(record, "kind")))
        return NULL;
    return record;
}

/* ---- masking ---- */

/* What was masked when it was written is the same when it is masked once more. */
static struct str masked(struct str key, struct str value, struct text *memory)
{
    if (str_eq(key, STR("query")))
        access_mask_query(memory, value);
    else if (str_eq(key, STR("referer")))
        access_mask_url(memory, value);
    else if (str_eq(key, STR("cookies")) || str_eq(key, STR("authorization")))
        text_add_z(memory, "***");
    else
        return value;
    return text_str(memory);
}

enum { MASKED_BYTES_MAX = 32 * 1024 };

static struct str shown(struct arena *arena, const struct json *value, bool unmask)
{
    if (unmask || value->kind != JSON_STRING)
        return value->text;
    struct text memory = text_in(arena, MASKED_BYTES_MAX);
    return masked(value->key, value->text, &memory);
}

static struct str get_masked(struct arena *arena, const struct json *record, const char *key,
                             bool unmask)
{
    const struct json *value = json_get(record, str_from_z(key));
    return value != NULL && value->kind == JSON_STRING ? shown(arena, value, unmask) : STR("");
}

/* ---- JSON again ---- */

static void add_json(struct arena *arena, const struct json *value, bool unmask, struct text *out)
{
    static const struct {
        const char *open, *close;
    } braces[] = {[JSON_ARRAY] = {"[", "]"}, [JSON_OBJECT] = {"{", "}"}};
    switch (value->kind) {
    case JSON_NULL:
        text_add_z(out, "null");
        return;
    case JSON_FALSE:
        text_add_z(out, "false");
        return;
    case JSON_TRUE:
        text_add_z(out, "true");
        return;
    case JSON_NUMBER:
        text_add(out, value->text);
        return;
    case JSON_STRING:
        text_add_json(out, shown(arena, value, unmask));
        return;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    text_add_z(out, braces[value->kind].open);
    for (const struct json *m = value->first; m != NULL; m = m->next) {
        if (m != value->first)
            text_add_byte(out, ',');
        if (value->kind == JSON_OBJECT) {
            text_add_json(out, m->key);
            text_add_byte(out, ':');
        }
        add_json(arena, m, unmask, out); /* json_read() bounds the depth */
    }
    text_add_z(out, braces[value->kind].close);
}

bool record_text_json(struct arena *arena, struct str line, bool unmask, struct text *out)
{
    const struct json *record = read_record(arena, line);
    if (record == NULL)
        return false;
    add_json(arena, record, unmask, out);
    text_add_byte(out, '\n');
    return true;
}

/* ---- in full ---- */

/* " word value" with the value escaped; nothing where there is none. */
static void add_pair(struct text *out, const char *before, struct str value)
{
    if (str_empty(value))
        return;
    text_add_z(out, before);
    text_add_escaped(out, value);
}

static void add_ms(struct text *out, struct str us)
{
    uint64_t n;
    if (str_to_u64(us, UINT64_MAX, &n))
        text_printf(out, "%llu.%03u ms", (unsigned long long)(n / 1000), (unsigned)(n % 1000));
}

static void add_url(struct arena *arena, const struct json *r, bool unmask, struct text *out)
{
    if (has(r, "method"))
        add_pair(out, "", get(r, "method"));
    else
        text_add_z(out, "no request");
    add_pair(out, " ", get(r, "scheme"));
    if (has(r, "host"))
        add_pair(out, "://", get(r, "host"));
    add_pair(out, has(r, "host") ? "" : " ", get(r, "path"));
    if (has(r, "query"))
        text_add_byte(out, '?');
    add_pair(out, "", get_masked(arena, r, "query", unmask));
    add_pair(out, " ", get(r, "protocol"));
    text_add_byte(out, '\n');
}

static void add_who(const struct json *r, struct text *out)
{
    text_add_z(out, "from");
    add_pair(out, " ", get(r, "client"));
    add_pair(out, " (", get(r, "peer"));
    add_pair(out, " to ", get(r, "local"));
    if (has(r, "peer"))
        text_add_byte(out, ')');
    add_pair(out, ", TLS ", get(r, "tls"));
    add_pair(out, " ", get(r, "cipher"));
    add_pair(out, " for ", get(r, "sni"));
    text_add_z(out, has(r, "resumed") ? ", resumed\n" : "\n");
}

/* Where the line of the configuration stands: lines are mostly shorter. */
enum { AT_COLUMN = 60 };

static void add_at(struct text *out, size_t line_at, struct str at)
{
    if (!str_empty(at)) {
        text_add_z(out, "  ");
        while (out->len - line_at < AT_COLUMN && text_ok(out))
            text_add_byte(out, ' ');
        text_add_escaped(out, at);
    }
    text_add_byte(out, '\n');
}

static void add_stages(const struct json *r, struct text *out)
{
    const struct json *stages = json_get(r, STR("stages"));
    unsigned number = 0;
    if (stages == NULL || stages->kind != JSON_ARRAY)
        return;
    for (const struct json *s = stages->first; s != NULL; s = s->next) {
        size_t line_at = out->len;
        text_printf(out, "%2u. ", ++number);
        text_add_escaped(out, get(s, "stage"));
        while (out->len - line_at < 14 && text_ok(out))
            text_add_byte(out, ' ');
        add_pair(out, "", get(s, "verdict"));
        add_pair(out, ": ", get(s, "why"));
        add_at(out, line_at, get(s, "at"));
    }
}

static void add_end(const struct json *r, struct text *out)
{
    size_t line_at = out->len;
    if (has(r, "refused_by")) {
        add_pair(out, "refused by ", get(r, "refused_by"));
        add_pair(out, " (", get(r, "refused_layer"));
        add_pair(out, "): ", get(r, "why"));
        add_at(out, line_at, get(r, "at"));
    }
    if (has(r, "origin")) {
        add_pair(out, "origin ", get(r, "origin"));
        add_pair(out, " at ", get(r, "origin_peer"));
        add_pair(out, " answered ", get(r, "origin_status"));
        if (!str_eq(get(r, "tries"), STR("1")))
            add_pair(out, ", origins tried: ", get(r, "tries"));
        text_add_byte(out, '\n');
    }
    text_add_z(out, has(r, "status") ? "answered" : "not answered");
    add_pair(out, " ", get(r, "status"));
    add_pair(out, ", ended ", get(r, "end"));
    text_add_z(out, " after ");
    add_ms(out, get(r, "total_us"));
    text_add_byte(out, '\n');
}

/* Everything that no sentence above has said. */
static void add_rest(struct arena *arena, const struct json *r, bool unmask, struct text *out)
{
    static const char *const said[] = {
        "time",   "kind",   "ref",           "client",     "peer",          "local",
        "sni",    "tls",    "cipher",        "resumed",    "protocol",      "method",
        "scheme", "host",   "path",          "query",      "status",        "stages",
        "end",    "origin", "origin_status", "refused_by", "refused_layer", "why",
        "at",     "tries",  "origin_peer",
    };
    for (const struct json *m = r->first; m != NULL; m = m->next) {
        bool told = m->kind == JSON_ARRAY || m->kind == JSON_OBJECT;
        for (size_t i = 0; i < sizeof said / sizeof said[0] && !told; i++)
            told = str_eq(m->key, str_from_z(said[i]));
        if (told)
            continue;
        text_add_z(out, "    ");
        text_add_escaped(out, m->key);
        text_add_z(out, ": ");
        if (m->kind == JSON_STRING || m->kind == JSON_NUMBER)
            text_add_escaped(out, shown(arena, m, unmask));
        else
            text_add_z(out, m->kind == JSON_TRUE ? "yes" : "no");
        text_add_byte(out, '\n');
    }
}

bool record_text_full(struct arena *arena, struct str line, bool unmask, struct text *out)
{
    const struct json *r = read_record(arena, line);
    if (r == NULL)
        return false;
    add_pair(out, "", get(r, "time"));
    add_pair(out, "  ", get(r, "ref"));
    text_add_byte(out, '\n');
    add_url(arena, r, unmask, out);
    add_who(r, out);
    add_stages(r, out);
    add_end(r, out);
    add_rest(arena, r, unmask, out);
    return true;
}

/* ---- on one line ---- */

bool record_text_line(struct arena *arena, struct str line, struct text *out)
{
    const struct json *r = read_record(arena, line);
    if (r == NULL)
        return false;
    struct str time = get(r, "time"); /* 2026-11-21T12:34:56.789Z: the day is known */
    text_add_escaped(out, time.len == 24 ? str_sub(time, 11, 12) : time);
    add_pair(out, " ", has(r, "status") ? get(r, "status") : STR("---"));
    text_add_byte(out, ' ');
    add_ms(out, get(r, "total_us"));
    add_pair(out, "  ", get(r, "client"));
    add_pair(out, "  ", has(r, "method") ? get(r, "method") : get(r, "kind"));
    add_pair(out, " ", get(r, "host"));
    add_pair(out, has(r, "host") ? "" : " ", get(r, "path"));
    if (has(r, "query"))
        text_add_byte(out, '?');
    add_pair(out, "", get_masked(arena, r, "query", false));
    add_pair(out, "  -> ", get(r, "origin"));
    add_pair(out, "  refused by ", get(r, "refused_by"));
    add_pair(out, ": ", get(r, "why"));
    if (!str_eq(get(r, "end"), STR("complete")))
        add_pair(out, "  ", get(r, "end"));
    add_pair(out, "  ", get(r, "ref"));
    text_add_byte(out, '\n');
    return true;
}
