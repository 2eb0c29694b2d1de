#include "app/explain_origins.h"

#include "base/arena.h"
#include "base/clock.h"
#include "net/loop.h"
#include "upstream/balance.h"
#include "upstream/origin_shared.h"

#include <string.h>

/* ---- state ---- */

/* What is known of one origin at this moment. */
struct knowledge {
    uint32_t state, failures, in_use, queued;
    uint64_t rests_ms; /* that it will still rest */
    uint32_t share;    /* of its weight, in parts of BALANCE_WHOLE */
    bool asked;
    char cause[ORIGIN_CAUSE_MAX];
};

struct look {
    const struct upstream_conf *upstream;
    uint64_t now_ms;
    struct knowledge origins[UPSTREAM_ORIGINS_MAX];
    struct origin_shared *held[UPSTREAM_ORIGINS_MAX];
};

static void note(struct knowledge *k, const struct origin_shared *origin, uint64_t now_ms)
{
    uint64_t until_ms = atomic_load(&origin->rests_until_ms);
    k->state = origin_shared_state(origin);
    k->failures = atomic_load(&origin->failures);
    k->in_use = atomic_load(&origin->in_use);
    k->queued = atomic_load(&origin->queued);
    k->rests_ms = until_ms > now_ms ? until_ms - now_ms : 0;
    k->share = balance_share(origin, now_ms);
    k->asked = atomic_load(&origin->requests) != 0;
    memcpy(k->cause, origin->cause, sizeof k->cause);
    k->cause[sizeof k->cause - 1] = '\0';
}

/* Under the registry's mutex, so that the cause is whole. */
static void look_at(void *user, const struct origin_shared *origin)
{
    struct look *look = user;
    for (unsigned i = 0; i < look->upstream->origin_count; i++)
        if (look->upstream->origins[i].identity == origin->identity)
            note(&look->origins[i], origin, look->now_ms);
}

/* Held meanwhile: an origin that no thread has met yet may be drained already. */
static void look(struct look *look, struct origin_registry *registry)
{
    const struct upstream_conf *upstream = look->upstream;
    look->now_ms = clock_mono_ms();
    for (unsigned i = 0; i < upstream->origin_count; i++)
        look->held[i] =
            origin_shared_take(registry, upstream->origins[i].identity, upstream->origins[i].text);
    origin_registry_each(registry, look_at, look);
    for (unsigned i = 0; i < upstream->origin_count; i++)
        if (look->held[i] != NULL)
            origin_shared_give(registry, look->held[i]);
}

/* As it stands in the configuration. */
static void add_name(struct text *text, const struct upstream_conf *upstream, unsigned i)
{
    const struct origin_conf *origin = &upstream->origins[i];
    text_add(text, origin->text);
    if (origin->weight != 1)
        text_printf(text, " weight %u", (unsigned)origin->weight);
    if (origin->backup)
        text_add_z(text, " backup");
}

/* What the state is called, and why it is so, behind the name. */
static const char *add_state(struct text *text, const struct knowledge *k)
{
    if (k->state & ORIGIN_DRAINED) {
        text_printf(text, ", by the operator; %u in use", (unsigned)k->in_use);
        return "drained";
    }
    bool down = (k->state & ORIGIN_DOWN) != 0;
    if (down || k->rests_ms != 0) {
        if (down)
            text_add_z(text, ", by its check");
        else
            text_printf(text, ", for %llu ms more, after %u failure%s in a row",
                        (unsigned long long)k->rests_ms, (unsigned)k->failures,
                        k->failures == 1 ? "" : "s");
        if (k->cause[0] != '\0')
            text_printf(text, ": %s", k->cause);
        return down ? "down" : "resting";
    }
    if (!k->asked) {
        text_add_z(text, "; it was not asked yet");
        return "ready";
    }
    text_printf(text, "; %u in use", (unsigned)k->in_use);
    if (k->queued != 0)
        text_printf(text, ", %u waiting", (unsigned)k->queued);
    if (k->share < BALANCE_WHOLE)
        text_printf(text, ", %u %% of its weight for now", k->share * 100 / BALANCE_WHOLE);
    return "ready";
}

void explain_origins_tell(struct report *report, const struct upstream_conf *upstream,
                          struct origin_registry *registry)
{
    struct look *l = ARENA_NEW(report->arena, struct look);
    if (l == NULL) {
        report->cut = true;
        return;
    }
    l->upstream = upstream;
    if (registry != NULL)
        look(l, registry);
    for (unsigned i = 0; i < upstream->origin_count; i++) {
        struct text text = text_in(report->arena, 1024);
        add_name(&text, upstream, i);
        const char *what = registry ? add_state(&text, &l->origins[i]) : "origin";
        report_add(report, what, &upstream->origins[i].where, "%.*s", STR_ARG(text_str(&text)));
    }
}

/* ---- choice ---- */

static const char *balance_name(const struct upstream_conf *upstream)
{
    static const char *const names[] = {
        [BALANCE_ROUND_ROBIN] = "round-robin", [BALANCE_LEAST_REQUESTS] = "least-requests",
        [BALANCE_RANDOM] = "random",           [BALANCE_HASH_CLIENT] = "hash client",
        [BALANCE_HASH_HEADER] = "hash header", [BALANCE_HASH_COOKIE] = "hash cookie",
    };
    return names[upstream->balance];
}

static void tell_choice(struct report *report, const struct upstream_conf *upstream,
                        const struct explain_choice *choice)
{
    struct str name = upstream->origins[choice->index].text;
    if (choice->choice == UPSTREAM_WOULD_ASK)
        report_add(report, "choice", NULL, "%.*s, by balance %s", STR_ARG(name),
                   balance_name(upstream));
    else if (choice->choice == UPSTREAM_WOULD_QUEUE)
        report_add(report, "choice", NULL,
                   "all have as many connections as they may: it would wait for %.*s",
                   STR_ARG(name));
    else if (choice->choice == UPSTREAM_ALL_DRAINED)
        report_add(report, "choice", NULL, "all are drained: the answer would be a 503");
}

static bool same(const struct explain_choice *a, const struct explain_choice *b)
{
    return a->choice == b->choice && a->index == b->index;
}

int explain_origins_choose(struct report *report, const struct upstream_conf *upstream,
                           const struct explain_choice *choices, unsigned count)
{
    bool agree = count != 0;
    for (unsigned i = 1; i < count; i++)
        agree = agree && same(&choices[0], &choices[i]);
    if (!agree && count != 0)
        report_add(
            report, "choice", NULL,
            "it depends on the thread that takes the connection: each has a round of its own");
    for (unsigned i = 0; i < count; i++) {
        bool told = false;
        for (unsigned before = 0; before < i; before++)
            told = told || same(&choices[before], &choices[i]);
        if (!told && (upstream->origin_count > 1 || choices[i].choice != UPSTREAM_WOULD_ASK))
            tell_choice(report, upstream, &choices[i]);
    }
    return agree && choices[0].choice == UPSTREAM_WOULD_ASK ? (int)choices[0].index : -1;
}

/* ---- without an instance ---- */

int explain_origins_fresh(void *user, const struct upstream_conf *upstream, uint64_t key,
                          struct report *report)
{
    struct explain_choice choice = {.choice = UPSTREAM_NOBODY};
    struct loop *loop = loop_new(0);
    struct origin_registry *registry = origin_registry_new();
    struct upstreams *fresh = loop && registry ? upstreams_new(loop, NULL, registry) : NULL;
    (void)user;
    explain_origins_tell(report, upstream, NULL);
    report_add(
        report, "state", NULL,
        "not known: no running instance was asked (without -c one is); all are taken for ready");
    if (fresh != NULL)
        choice.choice = upstream_peek(fresh, upstream, key, &choice.index);
    /* In the other kinds it is one's turn, or chance: nothing to be told of one request. */
    bool certain = upstream->origin_count == 1 || upstream->balance >= BALANCE_HASH_CLIENT;
    int chosen = certain ? explain_origins_choose(report, upstream, &choice, 1) : -1;
    if (!certain)
        report_add(report, "choice", NULL, "by balance %s", balance_name(upstream));
    upstreams_end(fresh);
    if (loop != NULL)
        loop_end(loop);
    origin_registry_end(registry);
    return chosen;
}
