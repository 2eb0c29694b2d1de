/*
 * Names to addresses without blocking a loop: one resolver per loop with a small cache by TTL, so
 * that an answer at hand costs no lock and no look-up. What it does not know it asks the hub.
 *
 * Answers are kept for their TTL (1 s to 5 min), failures for 2 s. While the DNS does not answer,
 * the last good answer is used on (RFC 8767): after RESOLVER_STALE_MS of waiting, then at once
 * until it answers again. When the DNS says that the name is gone, it is gone.
 */
#ifndef PC_NET_RESOLVER_H
#define PC_NET_RESOLVER_H

#include "net/resolver_hub.h"

struct resolver;

enum {
    RESOLVER_TTL_MIN_MS = 1000,
    RESOLVER_TTL_MAX_MS = 5 * 60 * 1000,
    RESOLVER_FAILED_MS = 2000,
    RESOLVER_STALE_MS = 400,
    /* Names come from configurations; beyond this many the least wanted are forgotten. */
    RESOLVER_NAMES_MAX = 4096,
};

struct resolver *resolver_new(struct resolver_hub *hub, struct loop *loop)
    __attribute__((warn_unused_result));
/* On its loop's thread or after the loop has run, before loop_end(). Waits get no answer any more.
 */
void resolver_end(struct resolver *resolver);

/* Embedded in the asker, who cancels it before he goes. */
struct resolver_wait {
    struct str name;
    void (*on_answer)(struct resolver_wait *wait, const struct resolver_answer *answer);
    struct link link; /* the resolver's own */
};

/* Answers once, perhaps before it returns (address texts, localhost, cache), unless cancelled. */
void resolver_ask(struct resolver *resolver, struct resolver_wait *wait);
/* In any state; nothing happens when no answer is awaited. */
void resolver_cancel(struct resolver_wait *wait);

#endif
