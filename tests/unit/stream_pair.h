/*
 * Two streams in memory, joined: what one sends, the other's user gets when the test pumps. For
 * tests of what stands on net/stream.h. Deterministic: one thread, no clock, no descriptor; pieces
 * of any size down to one byte. Deferred calls run at the end of each turn of the pump, as in a
 * loop, which this header stands in for: include it in one file of a test.
 */
#ifndef PC_TESTS_STREAM_PAIR_H
#define PC_TESTS_STREAM_PAIR_H

#include "net/addr.h"
#include "net/loop.h"
#include "net/stream.h"

#include <stdlib.h>
#include <string.h>

struct pair_end {
    struct stream stream;
    struct pair_end *other;
    char *bytes; /* on their way to this end */
    size_t len, cap;
    bool fin, fin_told; /* the other side finished */
    bool reset;         /* the other side was closed with a reset */
    bool paused, closed, finished;
    bool expects_much;
    size_t sends;   /* calls of send(), for tests that count them */
    size_t sent;    /* bytes */
    size_t backlog; /* what backlog() answers: the test sets it */
};

struct pair {
    struct pair_end ends[2];
};

static struct loop_task *pair_tasks;

void loop_defer(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct loop_task **last = &pair_tasks;
    while (*last != NULL)
        last = &(*last)->next;
    task->next = NULL;
    *last = task;
}

static struct loop_task *pair_posted;
static uint64_t pair_turns;

void loop_post(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct loop_task **last = &pair_posted;
    while (*last != NULL)
        last = &(*last)->next;
    task->next = NULL;
    *last = task;
}

uint64_t loop_turns(const struct loop *loop)
{
    (void)loop;
    return pair_turns;
}

static inline bool pair_run(struct loop_task **tasks)
{
    bool any = false;
    while (*tasks != NULL) {
        struct loop_task *task = *tasks;
        *tasks = task->next;
        task->run(task);
        any = true;
    }
    return any;
}

/* The end of a turn; the next one begins with what was posted. */
static inline bool pair_run_tasks(void)
{
    bool any = pair_run(&pair_tasks);
    struct loop_task *posted = pair_posted;
    pair_posted = NULL;
    pair_turns++;
    return pair_run(&posted) || any;
}

static inline struct pair_end *pair_end_of(const struct stream *stream)
{
    return (struct pair_end *)(uintptr_t)stream;
}

static inline void pair_op_send(struct stream *stream, const struct iovec *iov, int count)
{
    struct pair_end *end = pair_end_of(stream), *to = end->other;
    if (end->closed || end->finished)
        return;
    end->sends++;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len == 0)
            continue;
        if (to->len + iov[i].iov_len > to->cap) {
            to->cap = (to->len + iov[i].iov_len) * 2;
            to->bytes = realloc(to->bytes, to->cap);
        }
        memcpy(to->bytes + to->len, iov[i].iov_base, iov[i].iov_len);
        to->len += iov[i].iov_len;
        end->sent += iov[i].iov_len;
    }
}

static inline size_t pair_op_backlog(const struct stream *s)
{
    return pair_end_of(s)->backlog;
}
static inline void pair_op_pause(struct stream *s, bool paused)
{
    pair_end_of(s)->paused = paused;
}
static inline void pair_op_expect(struct stream *s, bool much)
{
    pair_end_of(s)->expects_much = much;
}
static inline void pair_op_finish(struct stream *s)
{
    pair_end_of(s)->finished = true;
    pair_end_of(s)->other->fin = true;
}
static inline void pair_op_close(struct stream *s, bool reset)
{
    pair_end_of(s)->closed = true;
    pair_end_of(s)->other->fin = true;
    pair_end_of(s)->other->reset = reset;
}
static inline struct loop *pair_op_loop(const struct stream *s)
{
    (void)s;
    return NULL;
}
static inline size_t pair_op_under_way(const struct stream *s)
{
    (void)s;
    return 0;
}
static inline bool pair_op_stranded(const struct stream *s, uint32_t ms)
{
    (void)s;
    (void)ms;
    return false;
}

static inline bool pair_op_healthy(struct stream *s)
{
    return !pair_end_of(s)->fin && pair_end_of(s)->len == 0;
}
static inline int pair_op_error(const struct stream *s)
{
    (void)s;
    return 0;
}
static inline const char *pair_op_error_text(const struct stream *s)
{
    (void)s;
    return "";
}
static inline void pair_op_addresses(const struct stream *s, struct addr *local, struct addr *peer)
{
    (void)s;
    *local = *peer = (struct addr){0};
}

static const struct stream_ops pair_ops = {
    .send = pair_op_send,
    .backlog = pair_op_backlog,
    .pause = pair_op_pause,
    .expect = pair_op_expect,
    .finish = pair_op_finish,
    .close = pair_op_close,
    .loop = pair_op_loop,
    .under_way = pair_op_under_way,
    .healthy = pair_op_healthy,
    .stranded = pair_op_stranded,
    .error = pair_op_error,
    .error_text = pair_op_error_text,
    .addresses = pair_op_addresses,
};

static inline void pair_init(struct pair *pair)
{
    memset(pair, 0, sizeof(*pair));
    for (int i = 0; i < 2; i++) {
        pair->ends[i].stream.ops = &pair_ops;
        pair->ends[i].other = &pair->ends[1 - i];
    }
}

static inline void pair_fini(struct pair *pair)
{
    pair_run_tasks();
    free(pair->ends[0].bytes);
    free(pair->ends[1].bytes);
}

/* One piece to one end; true when something moved. */
static inline bool pair_deliver(struct pair_end *end, size_t piece)
{
    if (end->closed || end->stream.user == NULL)
        return false;
    if (end->reset && !end->fin_told) {
        end->fin_told = true;
        end->stream.user->on_end(end->stream.user_data, STREAM_RESET);
        return true;
    }
    if (end->len > 0 && !end->paused && !end->fin_told) {
        size_t len = end->len < piece ? end->len : piece;
        char *copy = malloc(len); /* of exactly this size, so that reads beyond are seen */
        memcpy(copy, end->bytes, len);
        memmove(end->bytes, end->bytes + len, end->len - len);
        end->len -= len;
        end->stream.user->on_bytes(end->stream.user_data, str_from(copy, len));
        free(copy);
        return true;
    }
    if (end->len == 0 && end->fin && !end->fin_told && !end->paused) {
        end->fin_told = true;
        end->stream.user->on_end(end->stream.user_data, STREAM_FINISHED);
        return true;
    }
    return false;
}

/* One turn: at most one piece to each end, then the deferred calls. */
static inline bool pair_turn(struct pair *pair, size_t piece)
{
    bool moved = pair_deliver(&pair->ends[0], piece);
    moved = pair_deliver(&pair->ends[1], piece) || moved;
    return pair_run_tasks() || moved;
}

static inline void pair_pump(struct pair *pair, size_t piece)
{
    while (pair_turn(pair, piece))
        ;
}

#endif
