#include "http/authority.h"

#include "http/grammar.h"

#include <arpa/inet.h>
#include <string.h>

/* RFC 1035 2.3.4. */
enum { HOST_BYTES_MAX = 253, LABEL_BYTES_MAX = 63 };

/* Labels of allowed bytes; `*upper` when one is a capital. */
static bool labels_ok(struct str host, bool *upper)
{
    size_t label = 0; /* bytes of the label we are in */
    *upper = false;
    if (host.len > HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.at[i];
        if (!grammar_is(c, GRAMMAR_HOST) || (c == '.' && label == 0))
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > LABEL_BYTES_MAX)
            return false;
        *upper = *upper || (c >= 'A' && c <= 'Z');
    }
    return label != 0;
}

static bool name_ok(struct str *text, bool *upper)
{
    if (text->len && text->at[text->len - 1] == '.')
        text->len--;
    return labels_ok(*text, upper);
}

static bool parse_name(struct arena *arena, struct str text, struct authority *authority)
{
    bool upper;
    if (!name_ok(&text, &upper))
        return false;
    authority->host = upper ? str_lower(arena, text) : text;
    return authority->host.at != NULL;
}

/* What stands between the brackets. inet_pton knows no zone and no brackets, which is as wanted. */
static bool read_ip6(struct str text, unsigned char ip[16])
{
    char z[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof z)
        return false;
    memcpy(z, text.at, text.len);
    z[text.len] = '\0';
    return memchr(z, '\0', text.len) == NULL && inet_pton(AF_INET6, z, ip) == 1;
}

static bool parse_ip6(struct arena *arena, struct str text, struct authority *authority)
{
    char normal[INET6_ADDRSTRLEN];
    unsigned char ip[16];
    if (!read_ip6(text, ip) || inet_ntop(AF_INET6, ip, normal, sizeof normal) == NULL)
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

bool authority_ok(struct str text)
{
    struct authority unused;
    unsigned char ip[16];
    bool upper;
    size_t end = text.len && text.at[0] == '[' ? str_find_byte(text, ']') : 0;
    if (end != 0)
        return end != SIZE_MAX && parse_port(str_skip(text, end + 1), &unused) &&
               read_ip6(str_sub(text, 1, end - 1), ip);
    size_t colon = str_find_byte(text, ':');
    struct str name = str_sub(text, 0, colon);
    return parse_port(str_skip(text, colon), &unused) && name_ok(&name, &upper);
}

bool authority_same(const struct authority *a, const struct authority *b, uint16_t default_port)
{
    uint16_t port_a = a->has_port ? a->port : default_port;
    uint16_t port_b = b->has_port ? b->port : default_port;
    return port_a == port_b && a->is_ip6 == b->is_ip6 && str_eq(a->host, b->host);
}
