/*
 * The text of hosts(5): lines of an address and the names it has. Names compare without case; a
 * name on several lines has all their addresses, in the order of the file. Immutable once built.
 */
#ifndef PC_NET_HOSTS_H
#define PC_NET_HOSTS_H

#include "net/addr.h"

struct hosts;

/* Block lists of a million names fit; what is beyond is left out. */
#define HOSTS_BYTES_MAX ((size_t)256 * 1024 * 1024)

/* NULL without memory. */
struct hosts *hosts_new(struct str text) __attribute__((warn_unused_result));
void hosts_end(struct hosts *hosts);

/* Up to `most` addresses of a name in lower case, without a final dot; 0 when it is not there. */
unsigned hosts_find(const struct hosts *hosts, struct str name, struct addr *addrs, unsigned most);

/* `localhost` and everything below it, whatever files say (RFC 6761 6.3). */
bool hosts_is_localhost(struct str name);
/* ::1 and 127.0.0.1; answers how many. */
unsigned hosts_localhost(struct addr addrs[2]);

#endif
