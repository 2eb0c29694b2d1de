#include "app/origin_metrics.h"

#include "base/pages.h"
#include "observe/metrics_text.h"
#include "upstream/origin_shared.h"

#include <stdlib.h>
#include <string.h>

enum origin_state { STATE_UP, STATE_RESTING, STATE_DOWN, STATE_DRAINED, STATES };

static const struct str state_names[STATES] = {STR_INIT("up"), STR_INIT("resting"),
                                               STR_INIT("down"), STR_INIT("drained")};

struct origin_row {
    char text[ORIGIN_TEXT_MAX];
    size_t text_len;
    enum origin_state state;
    uint64_t in_use, requests, failed, ports_out;
};

struct origin_rows {
    struct origin_row *rows;
    size_t count, room;
    uint64_t now_ms;
};

static void count_one(void *user, const struct origin_shared *origin)
{
    size_t *count = user;
    (void)origin;
    (*count)++;
}

static enum origin_state state_of(const struct origin_shared *origin, uint64_t now_ms)
{
    uint32_t state = origin_shared_state(origin);
    if ((state & ORIGIN_DRAINED) != 0)
        return STATE_DRAINED;
    if ((state & ORIGIN_DOWN) != 0)
        return STATE_DOWN;
    return origin_shared_rests(origin, now_ms) ? STATE_RESTING : STATE_UP;
}

static void take_one(void *user, const struct origin_shared *origin)
{
    struct origin_rows *list = user;
    if (list->count == list->room)
        return; /* met since they were counted */
    struct origin_row *row = &list->rows[list->count++];
    *row = (struct origin_row){
        .text_len = origin->text_len,
        .state = state_of(origin, list->now_ms),
        .in_use = atomic_load_explicit(&origin->in_use, memory_order_relaxed),
        .requests = atomic_load_explicit(&origin->requests, memory_order_relaxed),
        .failed = atomic_load_explicit(&origin->failed, memory_order_relaxed),
        .ports_out = atomic_load_explicit(&origin->ports_out, memory_order_relaxed),
    };
    memcpy(row->text, origin->text, sizeof row->text);
}

static struct str text_of(const struct origin_row *row)
{
    return str_from(row->text, row->text_len);
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(text_of(a), text_of(b));
}

/* Neighbours of one text become one: the best state, since requests find the way that works. */
static void merge(struct origin_rows *list)
{
    size_t kept = 0;
    qsort(list->rows, list->count, sizeof *list->rows, by_text);
    for (size_t i = 0; i < list->count; i++) {
        const struct origin_row *row = &list->rows[i];
        struct origin_row *last = kept > 0 ? &list->rows[kept - 1] : NULL;
        if (last == NULL || !str_eq(text_of(last), text_of(row))) {
            list->rows[kept++] = *row;
            continue;
        }
        last->state = row->state < last->state ? row->state : last->state;
        last->in_use += row->in_use;
        last->requests += row->requests;
        last->failed += row->failed;
        last->ports_out += row->ports_out;
    }
    list->count = kept;
}

static void write_states(const struct origin_rows *list, struct text *out)
{
    metrics_text_head(out, "portcullis_origin_state", METRICS_GAUGE,
                      "1 for the state an origin is in: up, resting after failures, down by its "
                      "check, drained by the operator.");
    for (size_t i = 0; i < list->count; i++)
        for (unsigned state = 0; state < STATES; state++) {
            const struct metrics_label labels[] = {{"origin", text_of(&list->rows[i])},
                                                   {"state", state_names[state]}};
            metrics_text_sample(out, "portcullis_origin_state", labels, 2,
                                list->rows[i].state == state);
        }
}

static void write_family(const struct origin_rows *list, struct text *out, const char *name,
                         enum metrics_type type, size_t member, const char *help)
{
    metrics_text_head(out, name, type, help);
    for (size_t i = 0; i < list->count; i++) {
        const struct metrics_label origin = {"origin", text_of(&list->rows[i])};
        uint64_t value;
        /* @UNSAFE: the callers below name members of struct origin_row that are uint64_t */
        memcpy(&value, (const char *)&list->rows[i] + member, sizeof value);
        metrics_text_sample(out, name, &origin, 1, value);
    }
}

static void write_all(const struct origin_rows *list, struct text *out)
{
    write_states(list, out);
    write_family(list, out, "portcullis_origin_tries_total", METRICS_COUNTER,
                 offsetof(struct origin_row, requests),
                 "Connections to an origin that were taken or begun for a request.");
    write_family(list, out, "portcullis_origin_failures_total", METRICS_COUNTER,
                 offsetof(struct origin_row, failed),
                 "Attempts to connect and requests that failed because of the origin.");
    write_family(list, out, "portcullis_origin_connections", METRICS_GAUGE,
                 offsetof(struct origin_row, in_use),
                 "Connections to an origin that are in use or being made.");
    write_family(list, out, "portcullis_origin_ports_exhausted_total", METRICS_COUNTER,
                 offsetof(struct origin_row, ports_out),
                 "Connects to an origin for which no local port was left.");
}

void origin_metrics_write(struct origin_registry *registry, uint64_t now_ms, struct text *out)
{
    struct origin_rows list = {.now_ms = now_ms};
    origin_registry_each(registry, count_one, &list.room);
    if (list.room == 0)
        return;
    list.rows = pages_take(list.room * sizeof *list.rows);
    if (list.rows == NULL) {
        out->cut = true; /* no memory: the answer says so */
        return;
    }
    origin_registry_each(registry, take_one, &list);
    merge(&list);
    write_all(&list, out);
    pages_give(list.rows, list.room * sizeof *list.rows);
}
