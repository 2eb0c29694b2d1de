#include "http/h1_write.h"

#include "http/authority.h"
#include "http/grammar.h"

static void add_field(struct text *out, struct str name, struct str value)
{
    text_add(out, name);
    text_add(out, STR(": "));
    text_add(out, value);
    text_add(out, STR("\r\n"));
}

/* Longer ones are refused on input (h1_head.c). */
enum { METHOD_BYTES_MAX = 32 };

/* Entries that the writer itself answers for, or that name a connection which is not ours: received
 * ones of the latter are never written, whoever forgot to remove them (RFC 9110 7.6.1). */
static bool is_skipped(const struct message *message, const struct field *field)
{
    if ((field->flags & FIELD_REMOVED) != 0)
        return true;
    switch (field->id) {
    case HEADER_CONTENT_LENGTH:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_KEEP_ALIVE:
    case HEADER_PROXY_CONNECTION:
        return true;
    case HEADER_CONNECTION:
    case HEADER_UPGRADE:
    case HEADER_HTTP2_SETTINGS:
    case HEADER_TE:
    case HEADER_TRAILER:
        return (field->flags & FIELD_ADDED) == 0;
    case HEADER_EXPECT: /* of HTTP/1.0 it was ignored, and the origin must not obey it either */
        return !message->expect_continue;
    default:
        return false;
    }
}

/* A name that is one of those we know is a token; comparing is cheaper than reading it again. */
static bool name_ok(const struct field *field)
{
    return header_is(field->name, (enum header_id)field->id) || header_name_ok(field->name);
}

static bool write_fields(struct text *out, const struct message *message)
{
    for (uint32_t i = 0; i < message->count; i++) {
        const struct field *field = &message->fields[i];
        if (is_skipped(message, field))
            continue;
        if (!name_ok(field) || !header_value_ok(field->value))
            return false;
        add_field(out, field->name, field->value);
    }
    return true;
}

static void add_length(struct text *out, uint64_t length)
{
    text_add(out, STR("Content-Length: "));
    text_add_u64(out, length);
    text_add(out, STR("\r\n"));
}

/* Ends a head. What was added is taken back where something was wrong. */
static bool finish(struct text *out, const struct text *before, bool ok)
{
    text_add(out, STR("\r\n"));
    if (ok && text_ok(out))
        return true;
    out->len = before->len;
    out->cut = before->cut;
    return false;
}

/* --- requests --------------------------------------------------------------------------------- */

static bool target_ok(enum method method, struct str target)
{
    if (target.len == 0 || !grammar_all(target, GRAMMAR_TARGET))
        return false;
    return target.at[0] == '/' || (method == METHOD_OPTIONS && str_eq(target, STR("*")));
}

/* RFC 9112 3.2: one Host, and what stands in it could be one. */
static bool host_ok(const struct message *message)
{
    uint32_t at = 0;
    const struct field *host = message_next(message, HEADER_HOST, &at);
    return host != NULL && authority_ok(host->value) &&
           message_next(message, HEADER_HOST, &at) == NULL;
}

/* Methods whose missing body is said (RFC 9110 8.6). */
static bool anticipates_body(enum method method)
{
    return method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
}

static bool write_request_framing(struct text *out, const struct message *message)
{
    switch ((enum body_framing)message->framing) {
    case BODY_LENGTH:
        add_length(out, message->content_length);
        break;
    case BODY_CHUNKED:
        text_add(out, STR("Transfer-Encoding: chunked\r\n"));
        break;
    case BODY_NONE:
        if (message->has_content_length || anticipates_body((enum method)message->method))
            add_length(out, 0);
        break;
    case BODY_TO_END:
    default:
        return false;
    }
    return true;
}

bool h1_write_request(struct text *out, const struct message *message, struct str target)
{
    struct text before = *out;
    /* Read again from the text: the number might be another message's. */
    enum method method = method_lookup(message->method_text);
    bool ok = grammar_token(message->method_text) && method != METHOD_CONNECT &&
              message->method_text.len <= METHOD_BYTES_MAX && target_ok(method, target) &&
              host_ok(message);
    text_add(out, message->method_text);
    text_add_byte(out, ' ');
    text_add(out, target);
    text_add(out, STR(" HTTP/1.1\r\n"));
    ok = ok && write_fields(out, message) && write_request_framing(out, message);
    return finish(out, &before, ok);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void add_status_line(struct text *out, const struct message *message)
{
    bool usable = message->reason.len != 0 && header_value_ok(message->reason);
    text_add(out, STR("HTTP/1.1 "));
    text_add_u64(out, message->status);
    text_add_byte(out, ' ');
    text_add(out, usable ? message->reason : status_reason(message->status));
    text_add(out, STR("\r\n"));
}

/* An answer without a body: does it say so, and with which length? */
static void add_no_body(struct text *out, const struct message *message)
{
    if (message->status != 304 && message->method != METHOD_HEAD)
        add_length(out, 0);
    else if (message->has_content_length)
        add_length(out, message->content_length);
}

static bool write_response_framing(struct text *out, const struct message *message)
{
    bool bodyless =
        message->status == 204 || message->status == 304 || message->method == METHOD_HEAD;
    if (message->status < 200)
        return message->framing == BODY_NONE;
    switch ((enum body_framing)message->framing) {
    case BODY_LENGTH:
        add_length(out, message->content_length);
        break;
    case BODY_CHUNKED:
        if (message->version == 10)
            return false;
        text_add(out, STR("Transfer-Encoding: chunked\r\n"));
        break;
    case BODY_TO_END:
        if (!message->close)
            return false;
        break;
    case BODY_NONE:
        if (message->status != 204)
            add_no_body(out, message);
        break;
    default:
        return false;
    }
    if (message->close)
        text_add(out, STR("Connection: close\r\n"));
    else if (message->version == 10)
        text_add(out, STR("Connection: keep-alive\r\n"));
    return !bodyless || message->framing == BODY_NONE;
}

bool h1_write_response(struct text *out, const struct message *message)
{
    struct text before = *out;
    bool ok = message->status >= 100 && message->status <= 599;
    add_status_line(out, message);
    ok = ok && write_fields(out, message) && write_response_framing(out, message);
    return finish(out, &before, ok);
}
