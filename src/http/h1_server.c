#include "http/h1_server.h"

#include "base/list.h"
#include "http/gather.h"
#include "http/h1_chunked.h"
#include "http/h1_write.h"
#include "net/loop.h"

#include <stdlib.h>
#include <string.h>

/* So much of an unwanted body is read and dropped to keep the connection; more is not worth it. */
#define DISCARD_MAX ((uint64_t)64 * 1024)
/* Above this backlog of answers no further request is taken: who pipelines must read as well. */
#define ANSWERS_BACKLOG_MAX ((size_t)64 * 1024)
/* Requests taken from one connection in one turn of the loop. Who pipelines more goes on in the
 * next: others come in between, and the memory of exchanges, which goes at the end of a turn, stays
 * small. */
enum { HEADS_PER_TURN = 16 };

enum reading {
    READ_HEAD,
    READ_LENGTH,
    READ_CHUNKED,
    READ_TUNNEL,
    READ_DONE,    /* the request is whole; further bytes wait */
    READ_NOTHING, /* whatever comes is dropped */
};

enum writing {
    WRITE_HEAD,
    WRITE_LENGTH,
    WRITE_CHUNKED,
    WRITE_TO_END,
    WRITE_TUNNEL,
    WRITE_NOTHING, /* an answer without body (HEAD, 304): pieces are dropped */
    WRITE_DONE,
};

enum {
    PAUSED_BY_USER = 1,
    PAUSED_BY_US = 2, /* a request is open, or (in READ_HEAD) answers must go first */
    CLOSE_AFTER = 4,  /* the answer under way is the last */
    DRAINING = 8,
    ENDED = 16,     /* the client sends no more */
    CONSUMING = 32, /* inside consume(): it goes on by itself */
    ENDING = 64,    /* codec_end() was called: only the memory is left */
    OVER = 128,     /* on_over() was called */
};

struct h1_server {
    struct codec codec;
    const struct head_limits *limits;
    struct codec_request *request;
    struct h1_chunked *chunked; /* in the arena of the exchange */
    char *in;                   /* received, not yet consumed */
    uint32_t in_len, in_cap;
    char *lent; /* what was `in`, while consume_stash() works on it */
    uint64_t answer_left;
    /* Never wanted at one time: with it an idle connection is 32 bytes of malloc() smaller. */
    union {
        struct h1_scan scan;        /* READ_HEAD */
        uint64_t body_left;         /* READ_LENGTH */
        struct loop_task more_task; /* resting */
        struct loop_task free_task; /* ENDING, when not resting */
    };
    uint8_t reading, writing, flags, state;
    bool head_answer; /* to HEAD */
    bool resting;     /* the next of its requests in `in` are taken in the next turn */
};

static struct h1_server *server_of(struct codec *codec)
{
    return LIST_OF(codec, struct h1_server, codec);
}

static struct h1_server *server_of_request(const struct codec_request *request)
{
    return server_of(request->codec);
}

static void set_state(struct h1_server *h, enum codec_state state)
{
    if (h->state == state)
        return;
    h->state = (uint8_t)state;
    h->codec.user->on_state(h->codec.user_data, state);
}

static void apply_pause(struct h1_server *h)
{
    stream_pause(h->codec.stream, (h->flags & (PAUSED_BY_USER | PAUSED_BY_US)) != 0);
}

static void set_pause(struct h1_server *h, uint8_t reason, bool paused)
{
    uint8_t before = h->flags & (PAUSED_BY_USER | PAUSED_BY_US);
    h->flags = (uint8_t)(paused ? h->flags | reason : h->flags & ~reason);
    if ((h->flags & (PAUSED_BY_USER | PAUSED_BY_US)) != before)
        apply_pause(h);
}

/* ---- the end of things ---- */

static void over(struct h1_server *h, enum stream_end end)
{
    if (h->flags & (OVER | ENDING))
        return;
    h->flags |= OVER;
    h->reading = READ_NOTHING;
    h->codec.user->on_over(h->codec.user_data, end);
}

static void forget_request(struct h1_server *h)
{
    struct codec_request *request = h->request;
    h->request = NULL;
    h->chunked = NULL;
    if (request != NULL)
        h->codec.user->on_done(request);
}

/* The answer has gone out whole and is the last. */
static void close_gracefully(struct h1_server *h)
{
    gather_flush(h->codec.stream);
    h->reading = READ_NOTHING;
    set_pause(h, PAUSED_BY_USER | PAUSED_BY_US, false);
    stream_finish(h->codec.stream);
    set_state(h, CODEC_OVER);
    if (h->flags & ENDED && stream_backlog(h->codec.stream) == 0)
        over(h, STREAM_FINISHED);
}

static void consume_stash(struct h1_server *h);

static void next_request(struct h1_server *h)
{
    h->reading = READ_HEAD;
    h->writing = WRITE_HEAD;
    h->scan = (struct h1_scan){0};
    set_pause(h, PAUSED_BY_USER | PAUSED_BY_US, false);
    if (h->flags & CONSUMING)
        return;
    if (h->in_len != 0)
        consume_stash(h);
    else if (h->flags & ENDED)
        close_gracefully(h);
    else
        set_state(h, CODEC_IDLE);
}

/* The answer is out; so is the exchange, whether or not the rest of its request was read. */
static void maybe_finish(struct h1_server *h)
{
    if (h->writing != WRITE_DONE || h->flags & ENDING)
        return;
    bool discardable = h->reading == READ_LENGTH && h->body_left <= DISCARD_MAX;
    if (h->reading != READ_DONE && h->reading != READ_NOTHING && !discardable)
        h->flags |= CLOSE_AFTER;
    if (h->reading == READ_TUNNEL)
        return; /* one direction of a tunnel may end before the other */
    forget_request(h);
    if (h->flags & ENDING)
        return;
    if (h->flags & CLOSE_AFTER)
        close_gracefully(h);
    else if (h->reading == READ_DONE)
        next_request(h);
    else {
        set_pause(h, PAUSED_BY_USER, false);
        set_state(h, CODEC_DROPPING);
    }
}

/* ---- reading ---- */

static bool stash(struct h1_server *h, struct str bytes)
{
    if (h->in_cap - h->in_len < bytes.len) {
        size_t cap = h->in_len + bytes.len;
        char *in = realloc(h->in, cap);
        if (in == NULL)
            return false;
        h->in = in;
        h->in_cap = (uint32_t)cap;
    }
    memcpy(h->in + h->in_len, bytes.at, bytes.len);
    h->in_len += (uint32_t)bytes.len;
    return true;
}

static void bad(struct h1_server *h, const struct parse_error *error)
{
    h->flags |= CLOSE_AFTER;
    h->reading = READ_NOTHING;
    set_pause(h, PAUSED_BY_USER | PAUSED_BY_US, false);
    h->codec.user->on_bad(h->request, error);
}

static bool begin(struct h1_server *h)
{
    h->request = h->codec.user->on_begin(h->codec.user_data);
    if (h->request == NULL)
        return false;
    h->request->codec = &h->codec;
    h->writing = WRITE_HEAD;
    h->head_answer = false;
    set_state(h, CODEC_BUSY);
    return true;
}

static bool start_chunked(struct h1_server *h)
{
    struct arena *arena = h->request->message->arena;
    struct message *trailers = ARENA_NEW(arena, struct message);
    h->chunked = ARENA_NEW(arena, struct h1_chunked);
    if (h->chunked == NULL || trailers == NULL)
        return false;
    message_init(trailers, arena);
    h1_chunked_init(h->chunked, h->limits, trailers);
    return true;
}

static bool start_body(struct h1_server *h)
{
    const struct message *message = h->request->message;
    switch (message->framing) {
    case BODY_LENGTH:
        h->reading = READ_LENGTH;
        h->body_left = message->content_length;
        if (h->body_left > STREAM_READ_EXPECTED_MAX)
            stream_expect(h->codec.stream, true);
        return true;
    case BODY_CHUNKED:
        h->reading = READ_CHUNKED;
        return start_chunked(h);
    default:
        h->reading = READ_DONE;
        h->request->body_whole = true;
        return true;
    }
}

/* Bytes that lie at the start of the lent buffer just stay in it: a head that comes byte by byte is
 * not copied each time. */
static void keep_part_of_head(struct h1_server *h, struct str bytes)
{
    if (h->lent != NULL && bytes.at == h->lent) {
        h->in = h->lent;
        h->in_len = h->in_cap = (uint32_t)bytes.len;
        h->lent = NULL;
    } else if (!stash(h, bytes)) {
        over(h, STREAM_RESET);
    }
}

/* Takes a head from the front of `*bytes`; false when more is needed or the connection ended. */
static bool take_head(struct h1_server *h, struct str *bytes)
{
    struct parse_error error = {0};
    size_t head_bytes = 0;
    enum parse found = h1_scan_head(&h->scan, *bytes, h->limits, &head_bytes, &error);
    if (found == PARSE_MORE) {
        set_state(h, CODEC_HEAD);
        keep_part_of_head(h, *bytes);
        return false;
    }
    if (!begin(h)) {
        over(h, STREAM_RESET);
        return false;
    }
    struct codec_request *request = h->request;
    if (found == PARSE_DONE) {
        struct str head = str_dup(request->message->arena, str_sub(*bytes, 0, head_bytes));
        request->bytes_in = head_bytes;
        if (head.at == NULL)
            found = parse_bad(&error, 431, "the head does not fit into memory");
        else
            found = h1_parse_request(head, h->limits, request->message, &error);
        *bytes = str_skip(*bytes, head_bytes);
    } else {
        request->bytes_in = bytes->len;
        *bytes = (struct str){0};
    }
    if (found == PARSE_DONE && !start_body(h))
        found = parse_bad(&error, 431, "the head does not fit into memory");
    h->head_answer = request->message->method == METHOD_HEAD;
    if (found == PARSE_BAD) {
        bad(h, &error);
        return false;
    }
    request->wants_continue = request->message->expect_continue && !request->body_whole;
    if (request->message->close || h->flags & DRAINING)
        h->flags |= CLOSE_AFTER;
    h->codec.user->on_head(request);
    return true;
}

static void body_whole(struct h1_server *h)
{
    h->reading = READ_DONE;
    if (h->request != NULL) {
        h->request->body_whole = true;
        h->codec.user->on_body_end(h->request);
    } else { /* the dropped rest of a body whose answer is long out */
        next_request(h);
    }
}

static void deliver(struct h1_server *h, struct str piece)
{
    if (h->request == NULL || piece.len == 0)
        return;
    h->request->wants_continue = false;
    h->request->body_in += piece.len;
    h->codec.user->on_body(h->request, piece);
}

static void take_length(struct h1_server *h, struct str *bytes)
{
    struct str piece = str_sub(*bytes, 0, h->body_left < bytes->len ? h->body_left : bytes->len);
    *bytes = str_skip(*bytes, piece.len);
    if (h->body_left > STREAM_READ_EXPECTED_MAX &&
        h->body_left - piece.len <= STREAM_READ_EXPECTED_MAX)
        stream_expect(h->codec.stream, false);
    h->body_left -= piece.len;
    if (h->request)
        h->request->bytes_in += piece.len;
    bool whole = h->body_left == 0;
    struct codec_request *before = h->request;
    deliver(h, piece);
    /* The user may have answered and be rid of the request, or of the connection. */
    if (whole && h->reading == READ_LENGTH && before == h->request)
        body_whole(h);
    else if (whole && h->reading == READ_LENGTH && h->request == NULL)
        next_request(h);
}

static void take_chunked(struct h1_server *h, struct str *bytes)
{
    struct parse_error error = {0};
    while (h->reading == READ_CHUNKED && h->chunked != NULL) {
        struct str piece = {0};
        size_t before = bytes->len;
        enum parse result = h1_chunked_feed(h->chunked, bytes, &piece, &error);
        if (h->request)
            h->request->bytes_in += before - bytes->len;
        if (result == PARSE_BAD) {
            *bytes = (struct str){0};
            if (h->request)
                bad(h, &error);
            return;
        }
        deliver(h, piece);
        if (result == PARSE_DONE) {
            if (h->request != NULL && h->chunked != NULL && h->chunked->trailers->count != 0)
                h->request->trailers = h->chunked->trailers;
            if (h->reading == READ_CHUNKED)
                body_whole(h);
            return;
        }
        if (bytes->len == 0)
            return;
    }
}

/* Requests wait until the client has read the answers to earlier ones. */
static bool must_wait(struct h1_server *h)
{
    return h->reading == READ_HEAD && stream_backlog(h->codec.stream) > ANSWERS_BACKLOG_MAX;
}

static bool is_waiting(const struct h1_server *h)
{
    return h->reading == READ_HEAD && (h->flags & PAUSED_BY_US) != 0;
}

static void take_more(struct loop_task *task);

static void rest(struct h1_server *h, struct str bytes)
{
    if (!stash(h, bytes)) {
        over(h, STREAM_RESET);
        return;
    }
    set_pause(h, PAUSED_BY_US, true);
    h->resting = true;
    h->more_task.run = take_more;
    loop_post(stream_loop(h->codec.stream), &h->more_task);
}

static void wait_for_client(struct h1_server *h, struct str bytes)
{
    set_state(h, CODEC_HEAD);
    set_pause(h, PAUSED_BY_US, true);
    keep_part_of_head(h, bytes);
}

static void consume(struct h1_server *h, struct str bytes)
{
    unsigned heads = 0;
    h->flags |= CONSUMING;
    while (bytes.len != 0 && !(h->flags & ENDING)) {
        if (h->reading == READ_NOTHING)
            break;
        if (h->reading == READ_DONE) {
            if (!stash(h, bytes)) {
                over(h, STREAM_RESET);
                break;
            }
            set_pause(h, PAUSED_BY_US, true);
            break;
        }
        if (must_wait(h)) {
            wait_for_client(h, bytes);
            break;
        }
        if (h->reading == READ_HEAD && heads++ == HEADS_PER_TURN) {
            rest(h, bytes);
            break;
        }
        if (h->reading == READ_HEAD && !take_head(h, &bytes))
            break;
        if (h->reading == READ_LENGTH && bytes.len != 0)
            take_length(h, &bytes);
        else if (h->reading == READ_CHUNKED && bytes.len != 0)
            take_chunked(h, &bytes);
        else if (h->reading == READ_TUNNEL && bytes.len != 0) {
            h->request->bytes_in += bytes.len;
            deliver(h, bytes);
            break;
        }
    }
    h->flags &= (uint8_t)~CONSUMING;
    if (h->flags & ENDING || h->request != NULL || h->reading != READ_HEAD || is_waiting(h))
        return;
    if (h->flags & ENDED)
        close_gracefully(h);
    else if (h->in_len == 0)
        set_state(h, CODEC_IDLE);
}

static void consume_stash(struct h1_server *h)
{
    struct str bytes = str_from(h->in, h->in_len);
    h->lent = h->in;
    h->in = NULL;
    h->in_len = h->in_cap = 0;
    consume(h, bytes);
    free(h->lent);
    h->lent = NULL;
}

static void free_server(struct loop_task *task);

static void take_more(struct loop_task *task)
{
    struct h1_server *h = LIST_OF(task, struct h1_server, more_task);
    h->resting = false;
    if (h->flags & ENDING) {
        free_server(task);
        return;
    }
    h->scan = (struct h1_scan){0};
    if (h->reading != READ_HEAD)
        return;
    set_pause(h, PAUSED_BY_US, false);
    consume_stash(h);
}

static void on_bytes(void *user, struct str bytes)
{
    struct h1_server *h = user;
    if (h->reading == READ_NOTHING)
        return;
    if (h->in_len == 0) {
        consume(h, bytes);
        return;
    }
    if (!stash(h, bytes))
        over(h, STREAM_RESET);
    else if (h->reading == READ_HEAD && !h->resting)
        consume_stash(h);
}

static void on_end(void *user, enum stream_end end)
{
    struct h1_server *h = user;
    h->flags |= ENDED;
    if (h->request == NULL && end == STREAM_FINISHED) {
        if (!is_waiting(h))
            close_gracefully(h); /* not before it has taken its last answer */
        return;
    }
    if (h->request == NULL) {
        over(h, end);
        return;
    }
    if (end == STREAM_FINISHED && h->reading == READ_DONE) {
        h->request->half_closed = true; /* it may still want its answer; see next_request() */
        if (h->codec.user->on_half_closed != NULL)
            h->codec.user->on_half_closed(h->request);
        return;
    }
    if (end == STREAM_FINISHED && h->reading == READ_NOTHING)
        return; /* its error answer is under way */
    if (end == STREAM_FINISHED && h->reading == READ_TUNNEL) {
        body_whole(h);
        maybe_finish(h);
        return;
    }
    h->reading = READ_NOTHING;
    h->codec.user->on_gone(h->request, end);
}

static void on_drained(void *user)
{
    struct h1_server *h = user;
    if (h->request != NULL) {
        h->codec.user->on_drained(h->request);
    } else if (h->resting) {
        return;
    } else if (is_waiting(h)) {
        set_pause(h, PAUSED_BY_US, false);
        consume_stash(h);
    } else if (h->state == CODEC_OVER && h->flags & ENDED) {
        over(h, STREAM_FINISHED);
    }
}

/* ---- writing ---- */

static bool write_head(struct h1_server *h, const struct message *answer, bool now)
{
    struct stream *stream = h->codec.stream;
    struct text room = gather_room(stream);
    if (!h1_write_response(&room, answer))
        return false;
    h->request->bytes_out += room.len;
    gather_add(stream, &room);
    if (now)
        gather_flush(stream);
    return true;
}

/* What this client can take: HTTP/1.0 knows no chunks, and our own keep-alive needs an end mark. */
static void settle_framing(struct h1_server *h, struct message *answer)
{
    const struct codec_request *request = h->request;
    bool old = request->message->version == 10;
    answer->version = request->message->version;
    if (answer->framing == BODY_TO_END && !old)
        answer->framing = BODY_CHUNKED;
    else if (answer->framing == BODY_CHUNKED && old)
        answer->framing = BODY_TO_END;
    bool unread =
        h->reading != READ_DONE &&
        (h->reading != READ_LENGTH || h->body_left > DISCARD_MAX || request->wants_continue);
    if (answer->close || unread || answer->framing == BODY_TO_END || h->flags & DRAINING)
        h->flags |= CLOSE_AFTER;
    answer->close = (h->flags & CLOSE_AFTER) != 0;
}

static void answer_written(struct h1_server *h)
{
    gather_flush(h->codec.stream);
    h->writing = WRITE_DONE;
    maybe_finish(h);
}

static bool send_head(struct codec_request *request, struct message *answer, bool whole)
{
    struct h1_server *h = server_of_request(request);
    if (h->writing != WRITE_HEAD || h->flags & ENDING)
        return false;
    if (answer->status == 101) {
        answer->close = false;
        answer->framing = BODY_NONE;
        answer->version = request->message->version;
        if (!write_head(h, answer, true))
            return false;
        h->writing = WRITE_TUNNEL;
        h->reading = READ_TUNNEL;
        h->flags |= CLOSE_AFTER;
        request->body_whole = false;
        set_pause(h, PAUSED_BY_US, false);
        if (h->in_len != 0 && !(h->flags & CONSUMING))
            consume_stash(h);
        if (h->flags & ENDED && h->reading == READ_TUNNEL)
            body_whole(h); /* it had finished before the tunnel was there */
        return true;
    }
    if (answer->status < 200) {
        if (request->message->version == 10)
            return true; /* RFC 9110 15.2: never to HTTP/1.0 */
        answer->close = false;
        answer->framing = BODY_NONE;
        answer->version = request->message->version;
        if (answer->status == 100)
            request->wants_continue = false;
        return write_head(h, answer, true);
    }
    settle_framing(h, answer);
    if (!write_head(h, answer, whole))
        return false;
    h->answer_left = answer->framing == BODY_LENGTH ? answer->content_length : 0;
    h->writing = h->head_answer || answer->framing == BODY_NONE ? WRITE_NOTHING
                 : answer->framing == BODY_LENGTH               ? WRITE_LENGTH
                 : answer->framing == BODY_CHUNKED              ? WRITE_CHUNKED
                                                                : WRITE_TO_END;
    if (whole)
        answer_written(h);
    return true;
}

static void send_chunk(struct h1_server *h, struct str piece, bool last)
{
    struct stream *stream = h->codec.stream;
    struct text room = gather_room(stream);
    struct str tail = piece.len == 0 ? STR("0\r\n\r\n") : last ? STR("\r\n0\r\n\r\n") : STR("\r\n");
    if (piece.len == 0 && !last)
        return;
    h1_chunk_head(&room, piece.len);
    h->request->bytes_out += room.len + piece.len + tail.len;
    gather_add(stream, &room);
    gather_send(stream, piece, tail);
}

/* The end mark with trailers: apart from the last piece, since they may be long. A trailer that
 * must not be written leaves them all out. */
static void send_chunk_end(struct h1_server *h)
{
    struct stream *stream = h->codec.stream;
    struct text room = gather_room(stream);
    if (!h1_chunk_end(&room, h->request->answer_trailers) && !h1_chunk_end(&room, NULL))
        return;
    h->request->bytes_out += room.len;
    gather_add(stream, &room);
}

static void reset(struct codec_request *request);

static void send_body(struct codec_request *request, struct str piece, bool last)
{
    struct h1_server *h = server_of_request(request);
    request->body_out += h->writing == WRITE_NOTHING ? 0 : piece.len;
    switch (h->writing) {
    case WRITE_LENGTH:
        /* Never more than was announced, and never an end before it: either would shift the next
         * answer on this connection. */
        if (piece.len > h->answer_left || (last && piece.len < h->answer_left)) {
            reset(request);
            return;
        }
        h->answer_left -= piece.len;
        request->bytes_out += piece.len;
        gather_send(h->codec.stream, piece, (struct str){0});
        break;
    case WRITE_CHUNKED:
        if (last && request->answer_trailers != NULL) {
            send_chunk(h, piece, false);
            send_chunk_end(h);
        } else {
            send_chunk(h, piece, last);
        }
        break;
    case WRITE_TO_END:
    case WRITE_TUNNEL:
        request->bytes_out += piece.len;
        gather_send(h->codec.stream, piece, (struct str){0});
        break;
    case WRITE_NOTHING:
        break;
    default:
        return;
    }
    if (last && h->writing == WRITE_TUNNEL) {
        gather_flush(h->codec.stream);
        stream_finish(h->codec.stream);
    }
    if (last)
        answer_written(h);
}

static void reset(struct codec_request *request)
{
    struct h1_server *h = server_of_request(request);
    h->flags |= CLOSE_AFTER;
    h->reading = READ_NOTHING;
    h->writing = WRITE_DONE;
    forget_request(h);
    over(h, STREAM_RESET);
}

/* ---- the rest ---- */

static void pause_body(struct codec_request *request, bool paused)
{
    struct h1_server *h = server_of_request(request);
    if (h->reading != READ_NOTHING)
        set_pause(h, PAUSED_BY_USER, paused);
}

static size_t backlog(const struct codec_request *request)
{
    return stream_backlog(request->codec->stream);
}

static void drain(struct codec *codec)
{
    struct h1_server *h = server_of(codec);
    h->flags |= DRAINING;
}

static void end_idle(struct codec *codec)
{
    struct h1_server *h = server_of(codec);
    if (h->request == NULL && h->reading == READ_HEAD && h->state == CODEC_IDLE)
        close_gracefully(h);
}

void h1_server_refuse(struct codec *codec, const struct parse_error *error)
{
    struct h1_server *h = server_of(codec);
    if (h->request != NULL || h->flags & (ENDING | OVER))
        return;
    if (!begin(h)) {
        over(h, STREAM_RESET);
        return;
    }
    h->request->bytes_in = h->in_len;
    bad(h, error);
}

static void free_server(struct loop_task *task)
{
    struct h1_server *h = LIST_OF(task, struct h1_server, free_task);
    free(h->in);
    free(h);
}

static void end(struct codec *codec, bool reset_peer)
{
    struct h1_server *h = server_of(codec);
    if (h->flags & ENDING)
        return;
    gather_flush(codec->stream);
    h->flags |= ENDING;
    h->reading = READ_NOTHING;
    forget_request(h);
    if (!h->resting) { /* else take_more() frees it */
        h->free_task.run = free_server;
        loop_defer(stream_loop(codec->stream), &h->free_task);
    }
    if (reset_peer)
        stream_reset(codec->stream);
    else
        stream_close(codec->stream);
}

static const struct codec_ops ops = {
    .send_head = send_head,
    .send_body = send_body,
    .reset = reset,
    .pause_body = pause_body,
    .backlog = backlog,
    .drain = drain,
    .end_idle = end_idle,
    .end = end,
};

static const struct stream_user stream_user = {
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_drained = on_drained,
};

struct codec *h1_server_new(struct stream *stream, const struct codec_user *user, void *user_data,
                            const struct head_limits *limits)
{
    struct h1_server *h = calloc(1, sizeof *h);
    if (h == NULL)
        return NULL;
    h->codec = (struct codec){.ops = &ops, .user = user, .user_data = user_data, .stream = stream};
    h->limits = limits;
    stream_set_user(stream, &stream_user, h);
    return &h->codec;
}
