#include "http/authority.h"

#include "http/grammar.h"

#include <arpa/inet.h>
#include <string.h>

/* RFC 1035 2.3.4. */
enum { HOST_BYTES_MAX = 253, LABEL_BYTES_MAX = 63 };

static bool labels_ok(struct str host)
{
    struct str label;
    if (host.len == 0 || host.len > HOST_BYTES_MAX || host.at[host.len - 1] == '.')
        return false;
    while (str_split(&host, '.', &label))
        if (label.len == 0 || label.len > LABEL_BYTES_MAX || !grammar_all(label, GRAMMAR_HOST))
            return false;
    return true;
}

static bool has_upper(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] >= 'A' && s.at[i] <= 'Z')
            return true;
    return false;
}

static bool parse_name(struct arena *arena, struct str text, struct authority *authority)
{
    if (text.len && text.at[text.len - 1] == '.')
        text.len--;
    if (!labels_ok(text))
        return false;
    authority->host = has_upper(text) ? str_lower(arena, text) : text;
    return authority->host.at != NULL;
}

/* What stands between the brackets. inet_pton knows no zone and no brackets, which is as wanted. */
static bool parse_ip6(struct arena *arena, struct str text, struct authority *authority)
{
    char z[INET6_ADDRSTRLEN], normal[INET6_ADDRSTRLEN];
    unsigned char ip[16];
    if (text.len == 0 || text.len >= sizeof z)
        return false;
    memcpy(z, text.at, text.len);
    z[text.len] = '\0';
    if (memchr(z, '\0', text.len) != NULL || inet_pton(AF_INET6, z, ip) != 1 ||
        inet_ntop(AF_INET6, ip, normal, sizeof normal) == NULL)
        return false;
    authority->is_ip6 = true;
    struct str canonical = str_from_z(normal);
    authority->host = str_eq(canonical, text) ? text : str_dup(arena, canonical);
    return authority->host.at != NULL;
}

/* `text` is what follows the host: nothing, or a colon and digits. */
static bool parse_port(struct str text, struct authority *authority)
{
    uint64_t port = 0;
    if (text.len == 0)
        return true;
    struct str digits = str_skip(text, 1);
    if (text.at[0] != ':' || digits.len > 5 || !str_to_u64(digits, 65535, &port))
        return false;
    authority->has_port = true;
    authority->port = (uint16_t)port;
    return true;
}

bool authority_parse(struct arena *arena, struct str text, struct authority *authority)
{
    *authority = (struct authority){0};
    if (text.len && text.at[0] == '[') {
        size_t end = str_find_byte(text, ']');
        return end != SIZE_MAX && parse_port(str_skip(text, end + 1), authority) &&
               parse_ip6(arena, str_sub(text, 1, end - 1), authority);
    }
    size_t colon = str_find_byte(text, ':');
    return parse_port(str_skip(text, colon), authority) &&
           parse_name(arena, str_sub(text, 0, colon), authority);
}

bool authority_same(const struct authority *a, const struct authority *b, uint16_t default_port)
{
    uint16_t port_a = a->has_port ? a->port : default_port;
    uint16_t port_b = b->has_port ? b->port : default_port;
    return port_a == port_b && a->is_ip6 == b->is_ip6 && str_eq(a->host, b->host);
}
