#include "app/worker_explain.h"

#include "app/explain_query.h"
#include "base/arena.h"
#include "base/clock.h"
#include "proxy/snapshot.h"
#include "upstream/origin_shared.h"
#include "upstream/upstream_conf.h"

#include <string.h>

/* What is known of one origin at this moment. */
struct knowledge {
    bool met, usable;
    uint32_t state, failures, in_use;
    uint64_t rests_ms; /* that it will still rest */
    uint64_t last_failed_ms;
    char cause[ORIGIN_CAUSE_MAX];
};

struct look {
    const struct upstream_conf *upstream;
    uint64_t now_ms;
    struct knowledge origins[UPSTREAM_ORIGINS_MAX];
};

/* ---- looking ---- */

static void note(struct knowledge *k, const struct origin_shared *origin, uint64_t now_ms)
{
    uint64_t until_ms = atomic_load(&origin->rests_until_ms);
    k->met = true;
    k->state = origin_shared_state(origin);
    k->failures = atomic_load(&origin->failures);
    k->in_use = atomic_load(&origin->in_use);
    k->rests_ms = until_ms > now_ms ? until_ms - now_ms : 0;
    k->last_failed_ms = atomic_load(&origin->last_failed_ms);
    memcpy(k->cause, origin->cause, sizeof k->cause);
    k->cause[sizeof k->cause - 1] = '\0';
    k->usable = k->state == 0 && k->rests_ms == 0;
}

/* Under the registry's mutex. */
static void look_at(void *user, const struct origin_shared *origin)
{
    struct look *look = user;
    for (unsigned i = 0; i < look->upstream->origin_count; i++)
        if (look->upstream->origins[i].identity == origin->identity)
            note(&look->origins[i], origin, look->now_ms);
}

/* ---- telling ---- */

static void tell(struct report *report, const struct origin_conf *conf, const struct knowledge *k)
{
    char why[ORIGIN_CAUSE_MAX + 64] = "";
    struct text text = text_over(why, sizeof why - 1);
    if (k->cause[0] != '\0')
        text_printf(&text, ": %s", k->cause);
    why[text.len] = '\0';
    struct str name = conf->text;
    if (k->state & ORIGIN_DRAINED)
        report_add(report, "drained", &conf->where, "%.*s, by the operator; %u connections in use",
                   STR_ARG(name), (unsigned)k->in_use);
    else if (k->state & ORIGIN_DOWN)
        report_add(report, "down", &conf->where, "%.*s, by its check%s", STR_ARG(name), why);
    else if (k->rests_ms != 0)
        report_add(report, "resting", &conf->where,
                   "%.*s, for %llu ms more, after %u failure%s in a row%s", STR_ARG(name),
                   (unsigned long long)k->rests_ms, (unsigned)k->failures,
                   k->failures == 1 ? "" : "s", why);
    else if (!k->met)
        report_add(report, "ready", &conf->where, "%.*s; it was not asked yet", STR_ARG(name));
    else
        report_add(report, "ready", &conf->where, "%.*s; %u connections in use", STR_ARG(name),
                   (unsigned)k->in_use);
}

/* The only one that may be asked, or -1; the one that failed longest ago where none may. */
static int choose(const struct look *look, unsigned *usable)
{
    int best = -1, last = -1;
    *usable = 0;
    for (unsigned i = 0; i < look->upstream->origin_count; i++) {
        const struct knowledge *k = &look->origins[i];
        bool usable_now = k->usable || !k->met;
        if (usable_now) {
            ++*usable;
            last = (int)i;
        }
        if (best < 0 || k->last_failed_ms < look->origins[best].last_failed_ms)
            best = (int)i;
    }
    return *usable == 1 ? last : *usable == 0 ? best : -1;
}

static int origins(void *user, const struct upstream_conf *upstream, struct report *report)
{
    struct origin_registry *registry = user;
    struct look *look = ARENA_NEW(report->arena, struct look);
    unsigned usable;
    if (look == NULL)
        return -1;
    look->upstream = upstream;
    look->now_ms = clock_mono_ms();
    origin_registry_each(registry, look_at, look);
    for (unsigned i = 0; i < upstream->origin_count; i++)
        tell(report, &upstream->origins[i], &look->origins[i]);
    int chosen = choose(look, &usable);
    if (usable == 0)
        report_add(report, "choice", NULL,
                   "none is ready: all are tried, the one that failed longest ago first");
    else if (usable > 1)
        report_add(report, "choice", NULL, "one of the %u that are ready, by `balance`", usable);
    return chosen;
}

bool worker_explain(struct query *query, struct snapshot *snapshot,
                    struct origin_registry *registry)
{
    const struct explain_words words = {query->words + 1, query->word_count - 1};
    const struct explain_live live = {.origins = origins, .user = registry};
    return explain_query(query->arena, &words, snapshot, &live, &query->out);
}
