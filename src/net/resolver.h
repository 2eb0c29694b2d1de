/*
 * Names to addresses without blocking a loop. The queries run on one loop (c-ares, `localhost` and
 * the hosts file first); every loop has a `struct resolver` of its own with a small cache by TTL,
 * so that an answer at hand costs no lock. resolv.conf and hosts come as texts: the process that
 * resolves may open no file.
 */
#ifndef PC_NET_RESOLVER_H
#define PC_NET_RESOLVER_H

#include "net/addr.h"
#include "net/loop.h"

struct resolver_hub; /* the one that asks, on its loop */
struct resolver;     /* one per loop */

enum { RESOLVER_ADDRS_MAX = 16 };

struct resolver_answer {
    unsigned count;                        /* 0: failed, see why */
    struct addr addrs[RESOLVER_ADDRS_MAX]; /* ports are 0; order: as the resolver sorted them */
    const char *why;
};

struct resolver_hub *resolver_hub_new(struct loop *loop, struct str resolv_conf, struct str hosts)
    __attribute__((warn_unused_result));
/* New texts after a reload; from any thread. */
void resolver_hub_configure(struct resolver_hub *hub, struct str resolv_conf, struct str hosts);
void resolver_hub_end(struct resolver_hub *hub);

struct resolver *resolver_new(struct resolver_hub *hub, struct loop *loop)
    __attribute__((warn_unused_result));
void resolver_end(struct resolver *resolver);

/* Embedded in the asker. */
struct resolver_wait {
    struct str name;
    void (*on_answer)(struct resolver_wait *wait, const struct resolver_answer *answer);
    void *pending; /* the resolver's own */
};

/* Answers once, perhaps before it returns (address texts, localhost, cache), unless cancelled. */
void resolver_ask(struct resolver *resolver, struct resolver_wait *wait);
void resolver_cancel(struct resolver_wait *wait);

#endif
