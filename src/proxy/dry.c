#include "proxy/dry.h"

#include "base/arena.h"
#include "http/h1_head.h"
#include "proxy/answer.h"
#include "proxy/edit.h"
#include "proxy/pipeline.h"
#include "proxy/serve.h"

/* A slot of pins that no loop of a worker has; pins are atomic, so sharing it would do no harm. */
enum { DRY_THREAD = SNAPSHOT_THREADS_MAX - 1 };

/* ---- a codec that sends nothing ---- */

static bool take_head(struct codec_request *request, struct message *answer, bool whole)
{
    (void)answer;
    (void)whole;
    exchange_of(request)->done = true; /* the head is all that is wanted */
    return true;
}

static void take_body(struct codec_request *request, struct str piece, bool last)
{
    (void)request;
    (void)piece;
    (void)last;
}

static void reset(struct codec_request *request)
{
    exchange_of(request)->done = true;
}

static void pause(struct codec_request *request, bool paused)
{
    (void)request;
    (void)paused;
}

static size_t backlog(const struct codec_request *request)
{
    (void)request;
    return 0;
}

static const struct codec_ops silent = {.send_head = take_head,
                                        .send_body = take_body,
                                        .reset = reset,
                                        .pause_body = pause,
                                        .backlog = backlog};

/* ---- the shells ---- */

static void shells_init(struct dry *dry, const struct dry_request *request)
{
    dry->front.snapshot = request->snapshot;
    dry->front.thread = DRY_THREAD;
    dry->front.head_limits = request->snapshot->head_limits;
    dry->listener.front = &dry->front;
    dry->listener.addr = request->listener->addr;
    dry->listener.tls = request->listener->tls;
    dry->listener.listener = request->listener;
    dry->session.sni = request->sni;
    dry->session.session.front = &dry->front;
    dry->session.session.listener = &dry->listener;
    dry->session.session.peer = request->peer;
    dry->session.session.local = request->local;
    dry->session.session.tls = request->listener->tls;
    dry->codec.ops = &silent;
}

/* As the codec does it: find the end, then read. Whatever follows the head is no part of it. */
static enum parse read_head(struct exchange *x, const struct dry_request *request,
                            const struct head_limits *limits, struct parse_error *error)
{
    struct h1_scan scan = {0};
    size_t head_bytes = 0;
    enum parse found = h1_scan_head(&scan, request->head, limits, &head_bytes, error);
    if (found == PARSE_MORE)
        return parse_bad(error, 400, "the head has no end");
    if (found == PARSE_DONE)
        found = h1_parse_request(str_sub(request->head, 0, head_bytes), limits, &x->message, error);
    return found;
}

static void run(struct dry *dry, const struct dry_request *request)
{
    struct exchange *x = dry->x;
    struct parse_error error = {0};
    x->request.codec = &dry->codec;
    x->request.body_in = request->body_bytes;
    x->trace = &dry->trace;
    enum parse found = read_head(x, request, &dry->front.head_limits, &error);
    dry->verdict = pipeline_decide(x, found == PARSE_DONE ? NULL : &error);
}

struct dry *dry_run(struct arena *arena, const struct dry_request *request)
{
    struct dry *dry = ARENA_NEW(arena, struct dry);
    if (dry == NULL)
        return NULL;
    shells_init(dry, request);
    dry->verdict = VERDICT_CLOSE;
    if (request->listener->tls) {
        dry->chosen = serve_choose(&dry->session.session, request->sni, &dry->choice);
        if (dry->chosen != TLS_CHOSEN)
            return dry;
    }
    dry->x = exchange_new(&dry->front, &dry->session.session);
    if (dry->x == NULL)
        return NULL;
    run(dry, request);
    return dry;
}

void dry_end(struct dry *dry)
{
    if (dry == NULL || dry->x == NULL)
        return;
    exchange_release(dry->x);
    exchange_free(dry->x);
    dry->x = NULL;
}

/* ---- the answer ---- */

void dry_answer(struct dry *dry)
{
    if (dry->verdict == VERDICT_ANSWER)
        answer_begin(dry->x);
}

void dry_origin_answer(struct dry *dry, const struct message *sample)
{
    struct exchange *x = dry->x;
    x->answer = *sample;
    x->answer_is_origins = true;
    edit_answer(x);
}
