/*
 * A second, small and strict reader of HTTP/1.1 on the wire, for fuzz_exchange.c: what two parties
 * received is judged by it and not by the parser under test. It shares no code with src/http.
 */
#ifndef PC_TESTS_WIRE_H
#define PC_TESTS_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum wire_result { WIRE_WHOLE, WIRE_CUT, WIRE_BAD };
enum wire_framing { WIRE_NONE, WIRE_LENGTH, WIRE_CHUNKED, WIRE_TO_END };

struct wire_text {
    const char *at;
    size_t len;
};

struct wire {
    struct wire_text method, target; /* of a request */
    unsigned status;                 /* of an answer */
    struct wire_text id, xff, tag, host;
    unsigned hosts, xffs, lengths, codings, ids;
    bool chunked, upgrade, close, encoded, head_whole;
    enum wire_framing framing;
    uint64_t length;
    char *body; /* without its framing; malloc()ed */
    size_t body_len;
    size_t bytes; /* of the message, as far as it is there */
    enum wire_result result;
};

static bool wire_is(struct wire_text a, const char *b)
{
    if (a.len != strlen(b))
        return false;
    for (size_t i = 0; i < a.len; i++)
        if ((a.at[i] | (a.at[i] >= 'A' && a.at[i] <= 'Z' ? 32 : 0)) != b[i])
            return false;
    return true;
}

static bool wire_token(struct wire_text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (t.at[i] <= ' ' || t.at[i] >= 127 || strchr("\"(),/:;<=>?@[\\]{}", t.at[i]) != NULL)
            return false;
    return t.len != 0;
}

/* Up to the CRLF; 0: there is none yet, -1: a byte that no line may have. */
static int wire_line(const char *at, size_t left, struct wire_text *line)
{
    for (size_t i = 0; i < left; i++) {
        unsigned char c = (unsigned char)at[i];
        if (c == '\r' && i + 1 < left && at[i + 1] == '\n') {
            *line = (struct wire_text){at, i};
            return 1;
        }
        if (c == '\r' && i + 1 == left)
            return 0;
        if ((c < ' ' && c != '\t') || c == 127)
            return -1;
    }
    return 0;
}

static bool wire_number(struct wire_text t, uint64_t *n)
{
    *n = 0;
    for (size_t i = 0; i < t.len; i++) {
        if (t.at[i] < '0' || t.at[i] > '9')
            return false;
        *n = *n * 10 + (uint64_t)(t.at[i] - '0');
    }
    return t.len > 0 && t.len < 19;
}

static bool wire_field(struct wire *w, struct wire_text line)
{
    const char *colon = memchr(line.at, ':', line.len);
    if (colon == NULL)
        return false;
    struct wire_text name = {line.at, (size_t)(colon - line.at)};
    struct wire_text value = {colon + 1, line.len - name.len - 1};
    while (value.len && (*value.at == ' ' || *value.at == '\t'))
        value.at++, value.len--;
    while (value.len && (value.at[value.len - 1] == ' ' || value.at[value.len - 1] == '\t'))
        value.len--;
    if (!wire_token(name))
        return false;
    if (wire_is(name, "host"))
        w->hosts++, w->host = value;
    if (wire_is(name, "x-forwarded-for"))
        w->xffs++, w->xff = value;
    if (wire_is(name, "x-id") && w->ids++ == 0)
        w->id = value;
    if (wire_is(name, "x-tag"))
        w->tag = value;
    if (wire_is(name, "upgrade"))
        w->upgrade = true;
    if (wire_is(name, "content-encoding"))
        w->encoded = true;
    if (wire_is(name, "connection"))
        w->close |= wire_is(value, "close");
    if (wire_is(name, "content-length")) {
        w->lengths++;
        return wire_number(value, &w->length);
    }
    if (wire_is(name, "transfer-encoding")) {
        w->codings++;
        w->chunked = true;
        return wire_is(value, "chunked");
    }
    return true;
}

static bool wire_request_line(struct wire *w, struct wire_text line)
{
    const char *one = memchr(line.at, ' ', line.len);
    const char *two = one ? memchr(one + 1, ' ', line.len - (size_t)(one + 1 - line.at)) : NULL;
    if (two == NULL)
        return false;
    w->method = (struct wire_text){line.at, (size_t)(one - line.at)};
    w->target = (struct wire_text){one + 1, (size_t)(two - one - 1)};
    struct wire_text version = {two + 1, line.len - (size_t)(two + 1 - line.at)};
    return wire_token(w->method) && w->target.len != 0 && version.len == 8 &&
           memcmp(version.at, "HTTP/1.", 7) == 0 && version.at[7] >= '0' && version.at[7] <= '9';
}

static bool wire_status_line(struct wire *w, struct wire_text line)
{
    uint64_t status = 0;
    struct wire_text digits = {line.at + 9, 3};
    if (line.len < 13 || memcmp(line.at, "HTTP/1.1 ", 9) != 0 || line.at[12] != ' ' ||
        !wire_number(digits, &status))
        return false;
    w->status = (unsigned)status;
    return status >= 100 && status < 600;
}

static void wire_keep(struct wire *w, const char *from, size_t len)
{
    if (len == 0)
        return;
    w->body = realloc(w->body, w->body_len + len);
    memcpy(w->body + w->body_len, from, len);
    w->body_len += len;
}

static enum wire_result wire_chunks(struct wire *w, const char *at, size_t left)
{
    struct wire_text line;
    for (;;) {
        int found = wire_line(at, left, &line);
        uint64_t size = 0;
        size_t i = 0;
        if (found <= 0)
            return found < 0 ? WIRE_BAD : WIRE_CUT;
        for (; i < line.len && i < 15; i++) {
            char c = line.at[i] | 32;
            if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
                break;
            size = size * 16 + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        if (i == 0 || (i < line.len && strchr("; \t", line.at[i]) == NULL))
            return WIRE_BAD;
        at += line.len + 2, left -= line.len + 2, w->bytes += line.len + 2;
        if (size == 0)
            break;
        size_t have = size < left ? (size_t)size : left;
        wire_keep(w, at, have);
        at += have, left -= have, w->bytes += have;
        if (left < 2)
            return WIRE_CUT;
        if (at[0] != '\r' || at[1] != '\n')
            return WIRE_BAD;
        at += 2, left -= 2, w->bytes += 2;
    }
    for (;;) { /* trailers */
        int found = wire_line(at, left, &line);
        if (found <= 0)
            return found < 0 ? WIRE_BAD : WIRE_CUT;
        at += line.len + 2, left -= line.len + 2, w->bytes += line.len + 2;
        if (line.len == 0)
            return WIRE_WHOLE;
        const char *colon = memchr(line.at, ':', line.len);
        struct wire_text name = {line.at, colon ? (size_t)(colon - line.at) : 0};
        if (!wire_token(name))
            return WIRE_BAD;
    }
}

static enum wire_result wire_body(struct wire *w, const char *at, size_t left)
{
    size_t have = w->framing == WIRE_LENGTH && w->length < left ? (size_t)w->length : left;
    switch (w->framing) {
    case WIRE_NONE:
        return WIRE_WHOLE;
    case WIRE_CHUNKED:
        return wire_chunks(w, at, left);
    case WIRE_LENGTH:
    case WIRE_TO_END:
    default:
        wire_keep(w, at, have);
        w->bytes += have;
        return w->framing == WIRE_LENGTH && have == w->length ? WIRE_WHOLE : WIRE_CUT;
    }
}

/* The first message of some bytes: a request, or the answer to a request (`to_head`: to a HEAD). */
static void wire_read(struct wire *w, const char *at, size_t left, bool request, bool to_head)
{
    struct wire_text line;
    *w = (struct wire){.result = WIRE_CUT};
    for (bool first = true;; first = false) {
        int found = wire_line(at, left, &line);
        if (found <= 0) {
            w->result = found < 0 ? WIRE_BAD : WIRE_CUT;
            return;
        }
        at += line.len + 2, left -= line.len + 2, w->bytes += line.len + 2;
        if (!first && line.len == 0)
            break;
        if (!(first ? (request ? wire_request_line(w, line) : wire_status_line(w, line))
                    : wire_field(w, line))) {
            w->result = WIRE_BAD;
            return;
        }
    }
    w->head_whole = true;
    w->framing = w->chunked ? WIRE_CHUNKED : w->lengths != 0 ? WIRE_LENGTH : WIRE_NONE;
    if (!request && (to_head || w->status < 200 || w->status == 204 || w->status == 304))
        w->framing = WIRE_NONE;
    else if (!request && w->framing == WIRE_NONE)
        w->framing = WIRE_TO_END;
    w->result = w->lengths + w->codings > 1 ? WIRE_BAD : wire_body(w, at, left);
}

#endif
