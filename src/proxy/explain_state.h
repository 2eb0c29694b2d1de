/* What the files explain*.c share: one run of an explanation. Nobody else includes this. */
#ifndef PC_PROXY_EXPLAIN_STATE_H
#define PC_PROXY_EXPLAIN_STATE_H

#include "proxy/ask.h"
#include "proxy/dry.h"
#include "proxy/report.h"

struct explain_conf;

struct explain {
    const struct explain_conf *conf;
    const struct ask *ask;
    const struct snapshot *snapshot;
    struct report *report;
    struct arena *arena;
    const struct listener *listener;
    struct addr local;
    struct dry *dry;
};

/* Tells a site that has this name, but not on the listener of the request. */
void explain_other_listener(const struct explain *e, struct str name);
/* An address as text. */
struct str explain_addr(const struct explain *e, const struct addr *addr);
/* A target or URL as the log would show it. */
struct str explain_masked(const struct explain *e, struct str url);

#endif
