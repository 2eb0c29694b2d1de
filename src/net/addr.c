#include "net/addr.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

/* ::ffff:0:0/96 becomes IPv4. */
static void unmap(struct addr *addr)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (addr->family != ADDR_IP6 || memcmp(addr->ip, mapped, 12) != 0)
        return;
    memmove(addr->ip, addr->ip + 12, 4);
    memset(addr->ip + 4, 0, 12);
    addr->family = ADDR_IP4;
    addr->scope = 0;
}

bool addr_parse_ip(struct str s, struct addr *addr)
{
    char z[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    *addr = (struct addr){0};
    if (s.len >= 2 && s.at[0] == '[' && s.at[s.len - 1] == ']') {
        s = str_sub(s, 1, s.len - 2);
        if (str_find_byte(s, ':') == SIZE_MAX)
            return false;
    }
    if (s.len == 0 || s.len >= sizeof z || memchr(s.at, '\0', s.len) != NULL)
        return false;
    size_t zone = str_find_byte(s, '%');
    if (zone != SIZE_MAX) {
        memcpy(z, s.at + zone + 1, s.len - zone - 1);
        z[s.len - zone - 1] = '\0';
        addr->scope = if_nametoindex(z);
        if (addr->scope == 0)
            return false;
        s = str_sub(s, 0, zone);
    }
    memcpy(z, s.at, s.len);
    z[s.len] = '\0';
    if (zone == SIZE_MAX && inet_pton(AF_INET, z, addr->ip) == 1) {
        addr->family = ADDR_IP4;
        return true;
    }
    if (inet_pton(AF_INET6, z, addr->ip) != 1)
        return false;
    addr->family = ADDR_IP6;
    unmap(addr);
    return true;
}

bool addr_parse_ip_port(struct str s, struct addr *addr)
{
    size_t colon = s.len;
    while (colon != 0 && s.at[colon - 1] != ':')
        colon--;
    uint64_t port;
    if (colon == 0 || !str_to_u64(str_skip(s, colon), 65535, &port))
        return false;
    struct str host = str_sub(s, 0, colon - 1);
    bool bracketed = host.len && host.at[0] == '[';
    if (!bracketed && str_find_byte(host, ':') != SIZE_MAX)
        return false;
    if (!addr_parse_ip(host, addr))
        return false;
    addr->port = (uint16_t)port;
    return true;
}

bool addr_eq_host(const struct addr *a, const struct addr *b)
{
    if (a->family != b->family)
        return false;
    if (a->family == ADDR_UNIX)
        return strcmp(a->path ? a->path : "", b->path ? b->path : "") == 0;
    return a->scope == b->scope && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    return a->port == b->port && addr_eq_host(a, b);
}

bool addr_is_loopback(const struct addr *addr)
{
    static const uint8_t one[16] = {[15] = 1};
    return (addr->family == ADDR_IP4 && addr->ip[0] == 127) ||
           (addr->family == ADDR_IP6 && memcmp(addr->ip, one, 16) == 0);
}

/* Stands in the head of every forwarded request, where inet_ntop()'s printf would be noticed. */
static void add_ip4(struct text *text, const uint8_t ip[4])
{
    char digits[16];
    size_t len = 0;
    for (int i = 0; i < 4; i++) {
        unsigned n = ip[i];
        if (n >= 100)
            digits[len++] = (char)('0' + n / 100);
        if (n >= 10)
            digits[len++] = (char)('0' + n / 10 % 10);
        digits[len++] = (char)('0' + n % 10);
        digits[len++] = '.';
    }
    text_add(text, str_from(digits, len - 1));
}

void addr_add_text(struct text *text, const struct addr *addr)
{
    char z[INET6_ADDRSTRLEN];
    switch (addr->family) {
    case ADDR_IP4:
        add_ip4(text, addr->ip);
        break;
    case ADDR_IP6:
        text_add_z(text, inet_ntop(AF_INET6, addr->ip, z, sizeof z));
        break;
    case ADDR_UNIX:
        text_add_z(text, "unix:");
        text_add_z(text, addr->path ? addr->path : "");
        break;
    default:
        text_add_z(text, "-");
    }
}

void addr_add_text_port(struct text *text, const struct addr *addr)
{
    if (addr->family == ADDR_IP6)
        text_add_byte(text, '[');
    addr_add_text(text, addr);
    if (addr->family == ADDR_IP6)
        text_add_byte(text, ']');
    if (addr->family == ADDR_IP4 || addr->family == ADDR_IP6) {
        text_add_byte(text, ':');
        text_add_u64(text, addr->port);
    }
}

bool addr_from_sockaddr(struct addr *addr, const struct sockaddr *sa, socklen_t len)
{
    *addr = (struct addr){0};
    if (len < (socklen_t)sizeof(sa_family_t))
        return false;
    if (sa->sa_family == AF_INET && len >= (socklen_t)sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        addr->family = ADDR_IP4;
        addr->port = ntohs(in.sin_port);
        memcpy(addr->ip, &in.sin_addr, 4);
        return true;
    }
    if (sa->sa_family == AF_INET6 && len >= (socklen_t)sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 in;
        memcpy(&in, sa, sizeof in);
        addr->family = ADDR_IP6;
        addr->port = ntohs(in.sin6_port);
        addr->scope = in.sin6_scope_id;
        memcpy(addr->ip, &in.sin6_addr, 16);
        unmap(addr);
        return true;
    }
    if (sa->sa_family == AF_UNIX) {
        addr->family = ADDR_UNIX;
        return true;
    }
    return false;
}

static socklen_t unix_to_sockaddr(const struct addr *addr, struct sockaddr_storage *sa)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = addr->path ? strlen(addr->path) : 0;
    if (len == 0 || len >= sizeof un.sun_path)
        return 0;
    memcpy(un.sun_path, addr->path, len);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    if (un.sun_path[0] == '@') { /* abstract: a NUL in front, none behind */
        un.sun_path[0] = '\0';
        size--;
    }
    memcpy(sa, &un, sizeof un);
    return size;
}

socklen_t addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *sa)
{
    memset(sa, 0, sizeof *sa);
    if (addr->family == ADDR_IP4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
        memcpy(&in.sin_addr, addr->ip, 4);
        memcpy(sa, &in, sizeof in);
        return sizeof in;
    }
    if (addr->family == ADDR_IP6) {
        struct sockaddr_in6 in = {
            .sin6_family = AF_INET6, .sin6_port = htons(addr->port), .sin6_scope_id = addr->scope};
        memcpy(&in.sin6_addr, addr->ip, 16);
        memcpy(sa, &in, sizeof in);
        return sizeof in;
    }
    return addr->family == ADDR_UNIX ? unix_to_sockaddr(addr, sa) : 0;
}

/* Are the bits of `ip` behind the first `bits` zero? */
static bool host_bits_clear(const uint8_t *ip, unsigned bits, unsigned total)
{
    for (unsigned i = bits; i < total; i++)
        if (ip[i / 8] & (0x80U >> i % 8))
            return false;
    return true;
}

enum cidr_result cidr_parse(struct str s, struct cidr *cidr)
{
    size_t slash = str_find_byte(s, '/');
    *cidr = (struct cidr){0};
    struct str host = str_sub(s, 0, slash);
    if (!addr_parse_ip(host, &cidr->net) || cidr->net.scope != 0)
        return CIDR_BAD;
    unsigned total = cidr->net.family == ADDR_IP4 ? 32 : 128;
    uint64_t bits = total;
    if (slash != SIZE_MAX) {
        struct str length = str_skip(s, slash + 1);
        bool mapped = total == 32 && str_find_byte(host, ':') != SIZE_MAX;
        if (!str_to_u64(length, mapped ? 128 : total, &bits) ||
            (length.len > 1 && length.at[0] == '0') || (mapped && bits < 96))
            return CIDR_BAD;
        if (mapped)
            bits -= 96;
    }
    cidr->bits = (uint8_t)bits;
    return host_bits_clear(cidr->net.ip, (unsigned)bits, total) ? CIDR_OK : CIDR_HOST_BITS;
}

bool cidr_has(const struct cidr *cidr, const struct addr *addr)
{
    if (cidr->net.family != addr->family)
        return false;
    unsigned whole = cidr->bits / 8, rest = cidr->bits % 8;
    if (memcmp(cidr->net.ip, addr->ip, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    unsigned mask = 0xff00U >> rest & 0xff;
    return (cidr->net.ip[whole] & mask) == (addr->ip[whole] & mask);
}
