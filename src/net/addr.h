/*
 * Addresses of both families and UNIX sockets. An IPv4-mapped IPv6 address is turned into the IPv4
 * address wherever one comes in, so that no rule ever sees two spellings of one host.
 */
#ifndef PC_NET_ADDR_H
#define PC_NET_ADDR_H

#include "base/str.h"

#include <sys/socket.h>

struct text;

enum addr_family { ADDR_NONE = 0, ADDR_IP4 = 4, ADDR_IP6 = 6, ADDR_UNIX = 1 };

struct addr {
    uint8_t family;   /* enum addr_family */
    uint16_t port;    /* host order; 0 where it does not matter */
    uint32_t scope;   /* of a link-local IPv6 address */
    uint8_t ip[16];   /* network order; the first 4 bytes for IPv4 */
    const char *path; /* UNIX: NUL-terminated, not owned; "@name" is the abstract namespace */
};

/* "10.0.0.1", "2001:db8::1", "[::1]" (brackets optional); no port, no zone unless `%if` exists. */
bool addr_parse_ip(struct str s, struct addr *addr);
/* "10.0.0.1:80", "[::1]:80". */
bool addr_parse_ip_port(struct str s, struct addr *addr);
bool addr_eq(const struct addr *a, const struct addr *b);      /* with port */
bool addr_eq_host(const struct addr *a, const struct addr *b); /* without port */
bool addr_is_loopback(const struct addr *addr);

/* "10.0.0.1", "2001:db8::1" (RFC 5952), "unix:/path"; with port "10.0.0.1:80", "[::1]:80". */
void addr_add_text(struct text *text, const struct addr *addr);
void addr_add_text_port(struct text *text, const struct addr *addr);

bool addr_from_sockaddr(struct addr *addr, const struct sockaddr *sa, socklen_t len);
/* Returns the length; 0 when the path is too long. */
socklen_t addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *sa);

struct cidr {
    struct addr net;
    uint8_t bits; /* of the prefix: 0 to 32 or 128 */
};

/* "10.0.0.0/8", "::/0", or a bare address. Bits set behind the prefix are an error. */
enum cidr_result { CIDR_OK, CIDR_BAD, CIDR_HOST_BITS };
enum cidr_result cidr_parse(struct str s, struct cidr *cidr);
bool cidr_has(const struct cidr *cidr, const struct addr *addr);

#endif
