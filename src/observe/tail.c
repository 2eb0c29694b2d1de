#include "observe/tail.h"

#include "observe/access_log.h"
#include "observe/log_ring.h"

#include <stdatomic.h>
#include <stdlib.h>

struct feed {
    struct log_ring *ring;
    _Atomic uint64_t lost; /* written by the loop */
};

struct tail {
    struct tail_filter filter;
    struct log_waker waker; /* its reader comes by itself, nobody is ever woken */
    uint64_t lost_told;
    unsigned threads;
    struct feed *feeds;
};

/* ---- the filter ---- */

bool tail_status(struct str s, struct tail_filter *filter)
{
    if (s.len != 3 || s.at[0] < '1' || s.at[0] > '5')
        return false;
    uint16_t hundreds = (uint16_t)((s.at[0] - '0') * 100);
    if (str_eq(str_skip(s, 1), STR("xx"))) {
        filter->status_from = hundreds;
        filter->status_to = (uint16_t)(hundreds + 99);
        return true;
    }
    if (!char_is_digit(s.at[1]) || !char_is_digit(s.at[2]))
        return false;
    filter->status_from = filter->status_to =
        (uint16_t)(hundreds + (s.at[1] - '0') * 10 + (s.at[2] - '0'));
    return true;
}

/* "name", "name:443", "[::1]:443" without the port. */
static struct str without_port(struct str host)
{
    size_t close = str_find_byte(host, ']');
    if (close != SIZE_MAX)
        return str_sub(host, 0, close + 1);
    return str_sub(host, 0, str_find_byte(host, ':'));
}

bool tail_admits(const struct tail_filter *f, const struct access_record *r)
{
    if (!str_empty(f->host) && !str_eq_nocase(f->host, without_port(r->host)) &&
        !str_eq_nocase(f->host, r->site))
        return false;
    if (!str_empty(f->route) && !str_eq(f->route, r->route))
        return false;
    if (f->status_to != 0 && (r->status < f->status_from || r->status > f->status_to))
        return false;
    if (f->has_net && !cidr_has(&f->net, &r->client))
        return false;
    return r->total_us >= f->slow_us;
}

/* ---- the way of a line ---- */

struct tail *tail_new(const struct tail_filter *filter, unsigned threads)
{
    struct tail *tail = calloc(1, sizeof *tail);
    if (tail == NULL)
        return NULL;
    tail->filter = *filter;
    tail->threads = threads;
    tail->waker.event_fd = -1;
    atomic_init(&tail->waker.state, LOG_AWAKE);
    tail->feeds = calloc(threads, sizeof *tail->feeds);
    for (unsigned i = 0; tail->feeds != NULL && i < threads; i++) {
        tail->feeds[i].ring = log_ring_new(&tail->waker, TAIL_RING_BYTES);
        if (tail->feeds[i].ring == NULL) {
            tail_end(tail);
            return NULL;
        }
    }
    if (tail->feeds != NULL)
        return tail;
    free(tail);
    return NULL;
}

void tail_end(struct tail *tail)
{
    if (tail == NULL)
        return;
    for (unsigned i = 0; i < tail->threads; i++)
        if (tail->feeds[i].ring != NULL)
            log_ring_end(tail->feeds[i].ring);
    free(tail->feeds);
    free(tail);
}

void tail_offer(struct tail *tail, unsigned thread, const struct access_record *record)
{
    static _Thread_local char bytes[ACCESS_LOG_LINE_MAX];
    struct feed *feed = &tail->feeds[thread];
    if (!tail_admits(&tail->filter, record))
        return;
    bool sent = false;
    if (!log_ring_half_full(feed->ring)) {
        struct text line = text_over(bytes, sizeof bytes);
        struct access_record masked = *record;
        masked.show = 0;
        access_log_add(&line, &masked, ACCESS_LOG_JSON);
        sent = log_ring_put(feed->ring, 0, text_str(&line));
    }
    if (!sent)
        atomic_fetch_add_explicit(&feed->lost, 1, memory_order_relaxed);
}

static void take_feed(struct log_ring *ring, struct text *out, size_t most)
{
    struct str parts[2];
    unsigned target;
    while (out->len < most && log_ring_peek(ring, &target, parts)) {
        text_add(out, parts[0]);
        text_add(out, parts[1]);
        text_add_byte(out, '\n');
        log_ring_next(ring);
    }
}

void tail_take(struct tail *tail, struct text *out, size_t most)
{
    for (unsigned i = 0; i < tail->threads; i++)
        take_feed(tail->feeds[i].ring, out, most);
}

uint64_t tail_lost(struct tail *tail)
{
    uint64_t lost = 0;
    for (unsigned i = 0; i < tail->threads; i++)
        lost += atomic_load_explicit(&tail->feeds[i].lost, memory_order_relaxed);
    uint64_t since = lost - tail->lost_told;
    tail->lost_told = lost;
    return since;
}
