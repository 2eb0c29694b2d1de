#include "http/h1_chunked.h"

#include "http/grammar.h"

/* Where the next byte belongs. The grammar of each stands at its case in step(). */
enum state {
    SIZE,
    EXT_NAME_START,
    EXT_NAME,
    EXT_VALUE_START,
    EXT_VALUE,
    EXT_QUOTED,
    EXT_ESCAPED,
    EXT_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    ENDED,
    BROKEN,
};

void h1_chunked_init(struct h1_chunked *chunked, const struct head_limits *limits,
                     struct message *trailers)
{
    *chunked = (struct h1_chunked){.limits = limits, .trailers = trailers};
    if (trailers != NULL)
        chunked->section = text_in(trailers->arena, limits->size_bytes_max);
}

bool h1_trailer_forbidden(enum header_id id)
{
    switch (id) {
    case HEADER_CONTENT_LENGTH:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_HOST:
    case HEADER_CONNECTION:
    case HEADER_KEEP_ALIVE:
    case HEADER_PROXY_CONNECTION:
    case HEADER_TRAILER:
    case HEADER_TE:
    case HEADER_UPGRADE:
        return true;
    default:
        return false;
    }
}

static const char BAD_END[] = "a chunk line does not end with CRLF";

/* Moves on when `c` is the byte that must stand here. */
static enum parse expect(struct h1_chunked *chunked, char c, char wanted, enum state next,
                         struct parse_error *error)
{
    if (c != wanted)
        return parse_bad(error, 400, BAD_END);
    chunked->state = (uint8_t)next;
    return PARSE_MORE;
}

/* chunk-size = 1*HEXDIG, behind it `;` or CR */
static enum parse step_size(struct h1_chunked *chunked, char c, struct parse_error *error)
{
    int digit = char_hex(c);
    if (digit < 0) {
        if (chunked->digits == 0)
            return parse_bad(error, 400, "a chunk without a size");
        if (c == ';') {
            chunked->state = EXT_NAME_START;
            return PARSE_MORE;
        }
        return expect(chunked, c, '\r', SIZE_LF, error);
    }
    if (++chunked->digits > 16)
        return parse_bad(error, 400, "a chunk size of too many digits");
    chunked->left = chunked->left << 4 | (uint64_t)digit;
    if (chunked->left > INT64_MAX)
        return parse_bad(error, 400, "a chunk size that is too large");
    return PARSE_MORE;
}

/* Behind a name or a value: another extension or the end of the line. */
static enum parse step_ext_end(struct h1_chunked *chunked, char c, struct parse_error *error)
{
    if (c == ';') {
        chunked->state = EXT_NAME_START;
        return PARSE_MORE;
    }
    return expect(chunked, c, '\r', SIZE_LF, error);
}

/* chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] ) (RFC 9112 7.1.1), without BWS */
static enum parse step_ext(struct h1_chunked *chunked, char c, struct parse_error *error)
{
    bool token = grammar_is(c, GRAMMAR_TOKEN);
    if (++chunked->ext_bytes > H1_CHUNK_EXT_BYTES_MAX)
        return parse_bad(error, 400, "too many bytes of chunk extensions");
    switch ((enum state)chunked->state) {
    case EXT_NAME_START:
    case EXT_VALUE_START:
        if (chunked->state == EXT_VALUE_START && c == '"')
            chunked->state = EXT_QUOTED;
        else if (token)
            chunked->state++; /* EXT_NAME, EXT_VALUE */
        else
            return parse_bad(error, 400, "a chunk extension is not valid");
        return PARSE_MORE;
    case EXT_NAME:
        if (c == '=')
            chunked->state = EXT_VALUE_START;
        else if (!token)
            return step_ext_end(chunked, c, error);
        return PARSE_MORE;
    case EXT_VALUE:
        return token ? PARSE_MORE : step_ext_end(chunked, c, error);
    case EXT_QUOTED:
    case EXT_ESCAPED:
        if (!grammar_is(c, GRAMMAR_TEXT))
            return parse_bad(error, 400, "a chunk extension is not valid");
        if (chunked->state == EXT_ESCAPED)
            chunked->state = EXT_QUOTED;
        else if (c == '"')
            chunked->state = EXT_END;
        else if (c == '\\')
            chunked->state = EXT_ESCAPED;
        return PARSE_MORE;
    default:
        return step_ext_end(chunked, c, error);
    }
}

/* Behind the line of a size: data, or the trailer section behind the last chunk. */
static enum parse step_size_lf(struct h1_chunked *chunked, char c, struct parse_error *error)
{
    chunked->digits = 0;
    return expect(chunked, c, '\n', chunked->left == 0 ? TRAILER_START : DATA, error);
}

/* The first byte of a line of the trailer section: CR of its end, or of a name. */
static enum parse step_trailer_start(struct h1_chunked *chunked, char c, struct parse_error *error)
{
    if (c == '\r') {
        chunked->state = LAST_LF;
        return PARSE_MORE;
    }
    if (!grammar_is(c, GRAMMAR_TOKEN))
        return parse_bad(error, 400, "a trailer without a name");
    if (++chunked->fields > chunked->limits->fields_max)
        return parse_bad(error, 431, "more trailers than the limit");
    chunked->state = TRAILER_NAME;
    chunked->line_bytes = 1;
    chunked->name[0] = c;
    chunked->name_len = 1;
    return PARSE_MORE;
}

static enum parse step_trailer_name(struct h1_chunked *chunked, char c, struct parse_error *error)
{
    if (c == ':') {
        struct str name = str_from(chunked->name, chunked->name_len);
        if (chunked->name_len < sizeof chunked->name && h1_trailer_forbidden(header_lookup(name)))
            return parse_bad(error, 400, "a field that must not stand in a trailer section");
        chunked->state = TRAILER_VALUE;
        return PARSE_MORE;
    }
    if (!grammar_is(c, GRAMMAR_TOKEN))
        return parse_bad(error, 400, "a byte in a trailer's name that may not stand there");
    /* A name that fills the array is longer than every forbidden one. */
    if (chunked->name_len < sizeof chunked->name)
        chunked->name[chunked->name_len++] = c;
    return PARSE_MORE;
}

/* One byte of the trailer section, under the limits of a head. */
static enum parse step_trailer(struct h1_chunked *chunked, char c, struct parse_error *error)
{
    if (++chunked->section_bytes > chunked->limits->size_bytes_max)
        return parse_bad(error, 431, "the trailer section is larger than the limit");
    if (chunked->trailers != NULL)
        text_add_byte(&chunked->section, c);
    switch ((enum state)chunked->state) {
    case TRAILER_START:
        return step_trailer_start(chunked, c, error);
    case TRAILER_LF:
        return expect(chunked, c, '\n', TRAILER_START, error);
    case LAST_LF:
        return expect(chunked, c, '\n', ENDED, error);
    default:
        break;
    }
    if (c == '\r' && chunked->state == TRAILER_VALUE) {
        chunked->state = TRAILER_LF;
        return PARSE_MORE;
    }
    if (++chunked->line_bytes > chunked->limits->line_bytes_max)
        return parse_bad(error, 431, "a trailer is longer than the limit");
    if (chunked->state == TRAILER_NAME)
        return step_trailer_name(chunked, c, error);
    if (!grammar_is(c, GRAMMAR_TEXT))
        return parse_bad(error, 400, "a control byte in a trailer");
    return PARSE_MORE;
}

/* One byte that is not of the body. */
static enum parse step(struct h1_chunked *chunked, char c, struct parse_error *error)
{
    switch ((enum state)chunked->state) {
    case SIZE:
        return step_size(chunked, c, error);
    case SIZE_LF:
        return step_size_lf(chunked, c, error);
    case DATA_CR:
        return expect(chunked, c, '\r', DATA_LF, error);
    case DATA_LF:
        return expect(chunked, c, '\n', SIZE, error);
    case TRAILER_START:
    case TRAILER_NAME:
    case TRAILER_VALUE:
    case TRAILER_LF:
    case LAST_LF:
        return step_trailer(chunked, c, error);
    default:
        return step_ext(chunked, c, error);
    }
}

/* The section is whole and was checked byte by byte: reading it again only makes the entries. */
static enum parse finish(struct h1_chunked *chunked, struct parse_error *error)
{
    if (chunked->trailers == NULL || chunked->fields == 0)
        return PARSE_DONE;
    if (!text_ok(&chunked->section))
        return parse_bad(error, 431, "no room for the trailers");
    return h1_parse_fields(text_str(&chunked->section), chunked->limits, chunked->trailers, error);
}

static struct str take_data(struct h1_chunked *chunked, struct str *in)
{
    size_t len = chunked->left < in->len ? (size_t)chunked->left : in->len;
    struct str data = str_sub(*in, 0, len);
    *in = str_skip(*in, len);
    chunked->left -= len;
    if (chunked->left == 0)
        chunked->state = DATA_CR;
    return data;
}

enum parse h1_chunked_feed(struct h1_chunked *chunked, struct str *in, struct str *data,
                           struct parse_error *error)
{
    *data = (struct str){.at = "", .len = 0};
    if (chunked->state == BROKEN)
        return parse_bad(error, 400, "the body is broken already");
    while (in->len != 0 && chunked->state != ENDED) {
        if (chunked->state == DATA) {
            *data = take_data(chunked, in);
            return PARSE_MORE;
        }
        enum parse result = step(chunked, in->at[0], error);
        if (result == PARSE_MORE && chunked->state == ENDED)
            result = finish(chunked, error);
        if (result == PARSE_BAD)
            chunked->state = BROKEN;
        else
            *in = str_skip(*in, 1);
        if (result != PARSE_MORE)
            return result;
    }
    return chunked->state == ENDED ? PARSE_DONE : PARSE_MORE;
}

void h1_chunk_head(struct text *out, uint64_t len)
{
    char digits[16];
    size_t at = sizeof digits;
    for (uint64_t n = len; n != 0; n >>= 4)
        digits[--at] = "0123456789abcdef"[n & 15];
    if (len == 0)
        return;
    text_add(out, str_from(digits + at, sizeof digits - at));
    text_add(out, STR("\r\n"));
}

void h1_chunk_tail(struct text *out)
{
    text_add(out, STR("\r\n"));
}

static bool write_trailer(struct text *out, const struct field *field)
{
    if (!header_name_ok(field->name) || !header_value_ok(field->value) ||
        h1_trailer_forbidden((enum header_id)field->id))
        return false;
    text_add(out, field->name);
    text_add(out, STR(": "));
    text_add(out, field->value);
    text_add(out, STR("\r\n"));
    return true;
}

bool h1_chunk_end(struct text *out, const struct message *trailers)
{
    struct text before = *out;
    text_add(out, STR("0\r\n"));
    bool ok = true;
    for (uint32_t i = 0; ok && trailers != NULL && i < trailers->count; i++)
        if ((trailers->fields[i].flags & FIELD_REMOVED) == 0)
            ok = write_trailer(out, &trailers->fields[i]);
    text_add(out, STR("\r\n"));
    if (ok && text_ok(out))
        return true;
    out->len = before.len;
    out->cut = before.cut;
    return false;
}
