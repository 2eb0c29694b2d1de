/*
 * Explains what would happen to a request: runs it dry (dry.h) and tells, stage by stage, what was
 * decided, by which line, and what nearly was decided. The decisions are those of the serving
 * code; this file only puts them into words.
 */
#ifndef PC_PROXY_EXPLAIN_H
#define PC_PROXY_EXPLAIN_H

#include "net/addr.h"
#include "proxy/ask.h"
#include "proxy/report.h"

struct snapshot;
struct upstream_conf;

/* One address that the URL's host leads to, as the machine of whoever asks sees it. */
struct explain_address {
    struct addr addr;
    bool ours; /* it is one of this machine */
};

struct explain_conf {
    struct snapshot *snapshot;
    const struct ask *ask;
    struct addr from; /* the client */
    bool from_said;   /* else it is nobody's address */
    const struct explain_address *addresses;
    size_t address_count;
    struct str unresolved; /* why there is none */
    /*
     * Tells an upstream's origins and their state, a line each, and answers the index of the one
     * that would be asked now, or -1. `key` is that of `balance hash`.
     */
    int (*origins)(void *user, const struct upstream_conf *upstream, uint64_t key,
                   struct report *report);
    void *user;
};

/* False without memory. */
bool explain_run(struct arena *arena, const struct explain_conf *conf, struct report *report)
    __attribute__((warn_unused_result));

#endif
