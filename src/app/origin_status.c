#include "app/origin_status.h"

#include "app/worker_thread.h"
#include "base/arena.h"
#include "base/clock.h"
#include "upstream/origin_shared.h"
#include "upstream/upstream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* As they are read: an origin may be drained, down and resting at once; the first is what counts.
 */
enum { DRAINED, DOWN, RESTING, UP, STATES };

static const char *const state_names[STATES] = {"drained", "down", "resting", "up"};

struct row {
    char text[ORIGIN_TEXT_MAX];
    size_t text_len;
    unsigned state;
    uint64_t rests_ms; /* that it will still rest */
    uint64_t in_use, queued, idle, requests, failed, failures, ports_out;
    char cause[ORIGIN_CAUSE_MAX];
};

struct rows {
    struct row *rows;
    size_t count, room;
    uint64_t now_ms;
};

static struct str text_of(const struct row *row)
{
    return str_from(row->text, row->text_len);
}

/* ---- looking ---- */

static void count_one(void *user, const struct origin_shared *origin)
{
    size_t *count = user;
    (void)origin;
    (*count)++;
}

static uint64_t read_u64(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void take_one(void *user, const struct origin_shared *origin)
{
    struct rows *list = user;
    if (list->count == list->room)
        return; /* met since they were counted */
    struct row *row = &list->rows[list->count++];
    uint32_t state = origin_shared_state(origin);
    uint64_t until_ms = read_u64(&origin->rests_until_ms);
    *row = (struct row){
        .text_len = origin->text_len,
        .rests_ms = until_ms > list->now_ms ? until_ms - list->now_ms : 0,
        .in_use = atomic_load_explicit(&origin->in_use, memory_order_relaxed),
        .queued = atomic_load_explicit(&origin->queued, memory_order_relaxed),
        .requests = read_u64(&origin->requests),
        .failed = read_u64(&origin->failed),
        .failures = atomic_load_explicit(&origin->failures, memory_order_relaxed),
        .ports_out = read_u64(&origin->ports_out),
    };
    row->state = (state & ORIGIN_DRAINED) != 0 ? DRAINED
                 : (state & ORIGIN_DOWN) != 0  ? DOWN
                 : row->rests_ms != 0          ? RESTING
                                               : UP;
    memcpy(row->text, origin->text, sizeof row->text);
    memcpy(row->cause, origin->cause, sizeof row->cause);
    row->cause[sizeof row->cause - 1] = '\0';
}

static void add_idle(void *user, const struct origin_status *status)
{
    struct rows *list = user;
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(text_of(&list->rows[i]), status->text)) {
            list->rows[i].idle += status->idle;
            return;
        }
}

static void add_thread(struct front *front, void *list)
{
    upstreams_status(front_upstreams(front), add_idle, list);
}

/* No request has met it yet. */
static void take_drained(void *user, struct str text)
{
    struct rows *list = user;
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(text_of(&list->rows[i]), text))
            return;
    if (list->count == list->room)
        return;
    struct row *row = &list->rows[list->count++];
    *row = (struct row){.state = DRAINED, .text_len = text.len};
    memcpy(row->text, text.at, text.len);
}

static int by_state(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return x->state != y->state ? (x->state < y->state ? -1 : 1) : str_cmp(text_of(x), text_of(y));
}

/* ---- telling ---- */

static void write_row(struct text *out, const struct row *row)
{
    text_add_z(out, "{\"origin\":");
    text_add_json(out, text_of(row));
    text_printf(out, ",\"state\":\"%s\"", state_names[row->state]);
    if (row->state == DRAINED) {
        text_add_z(out, ",\"why\":\"drained by the operator\"");
    } else if (row->state != UP && row->cause[0] != '\0') {
        text_add_z(out, ",\"why\":");
        text_add_json(out, str_from_z(row->cause));
    }
    if (row->rests_ms != 0)
        text_printf(out, ",\"rests_ms\":%" PRIu64, row->rests_ms);
    text_printf(out,
                ",\"requests\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"failed_in_a_row\":%" PRIu64
                ",\"in_use\":%" PRIu64 ",\"idle\":%" PRIu64,
                row->requests, row->failed, row->failures, row->in_use, row->idle);
    if (row->queued != 0)
        text_printf(out, ",\"queued\":%" PRIu64, row->queued);
    if (row->ports_out != 0)
        text_printf(out, ",\"no_local_port\":%" PRIu64, row->ports_out);
    text_add_byte(out, '}');
}

bool origin_status_answer(struct query *query, struct worker_thread *threads, unsigned thread_count)
{
    struct origin_registry *registry = threads[0].conf.origins;
    struct rows list = {.now_ms = clock_mono_ms()};
    origin_registry_each(registry, count_one, &list.room);
    list.room += ORIGIN_DRAINS_MAX;
    list.rows = arena_array(query->arena, list.room, sizeof *list.rows);
    if (list.rows == NULL) {
        text_add_z(&query->out, "too many origins\n");
        return false;
    }
    origin_registry_each(registry, take_one, &list);
    origin_registry_each_drained(registry, take_drained, &list);
    qsort(list.rows, list.count, sizeof *list.rows, by_state);
    size_t all = list.count;
    list.count = all < ORIGIN_STATUS_MAX ? all : ORIGIN_STATUS_MAX;
    for (unsigned i = 0; i < thread_count; i++)
        if (!worker_thread_do(&threads[i], add_thread, &list)) {
            text_printf(&query->out, "thread %u does not answer\n", i);
            return false;
        }
    text_add_z(&query->out, "{\"origins\":[");
    for (size_t i = 0; i < list.count; i++) {
        text_add_z(&query->out, i == 0 ? "" : ",");
        write_row(&query->out, &list.rows[i]);
    }
    text_printf(&query->out, "],\"origins_not_shown\":%zu}\n", all - list.count);
    return true;
}
