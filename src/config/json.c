#include "config/json.h"

#include "base/arena.h"
#include "base/text.h"
#include "base/utf8.h"

#include <string.h>

struct reader {
    struct arena *arena;
    struct str text;
    size_t at;
    const char *why; /* set at the first error */
};

static struct json *read_value(struct reader *r, unsigned depth);

static void *fail(struct reader *r, const char *why)
{
    if (r->why == NULL)
        r->why = why;
    return NULL;
}

/* The byte at hand; NUL, which no JSON text holds, at the end. */
static char at_hand(const struct reader *r)
{
    return r->at < r->text.len ? r->text.at[r->at] : '\0';
}

static void skip_space(struct reader *r)
{
    while (r->at < r->text.len && strchr(" \t\r\n", r->text.at[r->at]) != NULL &&
           r->text.at[r->at] != '\0')
        r->at++;
}

static bool take(struct reader *r, char c)
{
    skip_space(r);
    if (at_hand(r) != c)
        return false;
    r->at++;
    return true;
}

static struct json *new_value(struct reader *r, enum json_kind kind, size_t len)
{
    struct json *value = ARENA_NEW(r->arena, struct json);
    if (value == NULL)
        return fail(r, "is too large");
    value->kind = kind;
    value->at = r->at;
    value->len = len;
    return value;
}

/* --- strings (section 7) ------------------------------------------------------------------------
 */

static bool take_hex4(struct reader *r, uint32_t *code)
{
    uint64_t n;
    struct str digits = str_sub(r->text, r->at, 4);
    if (digits.len != 4 || !str_to_hex64(digits, &n))
        return false;
    r->at += 4;
    *code = (uint32_t)n;
    return true;
}

static void add_utf8(struct text *out, uint32_t c)
{
    char bytes[4];
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i != 0; i--, c >>= 6)
        bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)(lead[len] | c);
    text_add(out, str_from(bytes, len));
}

/* Behind `\u`: one code unit, or a pair of surrogates. */
static bool take_unicode(struct reader *r, struct text *out)
{
    uint32_t code, low;
    if (!take_hex4(r, &code) || (code >= 0xdc00 && code <= 0xdfff))
        return false;
    if (code >= 0xd800 && code <= 0xdbff) {
        if (!str_starts(str_skip(r->text, r->at), STR("\\u")))
            return false;
        r->at += 2;
        if (!take_hex4(r, &low) || low < 0xdc00 || low > 0xdfff)
            return false;
        code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
    }
    add_utf8(out, code);
    return true;
}

static bool take_escape(struct reader *r, struct text *out)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char c = at_hand(r);
    r->at++;
    if (c == 'u')
        return take_unicode(r, out);
    const char *name = c ? strchr(names, c) : NULL;
    if (name != NULL)
        text_add_byte(out, meant[name - names]);
    return name != NULL;
}

/* The opening quote is at hand. */
static bool take_string(struct reader *r, struct str *string)
{
    struct text out = text_in(r->arena, r->text.len);
    for (r->at++; r->at < r->text.len && r->text.at[r->at] != '"';) {
        struct str rest = str_skip(r->text, r->at);
        size_t len = utf8_length(rest);
        if (len == 0 || (unsigned char)rest.at[0] < 0x20)
            return fail(r, "this byte may not stand in a string");
        if (rest.at[0] == '\\') {
            r->at++;
            if (!take_escape(r, &out))
                return fail(r, "unknown escape");
        } else {
            text_add(&out, str_sub(rest, 0, len));
            r->at += len;
        }
    }
    if (r->at >= r->text.len)
        return fail(r, "the string is not closed");
    r->at++;
    *string = text_str(&out);
    return text_ok(&out) || fail(r, "is too large");
}

static struct json *read_string(struct reader *r)
{
    struct json *value = new_value(r, JSON_STRING, 0);
    if (value == NULL || !take_string(r, &value->text))
        return NULL;
    value->len = r->at - value->at;
    return value;
}

/* --- numbers and names (sections 3 and 6) -------------------------------------------------------
 */

static size_t digits_at(const struct reader *r, size_t at)
{
    size_t n = 0;
    while (at + n < r->text.len && char_is_digit(r->text.at[at + n]))
        n++;
    return n;
}

static struct json *read_number(struct reader *r)
{
    size_t end = r->at + (at_hand(r) == '-');
    size_t whole = digits_at(r, end);
    if (whole == 0 || (whole > 1 && r->text.at[end] == '0'))
        return fail(r, "this is no value");
    end += whole;
    if (end < r->text.len && r->text.at[end] == '.') {
        size_t fraction = digits_at(r, end + 1);
        if (fraction == 0)
            return fail(r, "this is no number");
        end += 1 + fraction;
    }
    if (end < r->text.len && (r->text.at[end] == 'e' || r->text.at[end] == 'E')) {
        end++;
        end += end < r->text.len && (r->text.at[end] == '+' || r->text.at[end] == '-');
        size_t exponent = digits_at(r, end);
        if (exponent == 0)
            return fail(r, "this is no number");
        end += exponent;
    }
    struct json *value = new_value(r, JSON_NUMBER, end - r->at);
    if (value != NULL)
        value->text = str_sub(r->text, r->at, end - r->at);
    r->at = end;
    return value;
}

static struct json *read_name(struct reader *r)
{
    static const struct {
        enum json_kind kind;
        struct str name;
    } names[] = {{JSON_NULL, STR_INIT("null")},
                 {JSON_FALSE, STR_INIT("false")},
                 {JSON_TRUE, STR_INIT("true")}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!str_starts(str_skip(r->text, r->at), names[i].name))
            continue;
        struct json *value = new_value(r, names[i].kind, names[i].name.len);
        r->at += names[i].name.len;
        return value;
    }
    return read_number(r);
}

/* --- arrays and objects (sections 4 and 5) ------------------------------------------------------
 */

static void append(struct json *parent, struct json *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
}

static struct json *read_member(struct reader *r, const struct json *object, unsigned depth)
{
    struct str key;
    skip_space(r);
    size_t key_at = r->at;
    if (at_hand(r) != '"')
        return fail(r, "a key in quotes is expected");
    if (!take_string(r, &key))
        return NULL;
    if (json_get(object, key) != NULL) {
        r->at = key_at;
        return fail(r, "this key stands here a second time");
    }
    if (!take(r, ':'))
        return fail(r, "':' is expected");
    struct json *value = read_value(r, depth);
    if (value != NULL)
        value->key = key;
    return value;
}

static struct json *read_many(struct reader *r, enum json_kind kind, char close, unsigned depth)
{
    struct json *parent = new_value(r, kind, 1);
    r->at++;
    if (parent == NULL || take(r, close))
        return parent;
    do {
        struct json *child =
            kind == JSON_OBJECT ? read_member(r, parent, depth + 1) : read_value(r, depth + 1);
        if (child == NULL)
            return NULL;
        append(parent, child);
    } while (take(r, ','));
    if (!take(r, close))
        return fail(r, close == '}' ? "',' or '}' is expected" : "',' or ']' is expected");
    return parent;
}

static struct json *read_value(struct reader *r, unsigned depth)
{
    skip_space(r);
    if (depth == JSON_DEPTH_MAX)
        return fail(r, "nests too deep");
    switch (at_hand(r)) {
    case '{':
        return read_many(r, JSON_OBJECT, '}', depth);
    case '[':
        return read_many(r, JSON_ARRAY, ']', depth);
    case '"':
        return read_string(r);
    default:
        return read_name(r);
    }
}

const struct json *json_read(struct arena *arena, struct str text, const char **why, size_t *at)
{
    struct reader r = {.arena = arena, .text = text};
    struct json *value = read_value(&r, 0);
    if (value != NULL)
        skip_space(&r);
    if (value != NULL && r.at != text.len)
        value = fail(&r, "nothing may stand behind the value");
    *why = r.why;
    *at = r.at < text.len ? r.at : text.len;
    return value;
}

const struct json *json_get(const struct json *object, struct str key)
{
    for (const struct json *member = object->first; member != NULL; member = member->next)
        if (str_eq(member->key, key))
            return member;
    return NULL;
}
