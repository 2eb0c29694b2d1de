/*
 * The client codec over a stream in memory: a script of what the user does, then the origin's
 * bytes. What must hold: a request ends once, by its last piece, on_end() or on_failed(), nothing
 * is told after that, and an answer cut anywhere is never taken for a whole one that can be reused.
 */
#include "http/h1_client.h"

#include "../unit/stream_pair.h"

#include <stdlib.h>

enum { SCRIPT_BYTES = 8 };

struct scene {
    struct client_request request;
    struct message answer, head;
    struct arena *arena;
    struct pair pair;
    const uint8_t *script;
    size_t left;
    uint64_t body;
    unsigned informational;
    bool headed, over, sent, failed;
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

static void finish(void)
{
    check(!scene.over);
    scene.over = true;
    client_end(scene.request.codec);
}

static void act(void)
{
    unsigned op = next_op();
    if (scene.over)
        return;
    switch (op % 8) {
    case 1:
        client_pause_answer(&scene.request, true);
        break;
    case 2:
        client_pause_answer(&scene.request, false);
        break;
    case 3: /* the rest of the request */
        if (!scene.sent)
            client_send_body(&scene.request, STR("hello"), true);
        scene.sent = true;
        break;
    case 4:
        finish();
        break;
    default:
        break;
    }
}

static void on_informational(struct client_request *request)
{
    check(!scene.over && !scene.headed && request->answer->status < 200);
    check(request->answer->status != 101 && ++scene.informational <= H1_INFORMATIONAL_MAX);
    act();
}

static void on_head(struct client_request *request)
{
    check(!scene.over && !scene.headed);
    check(request->answer->status >= 200 || request->answer->status == 101);
    scene.headed = true;
    act();
}

static void on_body(struct client_request *request, struct str piece, bool last)
{
    check(!scene.over && scene.headed && (piece.len != 0 || last));
    scene.body += piece.len;
    if (request->answer->framing == BODY_LENGTH) {
        check(scene.body <= request->answer->content_length);
        check(last == (scene.body == request->answer->content_length));
    }
    check(!last || !request->reusable || scene.sent);
    if (last)
        finish();
    else
        act();
}

static void on_end(struct client_request *request)
{
    check(scene.headed && request->answer->framing == BODY_NONE);
    check(!request->reusable || scene.sent);
    finish();
}

static void on_failed(struct client_request *request, enum client_failure failure)
{
    check(request->why != NULL && !request->reusable);
    check((failure == CLIENT_CLOSED) == !request->answered);
    scene.failed = true;
    finish();
}

static void on_drained(struct client_request *request)
{
    (void)request;
    act();
}

static const struct client_user user = {
    .on_informational = on_informational,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_failed = on_failed,
    .on_drained = on_drained,
};

/* The first byte says which request: its method, body, and whether it asks to switch. */
static void send_request(unsigned kind)
{
    bool body = (kind & 1) != 0, upgrade = (kind & 6) == 6;
    struct message *head = &scene.head;
    message_init(head, scene.arena);
    head->version = 11;
    head->method_text = body ? STR("POST") : kind & 8 ? STR("HEAD") : STR("GET");
    head->method = (uint8_t)method_lookup(head->method_text);
    head->framing = body ? BODY_LENGTH : BODY_NONE;
    head->content_length = 5;
    check(message_add_id(head, HEADER_HOST, STR("a")));
    check(!upgrade || message_add_id(head, HEADER_UPGRADE, STR("websocket")));
    scene.request.method = (enum method)head->method;
    scene.sent = !body;
    check(client_send_head(&scene.request, head, STR("/"), !body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct head_limits limits = {2048, 20, 4096};
    if (size <= 2 + SCRIPT_BYTES)
        return 0;
    size_t step = 1U + data[1];
    scene =
        (struct scene){.script = data + 2, .left = SCRIPT_BYTES, .arena = arena_new(1 << 18, 1024)};
    pair_init(&scene.pair);
    struct pair_end *ours = &scene.pair.ends[0], *origin = &scene.pair.ends[1];
    message_init(&scene.answer, scene.arena);
    scene.request.user = &user;
    scene.request.answer = &scene.answer;
    check(h1_client_new(scene.arena, &ours->stream, &scene.request, &limits) != NULL);
    send_request(data[0]);
    struct iovec bytes = {.iov_base = (void *)(uintptr_t)(data + 2 + SCRIPT_BYTES),
                          .iov_len = size - 2 - SCRIPT_BYTES};
    stream_send(&origin->stream, &bytes, 1);
    while (pair_deliver(ours, step) || scene.left != 0) {
        act();
        pair_run_tasks();
    }
    ours->paused = false;
    ours->fin = true;
    ours->reset = (data[0] & 16) != 0;
    while (pair_deliver(ours, step) || pair_run_tasks())
        ;
    check(scene.over);
    pair_fini(&scene.pair);
    arena_end(scene.arena);
    return 0;
}
