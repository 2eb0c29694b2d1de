#include "observe/conn_limiter.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

/* An address may stand in any place of its group. */
enum { GROUP = 8, GROUPS = CONN_LIMITER_ADDRS / GROUP, WINDOW_MS = 1000 };

struct place {
    struct addr addr;   /* ADDR_NONE: free */
    uint64_t window_ms; /* start of the present second */
    uint64_t since_ms;  /* when counting began; matters while count is not 0 */
    uint64_t count;     /* since the last summary */
    uint32_t records;   /* in the present second */
};

struct conn_limiter {
    uint32_t per_second;
    struct place all;    /* every record; `count` is what stands in no place */
    size_t summary_next; /* the search for the next due one goes on here */
    struct place places[CONN_LIMITER_ADDRS];
};

struct conn_limiter *conn_limiter_new(unsigned threads)
{
    struct conn_limiter *limiter = calloc(1, sizeof *limiter);
    if (limiter == NULL)
        return NULL;
    if (threads == 0)
        threads = 1;
    limiter->per_second = CONN_LIMITER_PER_SECOND / threads;
    if (limiter->per_second == 0)
        limiter->per_second = 1;
    return limiter;
}

void conn_limiter_end(struct conn_limiter *limiter)
{
    free(limiter);
}

/* What counts as one address: no port, no zone, of IPv6 the first 64 bits; UNIX peers are one. */
static struct addr subject_of(const struct addr *addr)
{
    struct addr subject = {.family = addr->family};
    if (addr->family == ADDR_IP4)
        memcpy(subject.ip, addr->ip, 4);
    else if (addr->family == ADDR_IP6)
        memcpy(subject.ip, addr->ip, 8);
    return subject;
}

static bool same(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static bool is_idle(const struct place *place, uint64_t now_ms)
{
    return place->addr.family == ADDR_NONE ||
           (place->count == 0 && now_ms - place->window_ms >= WINDOW_MS);
}

/* The subject's place, or a free or idle one that becomes it, or NULL. */
static struct place *place_of(struct conn_limiter *limiter, const struct addr *subject,
                              uint64_t now_ms)
{
    uint64_t hash = hash_bytes(str_from(subject->ip, sizeof subject->ip));
    struct place *group = &limiter->places[hash % GROUPS * GROUP], *idle = NULL;
    for (int i = 0; i < GROUP; i++) {
        if (same(&group[i].addr, subject) && subject->family != ADDR_NONE)
            return &group[i];
        if (idle == NULL && is_idle(&group[i], now_ms))
            idle = &group[i];
    }
    if (idle != NULL)
        *idle = (struct place){.addr = *subject, .window_ms = now_ms};
    return idle;
}

/* Room for a record in the place's present second? */
static bool has_room(struct place *place, uint32_t limit, uint64_t now_ms)
{
    if (now_ms - place->window_ms >= WINDOW_MS) {
        place->window_ms = now_ms;
        place->records = 0;
    }
    return place->records < limit;
}

static void count(struct place *place, uint64_t now_ms)
{
    if (place->count++ == 0)
        place->since_ms = now_ms;
}

bool conn_limiter_admit(struct conn_limiter *limiter, const struct addr *addr, uint64_t now_ms)
{
    struct addr subject = subject_of(addr);
    struct place *place = place_of(limiter, &subject, now_ms);
    bool room = has_room(&limiter->all, CONN_LIMITER_TOTAL, now_ms);
    if (place == NULL) {
        count(&limiter->all, now_ms);
        return false;
    }
    if (!has_room(place, limiter->per_second, now_ms) || !room) {
        count(place, now_ms);
        return false;
    }
    place->records++;
    limiter->all.records++;
    return true;
}

static bool take_due(struct place *place, uint64_t now_ms, bool all, struct conn_summary *summary)
{
    if (place->count == 0 || (!all && now_ms - place->since_ms < CONN_LIMITER_SUMMARY_MS))
        return false;
    *summary = (struct conn_summary){.addr = place->addr, .count = place->count};
    place->count = 0;
    return true;
}

bool conn_limiter_summary(struct conn_limiter *limiter, uint64_t now_ms, bool all,
                          struct conn_summary *summary)
{
    if (take_due(&limiter->all, now_ms, all, summary))
        return true;
    while (limiter->summary_next < CONN_LIMITER_ADDRS)
        if (take_due(&limiter->places[limiter->summary_next++], now_ms, all, summary))
            return true;
    limiter->summary_next = 0;
    return false;
}
