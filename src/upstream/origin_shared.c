#include "upstream/origin_shared.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

/* A power of two; ten thousand routes make chains of ten. */
enum { BUCKETS = 1024 };

struct drained {
    char text[ORIGIN_TEXT_MAX];
    size_t len;
};

struct origin_registry {
    pthread_mutex_t mutex;
    struct origin_shared *buckets[BUCKETS];
    struct drained drained[ORIGIN_DRAINS_MAX];
    unsigned drained_count;
};

struct origin_registry *origin_registry_new(void)
{
    struct origin_registry *registry = calloc(1, sizeof *registry);
    if (registry != NULL && pthread_mutex_init(&registry->mutex, NULL) != 0) {
        free(registry);
        return NULL;
    }
    return registry;
}

static void origin_free(struct origin_shared *origin)
{
    pthread_mutex_destroy(&origin->slot_mutex);
    free(origin);
}

void origin_registry_end(struct origin_registry *registry)
{
    if (registry == NULL)
        return;
    for (unsigned i = 0; i < BUCKETS; i++)
        while (registry->buckets[i] != NULL) {
            struct origin_shared *origin = registry->buckets[i];
            registry->buckets[i] = origin->next;
            origin_free(origin);
        }
    pthread_mutex_destroy(&registry->mutex);
    free(registry);
}

static struct str cut(struct str text)
{
    return str_sub(text, 0, ORIGIN_TEXT_MAX);
}

static unsigned drained_at(const struct origin_registry *registry, struct str text)
{
    unsigned i = 0;
    while (i < registry->drained_count &&
           !str_eq(str_from(registry->drained[i].text, registry->drained[i].len), text))
        i++;
    return i;
}

static struct origin_shared *new_origin(struct origin_registry *registry, uint64_t identity,
                                        struct str text)
{
    struct origin_shared *origin = calloc(1, sizeof *origin);
    if (origin == NULL || pthread_mutex_init(&origin->slot_mutex, NULL) != 0) {
        free(origin);
        return NULL;
    }
    list_init(&origin->slot_waits);
    origin->identity = identity;
    origin->text_len = text.len;
    if (text.len != 0)
        memcpy(origin->text, text.at, text.len);
    origin->met_ms = clock_mono_ms();
    origin->since_wall_us = clock_wall_us();
    atomic_init(&origin->slow_from_ms, origin->met_ms);
    if (drained_at(registry, text) < registry->drained_count)
        atomic_init(&origin->state, ORIGIN_DRAINED);
    struct origin_shared **bucket = &registry->buckets[identity % BUCKETS];
    origin->next = *bucket;
    *bucket = origin;
    return origin;
}

struct origin_shared *origin_shared_take(struct origin_registry *registry, uint64_t identity,
                                         struct str text)
{
    pthread_mutex_lock(&registry->mutex);
    struct origin_shared *origin = registry->buckets[identity % BUCKETS];
    while (origin != NULL && origin->identity != identity)
        origin = origin->next;
    if (origin == NULL)
        origin = new_origin(registry, identity, cut(text));
    if (origin != NULL)
        origin->holders++;
    pthread_mutex_unlock(&registry->mutex);
    return origin;
}

void origin_shared_hold(struct origin_registry *registry, struct origin_shared *origin)
{
    pthread_mutex_lock(&registry->mutex);
    origin->holders++;
    pthread_mutex_unlock(&registry->mutex);
}

void origin_shared_give(struct origin_registry *registry, struct origin_shared *origin)
{
    pthread_mutex_lock(&registry->mutex);
    if (--origin->holders == 0) {
        struct origin_shared **at = &registry->buckets[origin->identity % BUCKETS];
        while (*at != origin)
            at = &(*at)->next;
        *at = origin->next;
        origin_free(origin);
    }
    pthread_mutex_unlock(&registry->mutex);
}

/* ---- what happens to it ---- */

static void set_cause(struct origin_shared *origin, struct str cause)
{
    cause = str_sub(cause, 0, sizeof origin->cause - 1);
    if (cause.len != 0)
        memcpy(origin->cause, cause.at, cause.len);
    origin->cause[cause.len] = '\0';
}

static void set_locked(struct origin_shared *origin, uint32_t state, bool on)
{
    uint32_t before =
        on ? atomic_fetch_or(&origin->state, state) : atomic_fetch_and(&origin->state, ~state);
    if (((before & state) != 0) == on)
        return;
    origin->since_wall_us = clock_wall_us();
    if (!on)
        atomic_store(&origin->slow_from_ms, clock_mono_ms());
    else if (state == ORIGIN_DOWN)
        atomic_store(&origin->last_failed_ms, clock_mono_ms());
}

void origin_shared_set(struct origin_registry *registry, struct origin_shared *origin,
                       uint32_t state, bool on, struct str cause)
{
    pthread_mutex_lock(&registry->mutex);
    set_locked(origin, state, on);
    if (cause.len != 0)
        set_cause(origin, cause);
    pthread_mutex_unlock(&registry->mutex);
}

void origin_shared_failed(struct origin_registry *registry, struct origin_shared *origin,
                          uint64_t now_ms, uint32_t rest_ms, uint32_t rest_after, struct str cause)
{
    uint32_t failures = atomic_fetch_add_explicit(&origin->failures, 1, memory_order_relaxed) + 1;
    atomic_fetch_add_explicit(&origin->failed, 1, memory_order_relaxed);
    atomic_store_explicit(&origin->last_failed_ms, now_ms, memory_order_relaxed);
    if (rest_ms != 0 && failures >= rest_after) {
        /* Its rest is over when the slow start begins. */
        atomic_store_explicit(&origin->slow_from_ms, now_ms + rest_ms, memory_order_relaxed);
        atomic_store_explicit(&origin->rests_until_ms, now_ms + rest_ms, memory_order_relaxed);
    }
    /* While its check calls it down, the check's cause is the one to be told. */
    if (cause.len == 0 || (origin_shared_state(origin) & ORIGIN_DOWN) != 0)
        return;
    pthread_mutex_lock(&registry->mutex);
    set_cause(origin, cause);
    pthread_mutex_unlock(&registry->mutex);
}

void origin_shared_succeeded(struct origin_shared *origin, uint64_t now_ms)
{
    if (atomic_load_explicit(&origin->failures, memory_order_relaxed) == 0)
        return;
    atomic_store_explicit(&origin->failures, 0, memory_order_relaxed);
    if (!origin_shared_rests(origin, now_ms))
        return;
    atomic_store_explicit(&origin->slow_from_ms, now_ms, memory_order_relaxed);
    atomic_store_explicit(&origin->rests_until_ms, 0, memory_order_relaxed);
}

/* ---- all of them ---- */

static bool note_drained(struct origin_registry *registry, struct str text, bool on)
{
    unsigned at = drained_at(registry, text);
    if (at < registry->drained_count) {
        if (!on)
            registry->drained[at] = registry->drained[--registry->drained_count];
        return true;
    }
    if (!on)
        return true;
    if (registry->drained_count == ORIGIN_DRAINS_MAX || text.len == 0)
        return false;
    struct drained *drained = &registry->drained[registry->drained_count++];
    memcpy(drained->text, text.at, text.len);
    drained->len = text.len;
    return true;
}

bool origin_registry_drain(struct origin_registry *registry, struct str text, bool on)
{
    text = cut(text);
    pthread_mutex_lock(&registry->mutex);
    bool noted = note_drained(registry, text, on);
    for (unsigned i = 0; noted && i < BUCKETS; i++)
        for (struct origin_shared *o = registry->buckets[i]; o != NULL; o = o->next)
            if (str_eq(str_from(o->text, o->text_len), text))
                set_locked(o, ORIGIN_DRAINED, on);
    pthread_mutex_unlock(&registry->mutex);
    return noted;
}

void origin_registry_each_drained(struct origin_registry *registry,
                                  void (*each)(void *user, struct str text), void *user)
{
    pthread_mutex_lock(&registry->mutex);
    for (unsigned i = 0; i < registry->drained_count; i++)
        each(user, str_from(registry->drained[i].text, registry->drained[i].len));
    pthread_mutex_unlock(&registry->mutex);
}

void origin_registry_each(struct origin_registry *registry,
                          void (*each)(void *user, const struct origin_shared *origin), void *user)
{
    pthread_mutex_lock(&registry->mutex);
    for (unsigned i = 0; i < BUCKETS; i++)
        for (const struct origin_shared *o = registry->buckets[i]; o != NULL; o = o->next)
            each(user, o);
    pthread_mutex_unlock(&registry->mutex);
}
