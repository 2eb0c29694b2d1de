#include "upstream/health.h"

#include "base/hash.h"
#include "base/log.h"
#include "tls/tls_connect.h"
#include "upstream/origin_shared.h"
#include "upstream/probe.h"

#include <stdlib.h>

enum { HEALTH_BUCKETS = 1024 };

/* One look, while it lasts: most origins are not looked at most of the time. */
struct look {
    struct watched *watched;
    struct probe probe;
    struct loop_task task; /* its end */
};

/* One origin under one check. */
struct watched {
    struct watched *next; /* in its bucket */
    struct health *health;
    uint64_t key;
    const struct upstream_conf *conf; /* of the configuration in force */
    const struct origin_conf *origin;
    struct origin_shared *shared;
    bool named; /* by the configuration that is being added */
    bool down;
    uint32_t in_row; /* looks that contradict `down` */
    uint64_t looked_ms;
    struct loop_timer timer; /* until the next look */
    struct look *look;       /* under way, or NULL */
};

struct health {
    struct health_conf conf;
    struct tls_client *tls; /* made when the first origin wants it */
    uint64_t dice;
    struct watched *buckets[HEALTH_BUCKETS];
    struct loop_task task; /* the end */
};

struct health *health_new(const struct health_conf *conf)
{
    struct health *health = calloc(1, sizeof *health);
    if (health == NULL)
        return NULL;
    health->conf = *conf;
    return health;
}

/* --- what is learnt ------------------------------------------------------------------------------
 */

static const char *what(const struct watched *w)
{
    return w->conf->check->tcp ? "a connect" : log_escape(w->conf->check->target);
}

static bool down_by_another(const struct watched *w)
{
    for (unsigned i = 0; i < HEALTH_BUCKETS; i++)
        for (const struct watched *other = w->health->buckets[i]; other != NULL;
             other = other->next)
            if (other != w && other->down && other->shared == w->shared)
                return true;
    return false;
}

static void come_up(struct watched *w)
{
    w->down = false;
    if (!down_by_another(w))
        origin_shared_set(w->health->conf.origins, w->shared, ORIGIN_DOWN, false, (struct str){0});
}

static void go_down(struct watched *w, const char *why)
{
    w->down = true;
    origin_shared_set(w->health->conf.origins, w->shared, ORIGIN_DOWN, true, str_from_z(why));
}

static void turned_well(struct watched *w)
{
    if (w->in_row == 1)
        log_notice("origin %s is up again: its check (%s) was well", log_escape(w->origin->text),
                   what(w));
    else
        log_notice("origin %s is up again: %u checks (%s) in a row were well",
                   log_escape(w->origin->text), w->in_row, what(w));
    come_up(w);
}

static void turned_ill(struct watched *w, const char *why)
{
    if (w->in_row == 1)
        log_notice("origin %s is down: its check (%s) failed: %s", log_escape(w->origin->text),
                   what(w), why);
    else
        log_notice("origin %s is down: %u checks (%s) in a row failed: %s",
                   log_escape(w->origin->text), w->in_row, what(w), why);
    go_down(w, why);
}

/* `why` it is not well; of no use else. */
static void learn(struct watched *w, bool well, const char *why)
{
    const struct check_conf *check = w->conf->check;
    if (!well) /* where all are down, the one that failed longest ago is tried first */
        atomic_store_explicit(&w->shared->last_failed_ms, loop_now_ms(w->health->conf.loop),
                              memory_order_relaxed);
    if (well != w->down) {
        w->in_row = 0;
        return;
    }
    w->in_row++;
    if (w->in_row < (well ? check->rise : check->fall))
        return;
    if (well)
        turned_well(w);
    else
        turned_ill(w, why);
    w->in_row = 0;
}

/* --- looking -------------------------------------------------------------------------------------
 */

static void look_after(struct watched *w, uint64_t ms)
{
    timer_set(w->health->conf.loop, &w->timer, ms != 0 ? ms : 1);
}

static void free_look(struct loop_task *task)
{
    free(LIST_OF(task, struct look, task));
}

static void look_end(struct watched *w)
{
    if (w->look == NULL)
        return;
    probe_stop(&w->look->probe);
    w->look->task.run = free_look;
    loop_defer(w->health->conf.loop, &w->look->task);
    w->look = NULL;
}

static void on_looked(struct probe *probe, enum probe_result result)
{
    struct watched *w = LIST_OF(probe, struct look, probe)->watched;
    uint64_t took_ms = loop_now_ms(w->health->conf.loop) - w->looked_ms;
    uint64_t every_ms = w->conf->check->every_ms;
    look_after(w, took_ms < every_ms ? every_ms - took_ms : 0);
    if (result != PROBE_UNKNOWN)
        learn(w, result == PROBE_WELL, probe->why);
    look_end(w);
}

static bool has_tls(struct health *health)
{
    const char *error = "no memory";
    if (health->tls == NULL)
        health->tls = tls_client_new(&error);
    if (health->tls == NULL)
        log_warning("an origin cannot be checked: %s", error);
    return health->tls != NULL;
}

static void look(struct watched *w)
{
    w->looked_ms = loop_now_ms(w->health->conf.loop);
    bool can = !w->origin->tls || has_tls(w->health);
    w->look = can ? calloc(1, sizeof *w->look) : NULL;
    if (w->look == NULL) {
        look_after(w, w->conf->check->every_ms);
        return;
    }
    w->look->watched = w;
    w->look->probe = (struct probe){.loop = w->health->conf.loop,
                                    .resolver = w->health->conf.resolver,
                                    .tls = w->health->tls,
                                    .conf = w->conf,
                                    .to = w->origin,
                                    .check = w->conf->check,
                                    .ports_out = &w->shared->ports_out,
                                    .on_done = on_looked};
    probe_start(&w->look->probe);
}

static void on_timer(struct loop_timer *timer)
{
    look(LIST_OF(timer, struct watched, timer));
}

/* --- configurations ------------------------------------------------------------------------------
 */

static struct watched **bucket_of(struct health *health, uint64_t key)
{
    return &health->buckets[key % HEALTH_BUCKETS];
}

static uint64_t key_of(const struct upstream_conf *conf, const struct origin_conf *origin)
{
    return hash_stable(conf->check->identity, str_from(&origin->identity, sizeof origin->identity));
}

/* The first look comes at any moment of the first interval, so that a thousand origins are not
 * looked at together for ever after. */
static uint64_t some_of(struct health *health, uint64_t most_ms)
{
    health->dice = hash_bytes(str_from(&health->dice, sizeof health->dice));
    return 1 + health->dice % most_ms;
}

static struct watched *watched_new(struct health *health, uint64_t key,
                                   const struct upstream_conf *conf,
                                   const struct origin_conf *origin)
{
    struct watched *w = calloc(1, sizeof *w);
    if (w != NULL)
        w->shared = origin_shared_take(health->conf.origins, origin->identity, origin->text);
    if (w == NULL || w->shared == NULL) {
        free(w);
        log_warning("no memory to check origin %s", log_escape(origin->text));
        return NULL;
    }
    struct watched **bucket = bucket_of(health, key);
    w->health = health;
    w->key = key;
    w->conf = conf;
    w->origin = origin;
    w->named = true;
    w->timer.on_fire = on_timer;
    w->next = *bucket;
    *bucket = w;
    look_after(w, some_of(health, conf->check->every_ms));
    return w;
}

/* A look under way goes by the texts of the configuration before: it begins anew. */
static void rename_watched(struct watched *w, const struct upstream_conf *conf,
                           const struct origin_conf *origin)
{
    bool changed = w->conf != conf || w->origin != origin, looking = w->look != NULL;
    w->named = true;
    if (!changed)
        return;
    look_end(w);
    w->conf = conf;
    w->origin = origin;
    if (looking)
        look_after(w, 1);
}

void health_begin(struct health *health)
{
    for (unsigned i = 0; i < HEALTH_BUCKETS; i++)
        for (struct watched *w = health->buckets[i]; w != NULL; w = w->next)
            w->named = false;
}

void health_add(struct health *health, const struct upstream_conf *conf)
{
    if (conf->check == NULL)
        return;
    for (unsigned i = 0; i < conf->origin_count; i++) {
        const struct origin_conf *origin = &conf->origins[i];
        uint64_t key = key_of(conf, origin);
        struct watched *w = *bucket_of(health, key);
        while (w != NULL && w->key != key)
            w = w->next;
        if (w == NULL)
            watched_new(health, key, conf, origin);
        else if (!w->named)
            rename_watched(w, conf, origin);
    }
}

static void watched_end(struct watched *w)
{
    timer_clear(&w->timer);
    look_end(w);
    origin_shared_give(w->health->conf.origins, w->shared);
    free(w);
}

void health_commit(struct health *health)
{
    for (unsigned i = 0; i < HEALTH_BUCKETS; i++)
        for (struct watched **at = &health->buckets[i]; *at != NULL;) {
            struct watched *w = *at;
            if (w->named) {
                at = &w->next;
                continue;
            }
            *at = w->next;
            if (w->down) {
                log_notice("origin %s is not checked any more (%s): it counts as up",
                           log_escape(w->origin->text), what(w));
                come_up(w);
            }
            watched_end(w);
        }
}

/* After the streams that were closed, which go at the end of the turn. */
static void end_late(struct loop_task *task)
{
    struct health *health = LIST_OF(task, struct health, task);
    tls_client_end(health->tls);
    free(health);
}

void health_end(struct health *health)
{
    if (health == NULL)
        return;
    for (unsigned i = 0; i < HEALTH_BUCKETS; i++)
        while (health->buckets[i] != NULL) {
            struct watched *w = health->buckets[i];
            health->buckets[i] = w->next;
            watched_end(w);
        }
    health->task.run = end_late;
    loop_defer(health->conf.loop, &health->task);
}
