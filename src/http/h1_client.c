#include "http/h1_client.h"

#include "base/list.h"
#include "http/gather.h"
#include "http/h1_chunked.h"
#include "http/h1_write.h"

#include <string.h>

enum reading {
    READ_HEAD,
    READ_LENGTH,
    READ_CHUNKED,
    READ_TO_END,
    READ_TUNNEL,
    READ_DONE,
};

struct h1_client {
    struct client_codec codec;
    const struct head_limits *limits;
    struct arena *arena;
    struct text in; /* of a head that has not come whole; grows in the arena */
    struct h1_scan scan;
    struct h1_chunked chunked;
    struct message trailers;
    uint64_t body_left, request_left;
    uint8_t reading;
    uint8_t request_framing; /* enum body_framing */
    uint8_t informational;
    bool tunnel, ended; /* client_end() was called */
    bool upgrade_asked;
};

static struct h1_client *client_of(struct client_codec *codec)
{
    return LIST_OF(codec, struct h1_client, codec);
}

static void fail(struct h1_client *c, enum client_failure failure, const char *why)
{
    struct client_request *request = c->codec.request;
    if (c->reading == READ_DONE || c->ended)
        return;
    c->reading = READ_DONE;
    request->why = why;
    request->user->on_failed(request, failure);
}

/* ---- reading ---- */

/* The answer is whole; the last piece, or on_end(), is still to be handed on. */
static void whole(struct h1_client *c, bool surplus)
{
    struct client_request *request = c->codec.request;
    c->reading = READ_DONE;
    request->reusable = request->request_sent && !request->answer->close && !surplus &&
                        request->answer->framing != BODY_TO_END;
}

static void start_body(struct h1_client *c, bool more_here)
{
    struct client_request *request = c->codec.request;
    const struct message *answer = request->answer;
    switch (answer->framing) {
    case BODY_LENGTH:
        c->reading = READ_LENGTH;
        c->body_left = answer->content_length;
        if (c->body_left > STREAM_READ_EXPECTED_MAX)
            stream_expect(c->codec.stream, true);
        break;
    case BODY_CHUNKED:
        c->reading = READ_CHUNKED;
        message_init(&c->trailers, c->arena);
        h1_chunked_init(&c->chunked, c->limits, &c->trailers);
        break;
    case BODY_TO_END:
        c->reading = READ_TO_END;
        break;
    default:
        whole(c, more_here);
    }
    request->user->on_head(request);
    if (!c->ended && c->reading == READ_DONE)
        request->user->on_end(request);
}

/* A 1xx is handed on and forgotten; the head that counts comes behind it. */
static void informational(struct h1_client *c)
{
    struct client_request *request = c->codec.request;
    if (++c->informational > H1_INFORMATIONAL_MAX) {
        fail(c, CLIENT_BAD, "too many 1xx answers");
        return;
    }
    request->user->on_informational(request);
    if (!c->ended)
        message_init(request->answer, c->arena);
}

/* RFC 9110 7.8: to what was asked for, and nothing else is ever asked for here. */
static bool switched_to_websocket(const struct message *answer)
{
    return answer->version == 11 &&
           header_list_has(message_value(answer, HEADER_UPGRADE), STR("websocket")) &&
           header_list_has(message_value(answer, HEADER_CONNECTION), STR("upgrade"));
}

static void switched(struct h1_client *c)
{
    struct client_request *request = c->codec.request;
    if (!c->upgrade_asked) {
        fail(c, CLIENT_BAD, "101 without having been asked to switch");
        return;
    }
    if (!switched_to_websocket(request->answer)) {
        fail(c, CLIENT_BAD, "101 to another protocol than was asked for");
        return;
    }
    c->tunnel = true;
    c->reading = READ_TUNNEL;
    request->user->on_head(request);
}

static void parse_head(struct h1_client *c, struct str head, bool more_here)
{
    struct client_request *request = c->codec.request;
    struct parse_error error = {0};
    head = str_dup(c->arena, head);
    if (head.at == NULL) {
        fail(c, CLIENT_BAD, "the answer's head does not fit into memory");
        return;
    }
    if (h1_parse_response(head, c->limits, request->method, request->answer, &error) != PARSE_DONE)
        fail(c, CLIENT_BAD, error.why);
    else if (request->answer->status == 101)
        switched(c);
    else if (request->answer->status < 200)
        informational(c);
    else
        start_body(c, more_here);
}

static void take_head(struct h1_client *c, struct str *bytes)
{
    struct parse_error error = {0};
    struct str so_far = *bytes;
    size_t kept = c->in.len, head_bytes = 0;
    if (kept != 0) {
        text_add(&c->in, *bytes);
        if (!text_ok(&c->in)) {
            fail(c, CLIENT_BAD, "the answer's head is too large");
            return;
        }
        so_far = text_str(&c->in);
    }
    switch (h1_scan_head(&c->scan, so_far, c->limits, &head_bytes, &error)) {
    case PARSE_BAD:
        fail(c, CLIENT_BAD, error.why);
        return;
    case PARSE_MORE:
        if (kept == 0)
            text_add(&c->in, *bytes);
        if (!text_ok(&c->in))
            fail(c, CLIENT_BAD, "the answer's head is too large");
        *bytes = (struct str){0};
        return;
    case PARSE_DONE:
        break;
    }
    *bytes = str_skip(*bytes, head_bytes - kept);
    c->scan = (struct h1_scan){0};
    c->in.len = 0;
    parse_head(c, str_sub(so_far, 0, head_bytes), bytes->len != 0);
}

static void take_length(struct h1_client *c, struct str *bytes)
{
    struct client_request *request = c->codec.request;
    struct str piece = str_sub(*bytes, 0, c->body_left < bytes->len ? c->body_left : bytes->len);
    *bytes = str_skip(*bytes, piece.len);
    if (c->body_left > STREAM_READ_EXPECTED_MAX &&
        c->body_left - piece.len <= STREAM_READ_EXPECTED_MAX)
        stream_expect(c->codec.stream, false);
    c->body_left -= piece.len;
    bool last = c->body_left == 0;
    if (last)
        whole(c, bytes->len != 0);
    request->user->on_body(request, piece, last);
}

/* One piece late, so that the last one is known to be the last when it is handed on. */
static void take_chunked(struct h1_client *c, struct str *bytes)
{
    struct client_request *request = c->codec.request;
    struct str held = {0};
    for (;;) {
        struct str piece = {0};
        struct parse_error error = {0};
        enum parse result = h1_chunked_feed(&c->chunked, bytes, &piece, &error);
        if (result == PARSE_BAD) {
            fail(c, CLIENT_BAD, error.why);
            return;
        }
        bool done = result == PARSE_DONE;
        if (piece.len != 0) {
            if (held.len != 0)
                request->user->on_body(request, held, false);
            if (c->ended || c->reading != READ_CHUNKED)
                return;
            held = piece;
        }
        if (!done && bytes->len != 0)
            continue;
        if (done && c->trailers.count != 0)
            request->trailers = &c->trailers;
        if (done)
            whole(c, bytes->len != 0);
        if (held.len != 0 || done)
            request->user->on_body(request, held, done);
        return;
    }
}

static void on_bytes(void *user, struct str bytes)
{
    struct h1_client *c = user;
    struct client_request *request = c->codec.request;
    if (c->ended || bytes.len == 0)
        return;
    request->answered = true;
    request->bytes_in += bytes.len;
    while (bytes.len != 0 && !c->ended) {
        switch (c->reading) {
        case READ_HEAD:
            take_head(c, &bytes);
            break;
        case READ_LENGTH:
            take_length(c, &bytes);
            break;
        case READ_CHUNKED:
            take_chunked(c, &bytes);
            break;
        case READ_TO_END:
        case READ_TUNNEL:
            request->user->on_body(request, bytes, false);
            return;
        default:
            return;
        }
    }
}

static void on_end(void *user, enum stream_end end)
{
    struct h1_client *c = user;
    struct client_request *request = c->codec.request;
    static const struct str nothing = {0};
    if (c->ended)
        return;
    bool clean = end == STREAM_FINISHED;
    if (c->reading == READ_TO_END && clean) {
        whole(c, false);
        request->user->on_body(request, nothing, true);
    } else if (c->reading == READ_TUNNEL) {
        if (clean)
            request->user->on_body(request, nothing, true);
        else
            fail(c, CLIENT_RESET, "the origin cut the connection");
    } else if (!request->answered) {
        fail(c, CLIENT_CLOSED, "the origin closed the connection without an answer");
    } else {
        fail(c, CLIENT_RESET, "the origin closed the connection in the middle of its answer");
    }
}

static void on_drained(void *user)
{
    struct h1_client *c = user;
    if (!c->ended)
        c->codec.request->user->on_drained(c->codec.request);
}

/* ---- writing ---- */

static bool send_head(struct client_request *request, const struct message *head, struct str target,
                      bool request_whole)
{
    struct h1_client *c = client_of(request->codec);
    struct stream *stream = c->codec.stream;
    struct text room = gather_room(stream);
    if (!h1_write_request(&room, head, target))
        return false;
    c->request_framing = head->framing;
    c->request_left = head->framing == BODY_LENGTH ? head->content_length : 0;
    c->upgrade_asked = message_get(head, HEADER_UPGRADE) != NULL;
    gather_add(stream, &room);
    if (request_whole) {
        request->request_sent = true;
        gather_flush(stream);
    }
    return true;
}

static void send_end_with_trailers(struct h1_client *c, struct str piece)
{
    struct stream *stream = c->codec.stream;
    if (piece.len != 0)
        gather_send(stream, piece, STR("\r\n"));
    struct text room = gather_room(stream);
    if (h1_chunk_end(&room, c->codec.request->request_trailers) || h1_chunk_end(&room, NULL))
        gather_add(stream, &room);
    gather_flush(stream);
}

static void send_body(struct client_request *request, struct str piece, bool last)
{
    struct h1_client *c = client_of(request->codec);
    struct stream *stream = c->codec.stream;
    if (c->tunnel) {
        gather_send(stream, piece, (struct str){0});
        if (last) {
            gather_flush(stream);
            stream_finish(stream);
        }
        return;
    }
    if (c->request_framing == BODY_CHUNKED) {
        struct str tail = piece.len == 0 ? STR("0\r\n\r\n")
                          : last         ? STR("\r\n0\r\n\r\n")
                                         : STR("\r\n");
        if (piece.len == 0 && !last)
            return;
        bool trailers = last && request->request_trailers != NULL;
        struct text room = gather_room(stream);
        h1_chunk_head(&room, piece.len);
        gather_add(stream, &room);
        if (!trailers)
            gather_send(stream, piece, tail);
        else
            send_end_with_trailers(c, piece);
    } else {
        if (piece.len > c->request_left) /* cannot be: the server codec counts too */
            piece = str_sub(piece, 0, c->request_left);
        c->request_left -= piece.len;
        gather_send(stream, piece, (struct str){0});
    }
    if (last) {
        request->request_sent = c->request_left == 0;
        gather_flush(stream);
    }
}

static void pause_answer(struct client_request *request, bool paused)
{
    stream_pause(request->codec->stream, paused);
}

static size_t backlog(const struct client_request *request)
{
    return stream_backlog(request->codec->stream);
}

static void ignore_bytes(void *user, struct str bytes)
{
    (void)user;
    (void)bytes;
}
static void ignore_end(void *user, enum stream_end end)
{
    (void)user;
    (void)end;
}
static void ignore_drained(void *user)
{
    (void)user;
}

static const struct stream_user nobody = {
    .on_bytes = ignore_bytes,
    .on_end = ignore_end,
    .on_drained = ignore_drained,
};

static void end(struct client_codec *codec)
{
    struct h1_client *c = client_of(codec);
    gather_flush(codec->stream);
    c->ended = true;
    stream_set_user(codec->stream, &nobody, NULL);
}

static const struct client_codec_ops ops = {
    .send_head = send_head,
    .send_body = send_body,
    .pause_answer = pause_answer,
    .backlog = backlog,
    .end = end,
};

static const struct stream_user stream_user = {
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_drained = on_drained,
};

struct client_codec *h1_client_new(struct arena *arena, struct stream *stream,
                                   struct client_request *request, const struct head_limits *limits)
{
    struct h1_client *c = ARENA_NEW(arena, struct h1_client);
    if (c == NULL)
        return NULL;
    c->codec = (struct client_codec){.ops = &ops, .request = request, .stream = stream};
    c->limits = limits;
    c->arena = arena;
    c->in = text_in(arena, limits->size_bytes_max + STREAM_READ_MAX);
    request->codec = &c->codec;
    stream_set_user(stream, &stream_user, c);
    return &c->codec;
}
