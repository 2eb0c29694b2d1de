#include "proxy/template.h"

#include "base/arena.h"
#include "http/uri.h"

#include <string.h>

static const struct {
    struct str name;
    enum template_value value;
} value_names[] = {
    {STR_INIT("client"), TEMPLATE_CLIENT},
    {STR_INIT("host"), TEMPLATE_HOST},
    {STR_INIT("scheme"), TEMPLATE_SCHEME},
    {STR_INIT("method"), TEMPLATE_METHOD},
    {STR_INIT("path"), TEMPLATE_PATH},
    {STR_INIT("query"), TEMPLATE_QUERY},
    {STR_INIT("request_id"), TEMPLATE_REQUEST_ID},
};

enum { VALUE_NAMES = sizeof value_names / sizeof value_names[0] };

/* ---- compiling ---- */

/* How many bytes behind a `$` are its name: a run of letters, digits and '_'. */
static size_t name_len(struct str s)
{
    size_t len = 0;
    while (len < s.len &&
           (char_is_alpha(s.at[len]) || char_is_digit(s.at[len]) || s.at[len] == '_'))
        len++;
    return len;
}

static bool value_of_name(struct str name, struct template_piece *piece)
{
    if (name.len == 1 && name.at[0] >= '1' && name.at[0] <= '9') {
        *piece = (struct template_piece){TEMPLATE_GROUP, (unsigned)(name.at[0] - '0'), {0}};
        return true;
    }
    for (size_t i = 0; i < VALUE_NAMES; i++)
        if (str_eq(name, value_names[i].name)) {
            *piece = (struct template_piece){.value = value_names[i].value};
            return true;
        }
    return false;
}

/*
 * Takes the next piece from `*rest`. False for an unknown value; `*taken` is then its length with
 * the `$`.
 */
static bool next_piece(struct str *rest, bool with_rest, struct template_piece *piece,
                       size_t *taken)
{
    struct str s = *rest;
    if (s.at[0] == '$' && s.len > 1 && s.at[1] == '$') {
        *piece = (struct template_piece){.value = TEMPLATE_TEXT, .text = str_sub(s, 0, 1)};
        *rest = str_skip(s, 2);
        return true;
    }
    if (s.at[0] == '$') {
        size_t len = name_len(str_skip(s, 1));
        *taken = len + 1;
        *rest = str_skip(s, len + 1);
        return value_of_name(str_sub(s, 1, len), piece);
    }
    if (with_rest && s.len == 1 && s.at[0] == '*') {
        *piece = (struct template_piece){.value = TEMPLATE_REST};
        *rest = str_skip(s, 1);
        return true;
    }
    size_t len = str_find_byte(s, '$');
    if (len == SIZE_MAX)
        len = with_rest && s.at[s.len - 1] == '*' ? s.len - 1 : s.len;
    *piece = (struct template_piece){.value = TEMPLATE_TEXT, .text = str_sub(s, 0, len)};
    *rest = str_skip(s, len);
    return true;
}

bool template_compile(struct arena *arena, struct str text, bool with_rest, struct template *out,
                      size_t *at, size_t *len)
{
    *out = (struct template){0};
    *at = *len = 0;
    size_t most = 1;
    for (size_t i = 0; i < text.len; i++) /* each `$` ends a piece and begins one */
        most += text.at[i] == '$' ? 2 : 0;
    out->pieces = arena_array(arena, most + 1, sizeof *out->pieces);
    struct str copy = str_dup(arena, text);
    if (out->pieces == NULL || copy.at == NULL)
        return false;
    for (struct str rest = copy; rest.len != 0;) {
        *at = copy.len - rest.len;
        if (!next_piece(&rest, with_rest, &out->pieces[out->count], len))
            return false;
        out->count++;
    }
    return true;
}

bool template_uses(const struct template *t, enum template_value value)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->pieces[i].value == value)
            return true;
    return false;
}

/* ---- expanding ---- */

static struct str value_text(const struct template_piece *piece, const struct template_values *v)
{
    switch (piece->value) {
    case TEMPLATE_TEXT:
        return piece->text;
    case TEMPLATE_CLIENT:
        return v->client;
    case TEMPLATE_HOST:
        return v->host;
    case TEMPLATE_SCHEME:
        return v->scheme;
    case TEMPLATE_METHOD:
        return v->method;
    case TEMPLATE_PATH:
        return v->path;
    case TEMPLATE_QUERY:
        return v->query;
    case TEMPLATE_REQUEST_ID:
        return v->request_id;
    case TEMPLATE_GROUP:
        return v->groups ? v->groups[piece->group] : (struct str){0};
    case TEMPLATE_REST:
        return v->rest;
    }
    return (struct str){0};
}

/* RFC 9110 5.5: a field value holds no control byte but HTAB. */
static void add_in_header(struct text *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if ((c >= 0x20 && c != 0x7f) || c == '\t')
            text_add_byte(out, s.at[i]);
    }
}

static void add_in_url(struct text *out, enum template_value value, struct str s, bool in_query)
{
    if (value == TEMPLATE_HOST && !in_query)
        uri_add_encoded(out, URI_HOST, s);
    else if (value == TEMPLATE_QUERY && in_query)
        uri_add_encoded(out, URI_RAW_QUERY, s);
    else
        uri_add_encoded(out, in_query ? URI_QUERY_VALUE : URI_PATH, s);
}

/*
 * A Location that begins with `//` names a host, and browsers read `/\` the same way: only the file
 * may say so.
 */
static void collapse_slashes(const struct template *t, struct text *out, size_t start)
{
    struct str first =
        t->count && t->pieces[0].value == TEMPLATE_TEXT ? t->pieces[0].text : (struct str){0};
    if (str_starts(first, STR("//")))
        return;
    struct str url = str_skip(text_str(out), start);
    size_t slashes = 0;
    while (slashes < url.len && url.at[slashes] == '/')
        slashes++;
    if (slashes < 2)
        return;
    memmove(out->at + start, out->at + start + slashes - 1, url.len - slashes + 1);
    out->len -= slashes - 1;
}

/* White space at the ends of a field value is not part of it (RFC 9110 5.5). */
static void trim_header(struct text *out, size_t start)
{
    struct str all = str_skip(text_str(out), start);
    struct str trimmed = str_trim(all);
    if (trimmed.len == all.len)
        return;
    if (trimmed.len != 0)
        memmove(out->at + start, trimmed.at, trimmed.len);
    out->len = start + trimmed.len;
}

static void add_value(struct text *out, enum template_place place, enum template_value value,
                      struct str s, bool in_query)
{
    switch (place) {
    case TEMPLATE_IN_HEADER:
        add_in_header(out, s);
        break;
    case TEMPLATE_IN_URL:
        add_in_url(out, value, s, in_query);
        break;
    case TEMPLATE_IN_PATH:
        text_add(out, s);
        break;
    case TEMPLATE_IN_TEXT:
        text_add_escaped(out, s);
        break;
    case TEMPLATE_IN_HTML:
        text_add_html(out, s);
        break;
    }
}

void template_expand(const struct template *t, const struct template_values *values,
                     enum template_place place, struct text *out)
{
    size_t start = out->len;
    bool in_query = false;
    for (size_t i = 0; i < t->count; i++) {
        const struct template_piece *piece = &t->pieces[i];
        struct str s = value_text(piece, values);
        if (piece->value == TEMPLATE_TEXT) {
            text_add(out, s);
            in_query = in_query || str_find_byte(s, '?') != SIZE_MAX;
        } else {
            add_value(out, place, piece->value, s, in_query);
        }
    }
    if (place == TEMPLATE_IN_URL)
        collapse_slashes(t, out, start);
    else if (place == TEMPLATE_IN_HEADER)
        trim_header(out, start);
}
