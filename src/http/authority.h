/*
 * host [":" port] as it stands in Host, in an absolute-form target and in :authority (RFC 3986
 * 3.2, RFC 9110 4.2, 7.2). Stricter than the RFC, since a host chooses the site:
 *
 * - no user name, no percent-encoding, no sub-delims: letters, digits, '-', '.', '_' only;
 * - labels of 1 to 63 bytes, 253 in all; one trailing dot is dropped;
 * - an IPv6 address in brackets, without zone; it comes out in the form of RFC 5952;
 * - a port has 1 to 5 digits and is at most 65535; "host:" is refused.
 *
 * An IPv4 address is taken as a name: it is matched by its bytes, like any other.
 */
#ifndef PC_HTTP_AUTHORITY_H
#define PC_HTTP_AUTHORITY_H

#include "base/arena.h"
#include "base/str.h"

struct authority {
    struct str host; /* lower case, without brackets and trailing dot */
    bool is_ip6;
    bool has_port;
    uint16_t port; /* of has_port */
};

/*
 * `host` points into `text` where that is already normal, else into the arena. False when `text` is
 * no authority, and at the arena's cap.
 */
bool authority_parse(struct arena *arena, struct str text, struct authority *authority)
    __attribute__((warn_unused_result));

/* Would authority_parse() take it? For those who write one. */
bool authority_ok(struct str text);

/* The same host and port, where `default_port` stands for a port that is not written. */
bool authority_same(const struct authority *a, const struct authority *b, uint16_t default_port);

#endif
