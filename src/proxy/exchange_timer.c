#include "proxy/exchange_timer.h"

#include "proxy/front_state.h"
#include "proxy/session.h"

/* A client that sends less than this within the body timeout is too slow (`timeout body`). */
#define BODY_PROGRESS_BYTES 1024
/* And one that takes less than this of an answer within the send timeout (`timeout send`). */
#define SEND_PROGRESS_BYTES 1024

/* loop_now_ms() is never 0 on a machine that has been up for a millisecond. */
static uint64_t now_ms(const struct exchange *x)
{
    return loop_now_ms(x->front->loop);
}

/* Makes sure that the timer fires at the latest then. */
static void at_latest(struct exchange *x, uint64_t after_ms)
{
    uint64_t at_ms = now_ms(x) + after_ms;
    if (x->timer.at_ms == 0 || at_ms < x->timer.at_ms)
        timer_set(x->front->loop, &x->timer, after_ms);
}

void exchange_wait_body(struct exchange *x)
{
    x->waits.body_ms = now_ms(x);
    x->waits.body_mark = x->request.body_in;
    at_latest(x, x->conf->body_ms);
}

/*
 * What the client has taken. The system tells that a socket is writable again only once a third of
 * its buffer is free, which may be megabytes: of a slow client that is no news for minutes, though
 * it takes bytes all the time. Over TLS some of them are records' own: only differences count.
 */
static uint64_t taken(const struct exchange *x)
{
    return x->request.bytes_out - codec_backlog(&x->request) - stream_under_way(x->session->stream);
}

void exchange_wait_send(struct exchange *x)
{
    if (x->waits.send_ms != 0)
        return;
    x->waits.send_ms = now_ms(x);
    x->waits.send_mark = taken(x);
    at_latest(x, x->conf->send_ms);
}

void exchange_wait_answer(struct exchange *x, uint32_t reach_every_ms)
{
    x->waits.answer_ms = x->waits.reach_ms = now_ms(x);
    x->waits.reach_every_ms = reach_every_ms;
    at_latest(x, x->conf->answer_ms < reach_every_ms ? x->conf->answer_ms : reach_every_ms);
}

void exchange_wait_stream(struct exchange *x)
{
    bool first = x->waits.stream_ms == 0;
    x->waits.answer_ms = 0;
    x->waits.stream_ms = now_ms(x);
    if (first)
        at_latest(x, x->conf->stream_ms);
}

void exchange_wait_quiet(struct exchange *x)
{
    bool first = x->waits.quiet_ms == 0;
    x->waits.answer_ms = x->waits.stream_ms = x->waits.body_ms = 0;
    x->waits.quiet_ms = now_ms(x);
    if (first)
        at_latest(x, x->conf->quiet_ms);
}

/* 0 when this wait is over its time, else ms left; UINT64_MAX when nothing is awaited. */
static uint64_t left_ms(const struct exchange *x, uint64_t since_ms, uint32_t most_ms)
{
    if (since_ms == 0)
        return UINT64_MAX;
    uint64_t waited = now_ms(x) - since_ms;
    return waited >= most_ms ? 0 : most_ms - waited;
}

/* Waits whose progress is looked at only now. */
static void note_progress(struct exchange *x)
{
    struct waits *w = &x->waits;
    if (x->request.body_whole)
        w->body_ms = 0;
    else if (w->body_ms != 0 &&
             (x->body_paused || x->request.body_in - w->body_mark >= BODY_PROGRESS_BYTES)) {
        w->body_ms = now_ms(x);
        w->body_mark = x->request.body_in;
    }
    uint64_t so_far = taken(x);
    if (codec_backlog(&x->request) == 0) {
        w->send_ms = 0;
    } else if ((int64_t)(so_far - w->send_mark) >= SEND_PROGRESS_BYTES || w->send_ms == 0) {
        w->send_ms = now_ms(x);
        w->send_mark = so_far;
        /* An origin that is not read because its client is slow is not silent. */
        if (w->stream_ms != 0)
            w->stream_ms = now_ms(x);
    } else if (w->stream_ms != 0) {
        w->stream_ms = now_ms(x);
    }
}

struct wait_left {
    uint64_t ms;
    enum exchange_timeout which;
};

/* The wait that is over, or over first. Of several that are over the first of the rows counts. */
static struct wait_left next_over(const struct exchange *x)
{
    const struct waits *w = &x->waits;
    const struct wait_left rows[] = {
        {left_ms(x, w->send_ms, x->conf->send_ms), EXCHANGE_SEND_TIMEOUT},
        {left_ms(x, w->body_ms, x->conf->body_ms), EXCHANGE_BODY_TIMEOUT},
        {left_ms(x, w->answer_ms, x->conf->answer_ms), EXCHANGE_ANSWER_TIMEOUT},
        {left_ms(x, w->answer_ms != 0 ? w->reach_ms : 0, w->reach_every_ms),
         EXCHANGE_REACH_TIMEOUT},
        {left_ms(x, w->stream_ms, x->conf->stream_ms), EXCHANGE_STREAM_TIMEOUT},
        {left_ms(x, w->quiet_ms, x->conf->quiet_ms), EXCHANGE_QUIET_TIMEOUT},
    };
    struct wait_left least = rows[0];
    for (size_t i = 1; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].ms < least.ms)
            least = rows[i];
    return least;
}

static void on_fire(struct loop_timer *timer)
{
    struct exchange *x = LIST_OF(timer, struct exchange, timer);
    note_progress(x);
    struct wait_left next = next_over(x);
    if (next.ms == 0)
        x->on_timeout(x, next.which);
    else if (next.ms != UINT64_MAX)
        timer_set(x->front->loop, &x->timer, next.ms);
}

void exchange_look_later(struct exchange *x)
{
    x->waits.reach_ms = now_ms(x);
    timer_set(x->front->loop, &x->timer, next_over(x).ms);
}

void exchange_timer_init(struct exchange *x,
                         void (*on_timeout)(struct exchange *x, enum exchange_timeout which))
{
    x->timer.on_fire = on_fire;
    x->on_timeout = on_timeout;
}
