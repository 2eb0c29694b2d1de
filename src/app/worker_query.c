#include "app/worker_query.h"

#include "app/worker_explain.h"
#include "app/worker_thread.h"
#include "base/arena.h"
#include "upstream/upstream.h"

#include <inttypes.h>

/* ---- origins: what each thread has met, added up ---- */

/* More are not worth an answer: a configuration of ten thousand routes may name as many. */
enum { ORIGINS_MAX = 16 * 1024 };

struct origin_sum {
    struct str text;
    unsigned resting; /* in so many threads */
    uint64_t failures, idle, in_use;
};

struct origin_list {
    struct arena *arena;
    struct origin_sum *sums;
    size_t count;
};

static struct origin_sum *sum_of(struct origin_list *list, struct str text)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(list->sums[i].text, text))
            return &list->sums[i];
    if (list->count == ORIGINS_MAX)
        return NULL;
    struct str copy = str_dup(list->arena, text);
    if (copy.len != text.len)
        return NULL;
    list->sums[list->count].text = copy;
    return &list->sums[list->count++];
}

static void add_origin(void *user, const struct origin_status *status)
{
    struct origin_sum *sum = sum_of(user, status->text);
    if (sum == NULL)
        return;
    sum->resting += status->resting;
    sum->failures = status->failures; /* all threads know the same */
    sum->idle += status->idle;
    sum->in_use += status->in_use;
}

static void add_thread(struct front *front, void *list)
{
    upstreams_status(front_upstreams(front), add_origin, list);
}

static bool origins(struct query *query, const struct worker_view *view)
{
    struct origin_list list = {.arena = query->arena};
    list.sums = arena_array(query->arena, ORIGINS_MAX, sizeof *list.sums);
    for (unsigned i = 0; list.sums != NULL && i < view->thread_count; i++)
        if (!worker_thread_do(&view->threads[i], add_thread, &list)) {
            text_printf(&query->out, "thread %u does not answer\n", i);
            return false;
        }
    text_add_byte(&query->out, '[');
    for (size_t i = 0; i < list.count; i++) {
        const struct origin_sum *sum = &list.sums[i];
        text_add_z(&query->out, i == 0 ? "{\"origin\":" : ",{\"origin\":");
        text_add_json(&query->out, sum->text);
        text_printf(&query->out,
                    ",\"resting\":%s,\"failures\":%" PRIu64 ",\"idle\":%" PRIu64
                    ",\"in_use\":%" PRIu64 "}",
                    sum->resting > 0 ? "true" : "false", sum->failures, sum->idle, sum->in_use);
    }
    text_add_z(&query->out, "]\n");
    return true;
}

/* ---- explain ---- */

static bool explain(struct query *query, const struct worker_view *view)
{
    return worker_explain(query, view->snapshot, view->threads[0].conf.origins);
}

/* ---- the table ---- */

static const struct {
    struct str name;
    bool (*answer)(struct query *query, const struct worker_view *view);
} table[] = {
    {STR_INIT("origins"), origins},
    {STR_INIT("explain"), explain},
};

bool worker_query_answer(struct query *query, void *view)
{
    const struct worker_view *v = view;
    if (v->snapshot == NULL) {
        text_add_z(&query->out, "nothing is served yet\n");
        return false;
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (str_eq(query->words[0], table[i].name))
            return table[i].answer(query, v);
    text_add_z(&query->out, "unknown question\n");
    return false;
}
