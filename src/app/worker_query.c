#include "app/worker_query.h"

#include "app/origin_names.h"
#include "app/origin_status.h"
#include "app/worker_explain.h"
#include "app/worker_thread.h"
#include "app/worker_why.h"

static bool origins(struct query *query, const struct worker_view *view)
{
    return origin_status_answer(query, view->threads, view->thread_count);
}

static bool origin(struct query *query, const struct worker_view *view)
{
    return origin_names_answer(query, view->snapshot);
}

/* ---- explain ---- */

static bool explain(struct query *query, const struct worker_view *view)
{
    return worker_explain(query, view->snapshot, view->threads, view->thread_count);
}

/* ---- the table ---- */

static const struct {
    struct str name;
    bool (*answer)(struct query *query, const struct worker_view *view);
} table[] = {
    {STR_INIT("origins"), origins}, {STR_INIT("origin"), origin},    {STR_INIT("explain"), explain},
    {STR_INIT("why"), worker_why},  {STR_INIT("tail"), worker_tail},
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
