/*
 * The text of resolv.conf(5): nameserver, search, domain, and of the options ndots, timeout and
 * attempts. Everything else in it is passed over, as resolvers do. Without a word in the text a
 * server is given up after one second, not five: somebody waits for the connection.
 */
#ifndef PC_NET_RESOLV_CONF_H
#define PC_NET_RESOLV_CONF_H

#include "net/addr.h"

enum {
    RESOLV_SERVERS_MAX = 8, /* more than the three of the C library */
    RESOLV_SEARCH_MAX = 8,
    RESOLV_NAME_MAX = 253, /* octets of a name in text (RFC 1035 2.3.4) */
};

struct resolv_conf {
    struct addr servers[RESOLV_SERVERS_MAX]; /* port 0: 53 */
    unsigned server_count;                   /* at least 1: without a line it is 127.0.0.1 */
    char search[RESOLV_SEARCH_MAX][RESOLV_NAME_MAX + 1];
    unsigned search_count;
    unsigned ndots;      /* 0 to 15 */
    unsigned timeout_ms; /* of the first round, doubled in each further one; 1 to 30 s */
    unsigned attempts;   /* rounds, 1 to 5 */
};

/* Takes what it understands. A server may have a port ("127.0.0.1:5353", "[::1]:5353"). */
void resolv_conf_parse(struct str text, struct resolv_conf *conf);

/*
 * The k-th name to ask for when `name` is looked up, NUL-terminated: names with at least ndots dots
 * as they are first, others in the search domains first; a name that ends in a dot only as it is.
 * False behind the last one. Names that would be too long are left out, as empty.
 */
bool resolv_conf_candidate(const struct resolv_conf *conf, struct str name, unsigned k,
                           char out[RESOLV_NAME_MAX + 1]);

#endif
