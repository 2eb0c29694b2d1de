/* Origins as an upstream_conf: what a route forwards to, with its TLS. */
#ifndef PC_CONFIG_COMPILE_UPSTREAM_H
#define PC_CONFIG_COMPILE_UPSTREAM_H

#include "config/compile_state.h"

struct upstream_conf;

/* A line of an upstream, or one of the origins of a route. */
struct upstream_server {
    const struct statement *statement;
    const struct word *word;
    uint32_t weight;
    bool backup;
};

/* At least one, under the settings in force. NULL after telling what is wrong. */
const struct upstream_conf *compile_upstream_servers(struct compile *c,
                                                     const struct settings *settings,
                                                     const struct upstream_server *servers,
                                                     size_t count, struct str name);
/* Of the words from `from` on, under the settings in force. NULL after telling what is wrong. */
const struct upstream_conf *compile_upstream(struct compile *c, const struct settings *settings,
                                             const struct statement *s, size_t from);
#endif
