/*
 * One attempt to connect to one origin within its connect_ms: resolve its name, then try its
 * addresses in turn (the one that worked last first, each with an equal share of the time left),
 * from each of the configured source addresses as long as ports run out, then the TLS handshake.
 *
 * The owner fills in the first block, keeps it unchanged and the dial in place until it is done.
 */
#ifndef PC_UPSTREAM_DIAL_H
#define PC_UPSTREAM_DIAL_H

#include "net/loop.h"
#include "net/resolver.h"
#include "upstream/upstream_conf.h"

struct tls_client;

struct dial {
    struct loop *loop;
    struct resolver *resolver;
    struct tls_client *tls; /* of this thread; for origins with TLS */
    const struct upstream_conf *conf;
    const struct origin_conf *to;
    struct addr *good;  /* in and out: the address that worked last */
    unsigned source_at; /* the source address to begin with */
    /* Counts connects for which no local port was free (or the source is not ours); or NULL. */
    _Atomic uint64_t *ports_out;
    /* Descriptors or memory ran out: is there some now? Or NULL. */
    bool (*make_room)(void *user);
    void *make_room_user;
    /* Connected (its user must be set at once), or NULL and see `failure` and `why`. */
    void (*on_done)(struct dial *dial, struct stream *stream);
    /* out */
    enum upstream_failure failure;
    char why[160];
    uint64_t connect_us;
    /* the dial's own */
    struct addr addrs[RESOLVER_ADDRS_MAX];
    unsigned addr_count, addr_at, sources_tried;
    bool starting, answered, asking;
    uint64_t started_us, deadline_ms;
    struct loop_timer timer;
    struct resolver_wait name;
    struct stream *stream;
};

/* False: failed at once, on_done will not be called. */
bool dial_start(struct dial *dial) __attribute__((warn_unused_result));
/* Gives up; on_done will not be called. May be called in any state. */
void dial_stop(struct dial *dial);

#endif
