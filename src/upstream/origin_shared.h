/*
 * What all threads of a worker know of an origin together: how many of its connections are in use,
 * whether it rests, is down by its check or drained by the operator, and what became of requests.
 * One per identity of an origin's configuration; a reload resets nothing of it.
 *
 * A thread asks for it once, when it meets the origin (under a mutex), and keeps it until it
 * forgets the origin; from then on all is atomic and no lock is in the path of a request. Times
 * are those of the monotonic clock, which every loop shares (loop_now_ms()), unless said.
 */
#ifndef PC_UPSTREAM_ORIGIN_SHARED_H
#define PC_UPSTREAM_ORIGIN_SHARED_H

#include "base/list.h"
#include "base/str.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    ORIGIN_DOWN = 1,    /* its check says so */
    ORIGIN_DRAINED = 2, /* the operator said so */
};

enum { ORIGIN_TEXT_MAX = 128, ORIGIN_CAUSE_MAX = 160 };

struct origin_registry;

struct origin_shared {
    /* Immutable. */
    uint64_t identity;
    char text[ORIGIN_TEXT_MAX]; /* as written, cut */
    size_t text_len;
    uint64_t met_ms; /* when the first thread met it */
    /* From any thread. */
    _Atomic uint32_t in_use;         /* connections taken or being made */
    _Atomic uint32_t state;          /* ORIGIN_DOWN | ORIGIN_DRAINED; by origin_shared_set() */
    _Atomic uint32_t failures;       /* in a row */
    _Atomic uint64_t rests_until_ms; /* 0: it does not rest */
    _Atomic uint64_t last_failed_ms;
    _Atomic uint32_t queued;       /* requests that wait for a connection (slot.h) */
    _Atomic uint64_t slow_from_ms; /* its share of new requests grows from here on */
    _Atomic uint64_t requests;     /* connections that were taken or begun for one */
    _Atomic uint64_t failed;       /* of them, and of attempts to connect */
    _Atomic uint64_t ports_out;    /* connects for which no local port was left (EADDRNOTAVAIL) */
    /* Of slot.c: who waits, first come first. */
    pthread_mutex_t slot_mutex;
    struct link slot_waits;
    /* Under the registry's mutex. */
    struct origin_shared *next; /* in its bucket */
    uint32_t holders;
    uint64_t since_wall_us;       /* of the present state */
    char cause[ORIGIN_CAUSE_MAX]; /* of its being down, or of the last failure */
};

struct origin_registry *origin_registry_new(void) __attribute__((warn_unused_result));
/* After everybody who holds an origin has given it back. NULL is allowed. */
void origin_registry_end(struct origin_registry *registry);

/* One more holder; NULL without memory. */
struct origin_shared *origin_shared_take(struct origin_registry *registry, uint64_t identity,
                                         struct str text) __attribute__((warn_unused_result));
/* The same of one that is held already. */
void origin_shared_hold(struct origin_registry *registry, struct origin_shared *origin);
void origin_shared_give(struct origin_registry *registry, struct origin_shared *origin);

/* Sets or clears ORIGIN_DOWN or ORIGIN_DRAINED. `cause` may be empty; it is kept cut. An origin
 * that comes back begins slowly. */
void origin_shared_set(struct origin_registry *registry, struct origin_shared *origin,
                       uint32_t state, bool on, struct str cause);
/* An attempt or a request failed, at this time; it rests for `rest_ms` (0: never) once so many did
 * in a row. */
void origin_shared_failed(struct origin_registry *registry, struct origin_shared *origin,
                          uint64_t now_ms, uint32_t rest_ms, uint32_t rest_after, struct str cause);
/* It answered: costs one read where nothing was amiss. */
void origin_shared_succeeded(struct origin_shared *origin, uint64_t now_ms);

/* Not to be asked while others are: it rests, is down, or drained. */
static inline bool origin_shared_rests(const struct origin_shared *origin, uint64_t now_ms)
{
    return atomic_load_explicit(&origin->rests_until_ms, memory_order_relaxed) > now_ms;
}
static inline uint32_t origin_shared_state(const struct origin_shared *origin)
{
    return atomic_load_explicit(&origin->state, memory_order_relaxed);
}

/* The texts of those that are drained, met or not; under the mutex, as above. */
void origin_registry_each_drained(struct origin_registry *registry,
                                  void (*each)(void *user, struct str text), void *user);

/*
 * The operator's `drain`: all origins of this text get no new requests, also those that are met
 * later, until it is taken back. False when more than ORIGIN_DRAINS_MAX are drained.
 */
enum { ORIGIN_DRAINS_MAX = 256 };
bool origin_registry_drain(struct origin_registry *registry, struct str text, bool on)
    __attribute__((warn_unused_result));

/* Calls `each` for every origin, under the mutex: it must not call back here. */
void origin_registry_each(struct origin_registry *registry,
                          void (*each)(void *user, const struct origin_shared *origin), void *user);

#endif
