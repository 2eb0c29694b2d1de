/*
 * The one place where names are looked up: it runs on one loop and serves the resolvers of all.
 * The hosts file comes first, then the DNS, name by name of the search list, A and AAAA at once;
 * equal questions under way share one look-up. resolv.conf and hosts come as texts: the process
 * that resolves may open no file.
 *
 * It may be ended before or after its resolvers: what is still on its way then is answered as
 * failed.
 */
#ifndef PC_NET_RESOLVER_HUB_H
#define PC_NET_RESOLVER_HUB_H

#include "net/addr.h"
#include "net/loop.h"

struct resolver_hub;

enum { RESOLVER_ADDRS_MAX = 16, RESOLVER_NAME_MAX = 253 };

struct resolver_answer {
    unsigned count;                        /* 0: failed, see why */
    struct addr addrs[RESOLVER_ADDRS_MAX]; /* ports are 0; in the order they should be tried */
    const char *why;                       /* a constant */
};

/* On the loop's own thread, or before it runs. */
struct resolver_hub *resolver_hub_new(struct loop *loop, struct str resolv_conf, struct str hosts)
    __attribute__((warn_unused_result));
/* New texts after a reload; from any thread. What is under way begins anew with them. */
void resolver_hub_configure(struct resolver_hub *hub, struct str resolv_conf, struct str hosts);
/* On the loop's own thread or after it has run, before loop_end(). */
void resolver_hub_end(struct resolver_hub *hub);

/* --- for resolver.c ------------------------------------------------------------------------------
 */

/* Travels from a resolver to the hub and back. */
struct hub_question {
    struct loop_task task; /* of whichever loop has it */
    struct hub_question *next;
    struct resolver_hub *hub;
    char name[RESOLVER_NAME_MAX + 1]; /* lower case */
    size_t name_len;
    void (*on_answer)(struct hub_question *question); /* on the hub's loop; takes it over */
    void *asker;
    struct resolver_answer answer;
    uint32_t ttl_s;
    bool lasting; /* a failure the DNS vouches for: there is no such name */
};

/* From any thread; false when the hub has ended, then the question is still the caller's. */
bool resolver_hub_ask(struct resolver_hub *hub, struct hub_question *question)
    __attribute__((warn_unused_result));
/* Changes with every resolver_hub_configure(); from any thread. */
unsigned resolver_hub_generation(const struct resolver_hub *hub);
void resolver_hub_hold(struct resolver_hub *hub);
void resolver_hub_release(struct resolver_hub *hub);

#endif
