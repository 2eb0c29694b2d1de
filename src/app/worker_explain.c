#include "app/worker_explain.h"

#include "app/explain_origins.h"
#include "app/explain_query.h"
#include "app/worker_thread.h"
#include "base/arena.h"

/* Whom to ask. */
struct crowd {
    struct worker_thread *threads;
    unsigned count;
};

struct peek {
    const struct upstream_conf *upstream;
    uint64_t key;
    struct explain_choice *choice;
};

/* On the thread that would choose. */
static void peek(struct front *front, void *arg)
{
    struct peek *p = arg;
    p->choice->choice =
        upstream_peek(front_upstreams(front), p->upstream, p->key, &p->choice->index);
}

static int origins(void *user, const struct upstream_conf *upstream, uint64_t key,
                   struct report *report)
{
    const struct crowd *crowd = user;
    struct explain_choice *choices = arena_array(report->arena, crowd->count, sizeof *choices);
    explain_origins_tell(report, upstream, crowd->threads[0].conf.origins);
    for (unsigned i = 0; i < crowd->count; i++) {
        if (choices == NULL)
            return -1;
        struct peek p = {.upstream = upstream, .key = key, .choice = &choices[i]};
        if (!worker_thread_do(&crowd->threads[i], peek, &p)) {
            report_add(report, "warning", NULL, "thread %u does not answer", i);
            return -1;
        }
    }
    return explain_origins_choose(report, upstream, choices, crowd->count);
}

bool worker_explain(struct query *query, struct snapshot *snapshot, struct worker_thread *threads,
                    unsigned thread_count)
{
    const struct explain_words words = {query->words + 1, query->word_count - 1};
    struct crowd crowd = {threads, thread_count};
    const struct explain_live live = {.origins = origins, .user = &crowd};
    return explain_query(query->arena, &words, snapshot, &live, &query->out);
}
