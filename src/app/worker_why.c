#include "app/worker_why.h"

#include "app/worker_thread.h"
#include "base/arena.h"
#include "observe/access_log.h"
#include "observe/recall.h"
#include "observe/tail.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- why ---- */

struct search {
    struct str reference; /* or refusals of: */
    struct addr client;
    struct recall_entry *found; /* copies: the rings go on */
    unsigned count, most;
};

static bool is_sought(const struct search *s, const struct recall_entry *entry)
{
    return str_empty(s->reference) ? recall_is_refusal_of(entry, &s->client)
                                   : recall_is(entry, s->reference);
}

/* On the loop's thread: its latest, at most WHY_REFUSALS_MAX. */
static void search_thread(struct front *front, void *user)
{
    struct search *s = user;
    const struct recall *recall = front_recall(front);
    unsigned had = s->count;
    const struct recall_entry *entry;
    for (unsigned back = 0; (entry = recall_at(recall, back)) != NULL; back++)
        if (is_sought(s, entry) && s->count < s->most && s->count - had < WHY_REFUSALS_MAX)
            s->found[s->count++] = *entry;
}

static int latest_first(const void *a, const void *b)
{
    uint64_t x = ((const struct recall_entry *)a)->start_wall_us,
             y = ((const struct recall_entry *)b)->start_wall_us;
    return x < y ? 1 : x > y ? -1 : 0;
}

static bool read_search(struct query *query, struct search *s, bool *unmask)
{
    struct str from = query_option(query, "from");
    s->reference = query_option(query, "ref");
    *unmask = !str_empty(query_option(query, "unmask"));
    if (*unmask && !query->by_root)
        text_add_z(&query->out, "only root may see what is masked\n");
    else if (str_empty(s->reference) == str_empty(from))
        text_add_z(&query->out, "say a reference or an address\n");
    else if (!str_empty(from) && !addr_parse_ip(from, &s->client))
        text_printf(&query->out, "this is no address\n");
    else
        return true;
    return false;
}

bool worker_why(struct query *query, const struct worker_view *view)
{
    struct search s = {.count = 0};
    bool unmask;
    if (!read_search(query, &s, &unmask))
        return false;
    s.most = view->thread_count * WHY_REFUSALS_MAX;
    s.found = arena_array(query->arena, s.most, sizeof *s.found);
    for (unsigned i = 0; s.found != NULL && i < view->thread_count; i++)
        if (!worker_thread_do(&view->threads[i], search_thread, &s)) {
            text_printf(&query->out, "thread %u does not answer\n", i);
            return false;
        }
    if (s.count > 1)
        qsort(s.found, s.count, sizeof *s.found, latest_first);
    for (unsigned i = 0; i < s.count && i < WHY_REFUSALS_MAX; i++) {
        struct access_record record;
        recall_read(&s.found[i], &record);
        record.show = unmask ? ACCESS_SHOW_QUERY : 0;
        access_log_add(&query->out, &record, ACCESS_LOG_JSON);
        text_add_byte(&query->out, '\n');
    }
    return true;
}

/* ---- tail ---- */

struct follower {
    struct tail *tail;
    struct worker_thread *threads;
    unsigned thread_count;
};

static void remove_tail(struct front *front, void *tail)
{
    front_tail_remove(front, tail);
}

/* A loop that does not answer may still use the rings: then they are left behind with it. */
static void end_follower(void *user)
{
    struct follower *f = user;
    bool free_of_it = true;
    for (unsigned i = 0; i < f->thread_count; i++)
        free_of_it = worker_thread_do(&f->threads[i], remove_tail, f->tail) && free_of_it;
    if (free_of_it)
        tail_end(f->tail);
}

struct adding {
    struct tail *tail;
    bool added;
};

static void add_tail(struct front *front, void *user)
{
    struct adding *adding = user;
    adding->added = front_tail_add(front, adding->tail);
}

static bool more_records(struct query *query, void *user)
{
    const struct worker_view *view = user;
    struct follower *f = query->state;
    if (query->out.len >= TAIL_BACKLOG_BYTES)
        return true;
    tail_take(f->tail, &query->out, TAIL_BACKLOG_BYTES);
    uint64_t lost = tail_lost(f->tail);
    if (lost != 0)
        text_printf(&query->out, "{\"kind\":\"lost\",\"count\":%" PRIu64 "}\n", lost);
    if (view->draining)
        text_add_z(&query->out, "{\"kind\":\"replaced\"}\n");
    return !view->draining;
}

static bool read_filter(struct query *query, struct tail_filter *filter)
{
    struct str status = query_option(query, "status"), from = query_option(query, "from"),
               slow = query_option(query, "slow");
    uint64_t slow_ms = 0;
    filter->host = query_option(query, "host");
    filter->route = query_option(query, "route");
    filter->has_net = !str_empty(from);
    if (!str_empty(status) && !tail_status(status, filter))
        text_add_z(&query->out, "a status is written as 404 or 5xx\n");
    else if (filter->has_net && cidr_parse(from, &filter->net) != CIDR_OK)
        text_add_z(&query->out, "addresses are written as 10.0.0.0/8\n");
    else if (!str_empty(slow) && !str_to_u64(slow, UINT32_MAX, &slow_ms))
        text_add_z(&query->out, "this is no number of milliseconds\n");
    else {
        filter->slow_us = slow_ms * 1000;
        return true;
    }
    return false;
}

static bool start_follower(struct query *query, struct follower *f)
{
    for (unsigned i = 0; i < f->thread_count; i++) {
        struct adding adding = {.tail = f->tail};
        if (!worker_thread_do(&f->threads[i], add_tail, &adding)) {
            text_printf(&query->out, "thread %u does not answer\n", i);
            return false;
        }
        if (!adding.added) {
            text_printf(&query->out, "there are %d readers already\n", FRONT_TAILS_MAX);
            return false;
        }
    }
    return true;
}

bool worker_tail(struct query *query, const struct worker_view *view)
{
    struct tail_filter filter = {0};
    if (!read_filter(query, &filter))
        return false;
    struct follower *f = ARENA_NEW(query->arena, struct follower);
    struct tail *tail = f ? tail_new(&filter, view->thread_count) : NULL;
    if (tail == NULL) {
        text_add_z(&query->out, "out of memory\n");
        return false;
    }
    *f = (struct follower){
        .tail = tail, .threads = view->threads, .thread_count = view->thread_count};
    if (!arena_defer(query->arena, end_follower, f)) {
        tail_end(tail);
        text_add_z(&query->out, "out of memory\n");
        return false;
    }
    if (!start_follower(query, f))
        return false;
    query->state = f;
    query->more = more_records;
    return true;
}
