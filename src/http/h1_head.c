#include "http/h1_head.h"

#include "http/authority.h"
#include "http/grammar.h"

/* The longest registered method has 17 bytes; the rest is room for private ones. */
enum { METHOD_BYTES_MAX = 32 };
/* INT64_MAX has 19 digits: sums of lengths stay far from overflow. */
enum { LENGTH_DIGITS_MAX = 19 };

/* --- the end of the head ---------------------------------------------------------------------- */

static enum parse too_long(const struct h1_scan *scan, struct parse_error *error)
{
    if (!scan->in_fields)
        return parse_bad(error, 414, "the first line is longer than the limit");
    return parse_bad(error, 431, "a field line is longer than the limit");
}

/* The first byte of a line, which is not the CR of an empty one. */
static enum parse scan_line_start(struct h1_scan *scan, char first,
                                  const struct head_limits *limits, struct parse_error *error)
{
    if (!scan->in_fields)
        return PARSE_DONE;
    if (first == ' ' || first == '\t')
        return parse_bad(error, 400, "a folded field line");
    if (++scan->fields > limits->fields_max)
        return parse_bad(error, 431, "more fields than the limit");
    return PARSE_DONE;
}

/* A method (token), or HTTP-version, which has a '/' besides: the first word of either head. */
static enum parse scan_first_word(struct h1_scan *scan, struct str view, struct parse_error *error)
{
    for (; scan->at < view.len; scan->at++) {
        char c = view.at[scan->at];
        if (c == ' ' && scan->at > scan->line) {
            scan->word_done = true;
            return PARSE_DONE;
        }
        if (!grammar_is(c, GRAMMAR_TOKEN) && c != '/')
            return parse_bad(error, 400, "the first line does not begin with a method");
        if (scan->at - scan->line == METHOD_BYTES_MAX)
            return parse_bad(error, 501, "the method is too long");
    }
    return PARSE_MORE;
}

/* The byte at `at` is no text: the CR of a line's end, or an error. MORE while the LF is missing.
 */
static enum parse scan_line_end(struct h1_scan *scan, struct str view, struct parse_error *error)
{
    char c = view.at[scan->at];
    if (c == '\n')
        return parse_bad(error, 400, "a bare LF in the head");
    if (c == '\0')
        return parse_bad(error, 400, "a NUL byte in the head");
    if (c != '\r')
        return parse_bad(error, 400, "a control byte in the head");
    if (scan->at + 1 == view.len)
        return PARSE_MORE;
    if (view.at[scan->at + 1] != '\n')
        return parse_bad(error, 400, "a bare CR in the head");
    return PARSE_DONE;
}

/* Steps over the CRLF at `at`. DONE when it was the empty line that ends the head. */
static enum parse scan_next_line(struct h1_scan *scan, struct parse_error *error)
{
    bool empty = scan->at == scan->line;
    scan->at += 2;
    scan->line = scan->at;
    if (empty && scan->in_fields)
        return PARSE_DONE;
    if (empty && scan->skipped_empty)
        return parse_bad(error, 400, "empty lines before the first line");
    if (empty)
        scan->skipped_empty = true;
    else
        scan->in_fields = true;
    return PARSE_MORE;
}

/* One line, or what there is of it. MORE with `at` moved: go on; with nothing left: wait. */
static enum parse scan_line(struct h1_scan *scan, struct str view, const struct head_limits *limits,
                            struct parse_error *error)
{
    bool is_empty = scan->at == scan->line && view.at[scan->at] == '\r';
    enum parse result = PARSE_DONE;
    if (scan->at == scan->line && !is_empty)
        result = scan_line_start(scan, view.at[scan->at], limits, error);
    if (result == PARSE_DONE && !is_empty && !scan->in_fields && !scan->word_done)
        result = scan_first_word(scan, view, error);
    if (result != PARSE_DONE)
        return result;
    /* One byte more than the limit decides, whatever follows it. */
    size_t room = limits->line_bytes_max + (size_t)1 - (scan->at - scan->line);
    scan->at += grammar_text_len(str_sub(view, scan->at, room));
    if (scan->at - scan->line > limits->line_bytes_max)
        return too_long(scan, error);
    if (scan->at == view.len)
        return PARSE_MORE;
    result = scan_line_end(scan, view, error);
    return result == PARSE_DONE ? scan_next_line(scan, error) : result;
}

enum parse h1_scan_head(struct h1_scan *scan, struct str so_far, const struct head_limits *limits,
                        size_t *head_bytes, struct parse_error *error)
{
    struct str view = str_sub(so_far, 0, limits->size_bytes_max);
    while (scan->at < view.len) {
        size_t line = scan->line;
        enum parse result = scan_line(scan, view, limits, error);
        if (result == PARSE_DONE)
            *head_bytes = scan->at;
        if (result != PARSE_MORE)
            return result;
        if (scan->line == line)
            break; /* the line is not whole */
    }
    if (so_far.len <= limits->size_bytes_max)
        return PARSE_MORE;
    if (!scan->in_fields)
        return parse_bad(error, 414, "the first line is longer than the limit of the head");
    return parse_bad(error, 431, "the head is larger than the limit");
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Takes a line with its CRLF from `*rest`. False: no whole line of text. */
static bool take_line(struct str *rest, struct str *line)
{
    size_t end = grammar_text_len(*rest);
    if (rest->len - end < 2 || rest->at[end] != '\r' || rest->at[end + 1] != '\n')
        return false;
    *line = str_sub(*rest, 0, end);
    *rest = str_skip(*rest, end + 2);
    return true;
}

/* field-line = field-name ":" OWS field-value OWS (RFC 9112 5) */
static enum parse parse_field(struct str line, struct message *message, struct parse_error *error)
{
    size_t name = 0;
    while (name < line.len && grammar_is(line.at[name], GRAMMAR_TOKEN))
        name++;
    if (name == 0)
        return parse_bad(error, 400,
                         line.at[0] == ':' ? "an empty field name" : "a field line without a name");
    if (name == line.len || line.at[name] != ':')
        return parse_bad(error, 400, "a byte in a field name that may not stand there");
    if (!message_push(message, str_sub(line, 0, name), str_trim(str_skip(line, name + 1))))
        return parse_bad(error, 431, "no room for more fields");
    return PARSE_DONE;
}

enum parse h1_parse_fields(struct str section, const struct head_limits *limits,
                           struct message *message, struct parse_error *error)
{
    struct str line;
    for (uint32_t fields = 0; take_line(&section, &line); fields++) {
        if (line.len == 0 && section.len == 0)
            return PARSE_DONE;
        if (line.len == 0)
            return parse_bad(error, 400, "bytes behind the end of the fields");
        if (fields == limits->fields_max)
            return parse_bad(error, 431, "more fields than the limit");
        if (parse_field(line, message, error) == PARSE_BAD)
            return PARSE_BAD;
    }
    return parse_bad(error, 400, "a control byte or a bare line end in the fields");
}

/* HTTP-version = "HTTP/" DIGIT "." DIGIT (RFC 9112 2.3) */
static enum parse parse_version(struct str s, struct message *message, struct parse_error *error)
{
    if (s.len != 8 || !str_starts(s, STR("HTTP/")) || !char_is_digit(s.at[5]) || s.at[6] != '.' ||
        !char_is_digit(s.at[7]))
        return parse_bad(error, 400, "the first line names no HTTP version");
    if (s.at[5] != '1')
        return parse_bad(error, 505, "an HTTP version other than 1.0 and 1.1");
    message->version = s.at[7] == '0' ? 10 : 11;
    return PARSE_DONE;
}

/* --- what the fields say of the message's length and end ----------------------------------------
 */

/* One name's fields: how many, and the first. */
struct found {
    unsigned count;
    struct str value;
};

/* The fields that say where the message ends and for whom it is, found in one walk. */
struct found_fields {
    struct found length, coding, host;
    bool has_close, has_keep_alive;
    bool other_expectation, expect_continue;
};

static void note(struct found *found, struct str value)
{
    if (found->count++ == 0)
        found->value = value;
}

static void find_fields(const struct message *message, struct found_fields *found)
{
    *found = (struct found_fields){0};
    for (uint32_t i = 0; i < message->count; i++) {
        struct str value = message->fields[i].value;
        switch (message->fields[i].id) {
        case HEADER_CONTENT_LENGTH:
            note(&found->length, value);
            break;
        case HEADER_TRANSFER_ENCODING:
            note(&found->coding, value);
            break;
        case HEADER_HOST:
            note(&found->host, value);
            break;
        case HEADER_CONNECTION:
            found->has_close |= header_list_has(value, STR("close"));
            found->has_keep_alive |= header_list_has(value, STR("keep-alive"));
            break;
        case HEADER_EXPECT:
            if (str_eq_nocase(value, STR("100-continue")))
                found->expect_continue = true;
            else
                found->other_expectation = true;
            break;
        default:
            break;
        }
    }
}

static enum parse parse_content_length(struct message *message, const struct found *length,
                                       struct parse_error *error)
{
    struct str value = length->value;
    if (length->count == 0)
        return PARSE_DONE;
    if (length->count > 1)
        return parse_bad(error, 400, "more than one Content-Length");
    if (value.len > LENGTH_DIGITS_MAX || !str_to_u64(value, INT64_MAX, &message->content_length))
        return parse_bad(error, 400, "Content-Length is not a number");
    message->has_content_length = true;
    return PARSE_DONE;
}

/* The codings are tokens, the last is `chunked` and no other is: well formed, but not supported. */
static bool is_coded_and_chunked(struct str value)
{
    struct str coding;
    bool chunked = false;
    unsigned count = 0;
    for (; str_split(&value, ',', &coding); count++) {
        coding = str_trim(coding);
        if (chunked || !grammar_token(coding) || str_eq_nocase(coding, STR("identity")))
            return false;
        chunked = str_eq_nocase(coding, STR("chunked"));
    }
    return chunked && count > 1;
}

/* DONE with BODY_CHUNKED set, or without the field. */
static enum parse parse_transfer_encoding(struct message *message, const struct found *coding,
                                          struct parse_error *error)
{
    struct str value = coding->value;
    if (coding->count == 0)
        return PARSE_DONE;
    if (coding->count > 1)
        return parse_bad(error, 400, "more than one Transfer-Encoding");
    if (message->version == 10)
        return parse_bad(error, 400, "Transfer-Encoding in HTTP/1.0");
    if (message->has_content_length)
        return parse_bad(error, 400, "Transfer-Encoding beside Content-Length");
    if (!str_eq_nocase(value, STR("chunked")))
        return is_coded_and_chunked(value)
                   ? parse_bad(error, 501, "a transfer coding other than chunked")
                   : parse_bad(error, 400, "Transfer-Encoding is not chunked");
    message->framing = BODY_CHUNKED;
    return PARSE_DONE;
}

/* Both lengths, and the framing they give by themselves. */
static enum parse parse_length(struct message *message, const struct found_fields *found,
                               struct parse_error *error)
{
    message->framing = BODY_NONE;
    if (parse_content_length(message, &found->length, error) == PARSE_BAD ||
        parse_transfer_encoding(message, &found->coding, error) == PARSE_BAD)
        return PARSE_BAD;
    if (message->content_length != 0)
        message->framing = BODY_LENGTH;
    return PARSE_DONE;
}

/* RFC 9112 9.3 */
static bool is_last(const struct message *message, const struct found_fields *found)
{
    return found->has_close || (message->version == 10 && !found->has_keep_alive);
}

/* --- requests --------------------------------------------------------------------------------- */

/* Splits at the next single space; false where there is none. */
static bool take_word(struct str *rest, struct str *word)
{
    size_t space = str_find_byte(*rest, ' ');
    if (space == SIZE_MAX)
        return false;
    *word = str_sub(*rest, 0, space);
    *rest = str_skip(*rest, space + 1);
    return true;
}

/* absolute-form (RFC 9112 3.2.2). False when `target` is of no scheme we serve. */
static bool split_absolute(struct message *message)
{
    struct str target = message->target;
    size_t colon = str_find_byte(target, ':');
    struct str scheme = str_sub(target, 0, colon);
    if (str_eq_nocase(scheme, STR("http")))
        message->scheme = STR("http");
    else if (str_eq_nocase(scheme, STR("https")))
        message->scheme = STR("https");
    else
        return false;
    struct str rest = str_skip(target, colon + 1);
    if (!str_starts(rest, STR("//")))
        return false;
    rest = str_skip(rest, 2);
    size_t len = 0;
    while (len < rest.len && rest.at[len] != '/' && rest.at[len] != '?')
        len++;
    message->authority = str_sub(rest, 0, len);
    return true;
}

static enum parse parse_target(struct message *message, struct parse_error *error)
{
    struct str target = message->target;
    if (target.len == 0 || !grammar_all(target, GRAMMAR_TARGET))
        return parse_bad(error, 400, "a byte in the target that may not stand there");
    if (message->method == METHOD_CONNECT)
        return parse_bad(error, 405, "CONNECT is not served");
    if (target.at[0] == '/')
        return PARSE_DONE;
    if (str_eq(target, STR("*")) && message->method == METHOD_OPTIONS)
        return PARSE_DONE;
    if (!split_absolute(message))
        return parse_bad(error, 400, "the target has no form that is served");
    return PARSE_DONE;
}

/* request-line = method SP request-target SP HTTP-version (RFC 9112 3) */
static enum parse parse_request_line(struct str line, struct message *message,
                                     struct parse_error *error)
{
    if (!take_word(&line, &message->method_text) || !take_word(&line, &message->target))
        return parse_bad(error, 400, "the request line has not three parts");
    if (!grammar_token(message->method_text))
        return parse_bad(error, 400, "the method is no token");
    if (message->method_text.len > METHOD_BYTES_MAX)
        return parse_bad(error, 501, "the method is too long");
    message->method = (uint8_t)method_lookup(message->method_text);
    if (parse_version(line, message, error) == PARSE_BAD)
        return PARSE_BAD;
    return parse_target(message, error);
}

/* RFC 9112 3.2, 3.2.2 */
static enum parse check_host(struct message *message, const struct found *found,
                             struct parse_error *error)
{
    struct authority host, target;
    if (found->count > 1)
        return parse_bad(error, 400, "more than one Host");
    if (found->count == 0 && message->version > 10)
        return parse_bad(error, 400, "no Host");
    if (found->count == 1 && !authority_parse(message->arena, found->value, &host))
        return parse_bad(error, 400, "Host is not valid");
    if (message->scheme.len == 0)
        return PARSE_DONE;
    if (!authority_parse(message->arena, message->authority, &target))
        return parse_bad(error, 400, "the authority of the target is not valid");
    uint16_t port = str_eq(message->scheme, STR("https")) ? 443 : 80;
    if (found->count == 1 && !authority_same(&host, &target, port))
        return parse_bad(error, 400, "Host is another than the target's authority");
    return PARSE_DONE;
}

/* RFC 9110 10.1.1; the expectation of a request without a body is met already. */
static enum parse check_expect(struct message *message, const struct found_fields *found,
                               struct parse_error *error)
{
    if (message->version == 10)
        return PARSE_DONE;
    if (found->other_expectation)
        return parse_bad(error, 417, "an expectation other than 100-continue");
    message->expect_continue = found->expect_continue && message->framing != BODY_NONE;
    return PARSE_DONE;
}

enum parse h1_parse_request(struct str head, const struct head_limits *limits,
                            struct message *message, struct parse_error *error)
{
    struct str line;
    struct found_fields found;
    if (str_starts(head, STR("\r\n")))
        head = str_skip(head, 2);
    if (!take_line(&head, &line))
        return parse_bad(error, 400, "a control byte or a bare line end in the request line");
    if (parse_request_line(line, message, error) == PARSE_BAD ||
        h1_parse_fields(head, limits, message, error) == PARSE_BAD)
        return PARSE_BAD;
    find_fields(message, &found);
    if (parse_length(message, &found, error) == PARSE_BAD ||
        check_host(message, &found.host, error) == PARSE_BAD)
        return PARSE_BAD;
    message->close = is_last(message, &found);
    return check_expect(message, &found, error);
}

/* --- answers ---------------------------------------------------------------------------------- */

/* status-line = HTTP-version SP status-code [ SP reason-phrase ] (RFC 9112 4) */
static enum parse parse_status_line(struct str line, struct message *message,
                                    struct parse_error *error)
{
    uint64_t status = 0;
    if (line.len < 12 || line.at[8] != ' ')
        return parse_bad(error, 502, "the answer has no status line");
    if (parse_version(str_sub(line, 0, 8), message, error) == PARSE_BAD)
        return PARSE_BAD;
    if (!str_to_u64(str_sub(line, 9, 3), 599, &status) || status < 100 ||
        (line.len > 12 && line.at[12] != ' '))
        return parse_bad(error, 502, "the answer has no valid status");
    message->status = (uint16_t)status;
    message->reason = str_trim(str_skip(line, 12));
    return PARSE_DONE;
}

/* RFC 9112 6.3; the framing of the fields alone stands in the message. */
static enum parse frame_response(struct message *message, struct parse_error *error)
{
    bool framed = message->framing == BODY_CHUNKED || message->has_content_length;
    if (message->status < 200 || message->status == 204) {
        /* RFC 9110 8.6 forbids it, but many applications say of a 204 that it is empty. */
        bool says_empty =
            message->status == 204 && message->has_content_length && message->content_length == 0;
        message->has_content_length = false;
        if (framed && !says_empty)
            return parse_bad(error, 502, "an answer that has no body declares its length");
        message->framing = BODY_NONE;
        return PARSE_DONE;
    }
    if (message->status == 205 && message->content_length != 0)
        return parse_bad(error, 502, "a 205 with a body");
    if (message->status == 304 || message->method == METHOD_HEAD)
        message->framing = BODY_NONE;
    else if (!framed) {
        message->framing = BODY_TO_END;
        message->close = true;
    }
    return PARSE_DONE;
}

enum parse h1_parse_response(struct str head, const struct head_limits *limits,
                             enum method of_request, struct message *message,
                             struct parse_error *error)
{
    struct str line;
    struct found_fields found;
    enum parse result = PARSE_BAD;
    message->method = (uint8_t)of_request;
    if (!take_line(&head, &line)) {
        parse_bad(error, 502, "the answer has no status line");
    } else if (parse_status_line(line, message, error) == PARSE_DONE &&
               h1_parse_fields(head, limits, message, error) == PARSE_DONE) {
        find_fields(message, &found);
        message->close = is_last(message, &found);
        result = parse_length(message, &found, error);
    }
    if (result == PARSE_DONE)
        result = frame_response(message, error);
    if (result == PARSE_BAD)
        error->status = 502;
    return result;
}
