#include "http/uri.h"

#include "http/grammar.h"

#include <arpa/inet.h>
#include <string.h>

/* --- the target's parts ----------------------------------------------------------------------- */

/* Steps over "http://authority" of absolute-form (RFC 9112 3.2.2). */
static bool take_authority(struct str *rest, struct uri *uri)
{
    size_t scheme = str_starts_nocase(*rest, STR("http://"))    ? 7
                    : str_starts_nocase(*rest, STR("https://")) ? 8
                                                                : 0;
    size_t end = scheme;
    while (end < rest->len && rest->at[end] != '/' && rest->at[end] != '?')
        end++;
    uri->authority = str_sub(*rest, scheme, end - scheme);
    *rest = str_skip(*rest, end);
    return scheme != 0 && uri->authority.len != 0;
}

static bool split_target(struct str target, struct uri *uri)
{
    if (target.len == 0)
        return false;
    if (target.at[0] != '/' && !take_authority(&target, uri))
        return false;
    size_t mark = str_find_byte(target, '?');
    uri->raw_path = str_sub(target, 0, mark);
    uri->has_query = mark != SIZE_MAX;
    if (uri->has_query)
        uri->query = str_skip(target, mark + 1);
    return true;
}

/* --- the canonical path ----------------------------------------------------------------------- */

/*
 * The next piece of the canonical path: a run of slashes as one, a triplet decoded or `%2f`, or a
 * plain byte. Moves `*at` behind it. 0 for an invalid triplet. Decoding and cutting both walk with
 * this, so that they cannot disagree.
 */
static size_t take_piece(struct str raw, size_t *at, char piece[3])
{
    char c = raw.at[(*at)++];
    piece[0] = c;
    if (c == '/') {
        while (*at < raw.len && raw.at[*at] == '/')
            (*at)++;
        return 1;
    }
    if (c != '%')
        return 1;
    if (raw.len - *at < 2)
        return 0;
    int high = char_hex(raw.at[*at]), low = char_hex(raw.at[*at + 1]);
    if (high < 0 || low < 0)
        return 0;
    *at += 2;
    piece[0] = (char)(unsigned char)(high << 4 | low);
    if (piece[0] != '/')
        return 1;
    piece[0] = '%';
    piece[1] = '2';
    piece[2] = 'f';
    return 3;
}

/* Where the segment that begins at `from` ends: at '/', at `%2f` or with the path. */
static size_t segment_end(struct str path, size_t from)
{
    size_t i = from;
    while (i < path.len && path.at[i] != '/' && !str_starts(str_skip(path, i), STR("%2f")))
        i++;
    return i;
}

/* "." or "..", whatever path parameters follow (RFC 3986 3.3, 5.2.4). */
static bool is_dot_segment(struct str segment)
{
    segment = str_sub(segment, 0, str_find_byte(segment, ';'));
    return str_eq(segment, STR(".")) || str_eq(segment, STR(".."));
}

const char *uri_path_fault(struct str path)
{
    if (path.len == 0 || path.at[0] != '/')
        return "the path does not begin with a slash";
    if (str_find_byte(path, '\0') != SIZE_MAX)
        return "a NUL byte in the path";
    if (str_find_byte(path, '\\') != SIZE_MAX)
        return "a backslash in the path";
    if (str_find_byte(path, '.') == SIZE_MAX)
        return NULL;
    for (size_t from = 1; from <= path.len;) {
        size_t end = segment_end(path, from);
        if (is_dot_segment(str_sub(path, from, end - from)))
            return "a dot segment in the path";
        from = end + (end < path.len && path.at[end] == '%' ? 3 : 1);
    }
    return NULL;
}

static bool is_canonical(struct str raw)
{
    return str_find_byte(raw, '%') == SIZE_MAX && str_find(raw, STR("//")) == SIZE_MAX;
}

/*
 * A '%' that a second decoding would take, path parameters, a mark that would end the path, or what
 * may begin an overlong form of UTF-8: bytes that make origins read one path in several ways.
 */
static bool is_read_differently(char c)
{
    unsigned char byte = (unsigned char)c;
    return c == '%' || c == ';' || c == '?' || c == '#' || (byte & 0xfe) == 0xc0 || byte == 0xe0 ||
           byte == 0xf0;
}

/* Of a decoded path; in a raw one none may stand (GRAMMAR_TARGET). */
static bool has_control_byte(struct str path)
{
    size_t i = 0;
    while (i < path.len && (unsigned char)path.at[i] >= 0x20 && path.at[i] != 0x7f)
        i++;
    return i < path.len;
}

static bool has_readings(struct str path)
{
    size_t i = 0;
    while (i < path.len && !is_read_differently(path.at[i]))
        i++;
    return i < path.len;
}

static enum parse decode_path(struct arena *arena, struct uri *uri, struct parse_error *error)
{
    struct str raw = uri->raw_path;
    if (raw.len == 0)
        uri->path = STR("/");
    else if (is_canonical(raw)) {
        uri->path = raw;
        /* no other may stand there raw */
        uri->readings = str_find_byte(raw, ';') != SIZE_MAX ? URI_READ_BYTES : 0;
    } else {
        char *memory = arena_alloc(arena, raw.len);
        if (memory == NULL)
            return parse_bad(error, 431, "no room for the path");
        struct text path = text_over(memory, raw.len); /* no piece is longer than its source */
        for (size_t at = 0; at < raw.len;) {
            char piece[3];
            size_t len = take_piece(raw, &at, piece);
            if (len == 0)
                return parse_bad(error, 400, "an invalid percent-encoding in the path");
            text_add(&path, str_from(piece, len));
        }
        uri->path = text_str(&path);
        uri->readings = (has_readings(uri->path) ? URI_READ_BYTES : 0) |
                        (str_starts(raw, STR("//")) ? URI_READ_HOST : 0);
        if (has_control_byte(uri->path))
            return parse_bad(error, 400, "an encoded control byte in the path");
    }
    const char *fault = uri_path_fault(uri->path);
    return fault ? parse_bad(error, 400, fault) : PARSE_DONE;
}

enum parse uri_parse(struct arena *arena, struct str target, struct uri *uri,
                     struct parse_error *error)
{
    *uri = (struct uri){0};
    if (!grammar_all(target, GRAMMAR_TARGET))
        return parse_bad(error, 400, "a byte in the target that may not stand there");
    if (str_eq(target, STR("*"))) {
        uri->raw_path = uri->path = target;
        return PARSE_DONE;
    }
    if (!split_target(target, uri))
        return parse_bad(error, 400, "the target has no form that is served");
    return decode_path(arena, uri, error);
}

size_t uri_raw_offset(struct str raw_path, size_t canonical_bytes)
{
    size_t at = 0;
    char piece[3];
    for (size_t done = 0; done < canonical_bytes && at < raw_path.len;) {
        size_t len = take_piece(raw_path, &at, piece);
        done += len ? len : 1;
    }
    return at;
}

/* --- back to text ----------------------------------------------------------------------------- */

static void add_query(struct text *out, const struct uri *uri)
{
    if (!uri->has_query)
        return;
    text_add_byte(out, '?');
    text_add(out, uri->query);
}

void uri_add_target(struct text *out, const struct uri *uri)
{
    text_add(out, uri->raw_path.len ? uri->raw_path : STR("/"));
    add_query(out, uri);
}

void uri_add_stripped(struct text *out, const struct uri *uri, size_t canonical_bytes)
{
    struct str rest = str_skip(uri->raw_path, uri_raw_offset(uri->raw_path, canonical_bytes));
    while (rest.len && rest.at[0] == '/')
        rest = str_skip(rest, 1);
    text_add_byte(out, '/');
    text_add(out, rest);
    add_query(out, uri);
}

/* pchar and '/' (RFC 3986 3.3); the apostrophe is left out for those who paste it into HTML. */
static const char PATH_KEEP[] = "/!$&()*+,;=:@";

static void add_path(struct text *out, struct str value)
{
    while (value.len != 0) {
        if (str_starts(value, STR("%2f"))) {
            text_add(out, STR("%2f"));
            value = str_skip(value, 3);
            continue;
        }
        text_add_percent(out, str_sub(value, 0, 1), PATH_KEEP);
        value = str_skip(value, 1);
    }
}

/* An IPv6 address stands in brackets in a URL, whether or not it came in them (RFC 3986 3.2.2). */
static void add_host(struct text *out, struct str value)
{
    bool bracketed = value.len > 2 && value.at[0] == '[' && value.at[value.len - 1] == ']';
    struct str inner = bracketed ? str_sub(value, 1, value.len - 2) : value;
    char z[INET6_ADDRSTRLEN] = "";
    unsigned char ip[16];
    if (inner.len < sizeof z && inner.len != 0)
        memcpy(z, inner.at, inner.len);
    if (strlen(z) != inner.len || inet_pton(AF_INET6, z, ip) != 1) {
        text_add_percent(out, value, "");
        return;
    }
    text_add_byte(out, '[');
    text_add(out, inner);
    text_add_byte(out, ']');
}

void uri_add_encoded(struct text *out, enum uri_place place, struct str value)
{
    switch (place) {
    case URI_PATH:
        add_path(out, value);
        break;
    case URI_RAW_QUERY: /* '"', '<', '>', '\' and '`' are no query bytes, though browsers send some
                         */
        text_add_percent(out, value, "%/?!$&'()*+,;=:@[]{}|^");
        break;
    case URI_HOST:
        add_host(out, value);
        break;
    case URI_QUERY_VALUE:
    default:
        text_add_percent(out, value, "");
    }
}
