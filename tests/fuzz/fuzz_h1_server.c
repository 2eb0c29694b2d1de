/*
 * The server codec over a stream in memory. The input is a script of what user, clock and network
 * do, then the client's bytes. What must hold whatever they do: each request that began is done
 * once, nothing is told of it after that, and the connection is over at most once.
 */
#include "http/h1_server.h"

#include "../unit/stream_pair.h"

#include <stdlib.h>

enum { SCRIPT_BYTES = 32 };

/* One request; its memory goes at the end of the turn, as an exchange's does. */
struct ask {
    struct codec_request request;
    struct message message;
    struct arena *arena;
    struct loop_task task;
    bool headed, answered, ended, done, tunnel;
};

struct scene {
    struct codec *codec;
    struct pair pair;
    struct ask *ask;
    const uint8_t *script;
    size_t left;
    unsigned begun, over;
    bool ended;
};

static struct scene scene;

static void check(bool holds)
{
    if (!holds)
        abort();
}

static unsigned next_op(void)
{
    if (scene.left == 0)
        return 0;
    scene.left--;
    return *scene.script++;
}

/* ---- what the user may do ---- */

static void end_all(bool reset)
{
    if (scene.ended)
        return;
    scene.ended = true;
    codec_end(scene.codec, reset);
}

static void begin_answer(struct ask *ask, unsigned status, enum body_framing framing)
{
    struct message answer;
    message_init(&answer, ask->arena);
    answer.status = (uint16_t)status;
    answer.method = ask->message.method;
    answer.framing = (uint8_t)(ask->message.method == METHOD_HEAD ? BODY_NONE : framing);
    answer.content_length = answer.framing == BODY_LENGTH ? 5 : 0;
    bool whole = answer.framing == BODY_NONE && status >= 200;
    if (ask->answered || ask->done)
        return;
    if (status >= 200 || status == 101)
        ask->answered = true;
    ask->tunnel = status == 101;
    if (whole)
        ask->ended = true;
    if (!codec_send_head(&ask->request, &answer, whole) && !ask->done)
        codec_reset(&ask->request);
}

static void go_on_with_answer(struct ask *ask, bool last)
{
    if (!ask->answered || ask->ended || ask->done)
        return;
    ask->ended = last;
    codec_send_body(&ask->request, last ? STR("hello") : (struct str){0}, last);
}

static void act(struct ask *ask)
{
    unsigned op = next_op();
    if (ask == NULL || ask->done)
        return;
    switch (op % 16) {
    case 0:
        begin_answer(ask, 200, BODY_LENGTH);
        go_on_with_answer(ask, true);
        break;
    case 1:
        begin_answer(ask, 204, BODY_NONE);
        break;
    case 2:
        begin_answer(ask, 200, BODY_CHUNKED);
        break;
    case 3:
        begin_answer(ask, 200, BODY_TO_END);
        break;
    case 4:
        go_on_with_answer(ask, true);
        break;
    case 5:
        begin_answer(ask, 100, BODY_NONE);
        break;
    case 6:
        if (ask->message.framing == BODY_NONE)
            begin_answer(ask, 101, BODY_NONE);
        break;
    case 7:
        codec_pause_body(&ask->request, true);
        break;
    case 8:
        codec_pause_body(&ask->request, false);
        break;
    case 9:
        codec_reset(&ask->request);
        break;
    case 10:
        end_all(op & 16);
        break;
    case 11:
        go_on_with_answer(ask, false);
        break;
    default:
        break;
    }
}

/* ---- the codec's user ---- */

static struct ask *ask_of(struct codec_request *request)
{
    struct ask *ask = (struct ask *)(void *)request;
    check(scene.ask == ask && !ask->done && !scene.over);
    return ask;
}

static void free_ask(struct loop_task *task)
{
    struct ask *ask = LIST_OF(task, struct ask, task);
    arena_end(ask->arena);
    free(ask);
}

static struct codec_request *on_begin(void *user)
{
    (void)user;
    check(scene.ask == NULL && !scene.ended && !scene.over);
    struct ask *ask = calloc(1, sizeof *ask);
    ask->arena = arena_new(256 * 1024, 1024);
    message_init(&ask->message, ask->arena);
    ask->request.message = &ask->message;
    scene.ask = ask;
    scene.begun++;
    return &ask->request;
}

static void on_head(struct codec_request *request)
{
    struct ask *ask = ask_of(request);
    check(!ask->headed);
    ask->headed = true;
    act(ask);
}

static void on_bad(struct codec_request *request, const struct parse_error *error)
{
    struct ask *ask = ask_of(request);
    check(error->status >= 400);
    if (ask->answered) {
        codec_reset(request);
        return;
    }
    begin_answer(ask, error->status, BODY_LENGTH);
    go_on_with_answer(ask, true);
}

static void on_body(struct codec_request *request, struct str piece)
{
    struct ask *ask = ask_of(request);
    check(ask->headed && piece.len != 0);
    check(ask->tunnel || ask->message.framing != BODY_LENGTH ||
          request->body_in <= ask->message.content_length);
    act(ask);
}

static void on_body_end(struct codec_request *request)
{
    check(request->body_whole);
    act(ask_of(request));
}

static void on_drained(struct codec_request *request)
{
    act(ask_of(request));
}

static void on_gone(struct codec_request *request, enum stream_end end)
{
    (void)end;
    (void)ask_of(request);
    codec_reset(request);
}

static void on_done(struct codec_request *request)
{
    struct ask *ask = ask_of(request);
    ask->done = true;
    scene.ask = NULL;
    ask->task.run = free_ask;
    loop_defer(NULL, &ask->task);
}

static void on_state(void *user, enum codec_state state)
{
    (void)user;
    check(!scene.ended && !scene.over);
    check((scene.ask != NULL) == (state == CODEC_BUSY));
}

static void on_over(void *user, enum stream_end end)
{
    (void)user;
    check(!scene.ended && scene.over++ == 0 && scene.ask == NULL);
    end_all(end == STREAM_RESET);
}

static const struct codec_user user = {
    .on_begin = on_begin,
    .on_head = on_head,
    .on_bad = on_bad,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_drained = on_drained,
    .on_gone = on_gone,
    .on_done = on_done,
    .on_state = on_state,
    .on_over = on_over,
};

/* ---- clock and network ---- */

static void happen(struct pair_end *server)
{
    static const struct parse_error late = {.status = 408, .why = "late"};
    unsigned op = next_op();
    if (scene.ended)
        return;
    switch (op % 8) {
    case 0:
        server->backlog = op & 8 ? 100000 : 0;
        if (server->backlog == 0)
            server->stream.user->on_drained(server->stream.user_data);
        break;
    case 1:
        codec_drain(scene.codec);
        break;
    case 2:
        if (op & 8)
            h1_server_refuse(scene.codec, &late);
        break;
    case 3:
        server->fin = true;
        server->reset = op & 8;
        break;
    default:
        act(scene.ask);
    }
}

/* Everybody takes and gives what is owed: then nothing may stand still. */
static void calm_down(struct pair_end *server)
{
    bool moved = true;
    scene.left = 0;
    server->fin = true;
    server->backlog = 0;
    while (moved) {
        struct ask *ask = scene.ask;
        if (!scene.ended)
            server->stream.user->on_drained(server->stream.user_data);
        if (scene.ask != NULL && scene.ask == ask) {
            codec_pause_body(&ask->request, false);
            begin_answer(ask, 200, BODY_LENGTH);
            go_on_with_answer(ask, true);
        }
        moved = pair_deliver(server, 1000) || scene.ask != ask;
        moved = pair_run_tasks() || moved; /* more requests are taken in another turn */
    }
    check(scene.ended && scene.ask == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct head_limits limits = {2048, 20, 4096};
    if (size <= 1 + SCRIPT_BYTES)
        return 0;
    scene = (struct scene){.script = data + 1, .left = SCRIPT_BYTES};
    pair_init(&scene.pair);
    struct pair_end *server = &scene.pair.ends[0], *client = &scene.pair.ends[1];
    struct iovec bytes = {.iov_base = (void *)(uintptr_t)(data + 1 + SCRIPT_BYTES),
                          .iov_len = size - 1 - SCRIPT_BYTES};
    stream_send(&client->stream, &bytes, 1);
    scene.codec = h1_server_new(&server->stream, &user, &scene, &limits);
    while (scene.left != 0 || pair_deliver(server, 1U + data[0])) {
        pair_deliver(server, 1U + data[0]);
        happen(server);
        pair_run_tasks();
    }
    calm_down(server);
    pair_fini(&scene.pair);
    return 0;
}
