#include "tls/tls_hello.h"

enum extension { /* RFC 8446 4.2, RFC 5077 3.2 */
                 EXTENSION_SERVER_NAME = 0,
                 EXTENSION_GROUPS = 10,
                 EXTENSION_SIGNATURES = 13,
                 EXTENSION_ALPN = 16,
                 EXTENSION_TICKET = 35,
                 EXTENSION_PSK = 41,
                 EXTENSION_VERSIONS = 43,
};

/* The one place that takes bytes off the front. */
static bool take(struct str *rest, size_t len, struct str *part)
{
    if (rest->len < len)
        return false;
    *part = str_sub(*rest, 0, len);
    *rest = str_skip(*rest, len);
    return true;
}

static bool take_number(struct str *rest, size_t bytes, size_t *value)
{
    struct str part;
    if (!take(rest, bytes, &part))
        return false;
    *value = 0;
    for (size_t i = 0; i < bytes; i++)
        *value = *value << 8 | (uint8_t)part.at[i];
    return true;
}

/* A vector: a length of `bytes` bytes and so many bytes (RFC 8446 3.4). */
static bool take_vector(struct str *rest, size_t bytes, struct str *part)
{
    size_t len;
    return take_number(rest, bytes, &len) && take(rest, len, part);
}

/* The whole of `body` is one vector of 16-bit values, at least one. */
static bool read_pairs(struct str body, size_t length_bytes, struct str *list)
{
    return str_empty(*list) && take_vector(&body, length_bytes, list) && str_empty(body) &&
           list->len >= 2 && list->len % 2 == 0;
}

static bool copy_name(struct tls_hello *hello, struct str name)
{
    if (str_ends(name, STR(".")))
        name.len--;
    if (name.len == 0 || name.len > TLS_NAME_MAX)
        return false;
    size_t label = 0;
    for (size_t i = 0; i < name.len; i++) {
        char c = char_lower(name.at[i]);
        if (c == '.' && label == 0)
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63 ||
            !(char_is_alpha(c) || char_is_digit(c) || c == '-' || c == '.' || c == '_'))
            return false;
        hello->name_bytes[i] = c;
    }
    hello->name = str_from(hello->name_bytes, name.len);
    return label > 0;
}

/* RFC 6066 3: a list with at most one name of each type; type 0, the host name, is the only one. */
static bool read_server_name(struct tls_hello *hello, struct str body)
{
    struct str list, name;
    size_t type;
    return str_empty(hello->name) && take_vector(&body, 2, &list) && str_empty(body) &&
           take_number(&list, 1, &type) && type == 0 && take_vector(&list, 2, &name) &&
           str_empty(list) && copy_name(hello, name);
}

/* RFC 7301 3.1: names of 1 to 255 bytes. */
static bool read_alpn(struct tls_hello *hello, struct str body)
{
    struct str list, name;
    if (!str_empty(hello->alpn) || !take_vector(&body, 2, &list) || !str_empty(body) ||
        str_empty(list))
        return false;
    for (struct str rest = list; !str_empty(rest);)
        if (!take_vector(&rest, 1, &name) || str_empty(name))
            return false;
    hello->alpn = list;
    return true;
}

/* RFC 8446 4.2.11: identities (opaque<1..2^16-1>, uint32 age), then binders. */
static bool read_psk(struct tls_hello *hello, struct str body)
{
    struct str identities, binders, identity, age;
    if (!take_vector(&body, 2, &identities) || !take_vector(&body, 2, &binders) ||
        !str_empty(body) || str_empty(identities))
        return false;
    for (bool first = true; !str_empty(identities); first = false) {
        if (!take_vector(&identities, 2, &identity) || str_empty(identity) ||
            !take(&identities, 4, &age))
            return false;
        if (first)
            hello->ticket = identity;
    }
    return true;
}

static bool read_extension(struct tls_hello *hello, size_t type, struct str body)
{
    switch (type) {
    case EXTENSION_SERVER_NAME:
        return read_server_name(hello, body);
    case EXTENSION_GROUPS:
        return read_pairs(body, 2, &hello->groups);
    case EXTENSION_SIGNATURES:
        return read_pairs(body, 2, &hello->signatures);
    case EXTENSION_ALPN:
        return read_alpn(hello, body);
    case EXTENSION_TICKET:
        if (str_empty(hello->ticket))
            hello->ticket = body;
        return true;
    case EXTENSION_PSK:
        return read_psk(hello, body);
    case EXTENSION_VERSIONS:
        return read_pairs(body, 1, &hello->versions);
    default:
        return true; /* GnuTLS reads these */
    }
}

bool tls_hello_parse(struct str body, struct tls_hello *hello)
{
    struct str random, session_id, compressions, extensions, extension;
    size_t version, type;
    *hello = (struct tls_hello){0};
    if (!take_number(&body, 2, &version) || !take(&body, 32, &random) ||
        !take_vector(&body, 1, &session_id) || session_id.len > 32 ||
        !take_vector(&body, 2, &hello->ciphers) || hello->ciphers.len < 2 ||
        hello->ciphers.len % 2 != 0 || !take_vector(&body, 1, &compressions) ||
        str_empty(compressions))
        return false;
    hello->legacy_version = (uint16_t)version;
    if (str_empty(body))
        return true; /* a hello of TLS 1.2 may end here */
    if (!take_vector(&body, 2, &extensions) || !str_empty(body))
        return false;
    while (!str_empty(extensions))
        if (!take_number(&extensions, 2, &type) || !take_vector(&extensions, 2, &extension) ||
            !read_extension(hello, type, extension))
            return false;
    return true;
}

bool tls_hello_lists(struct str list, uint16_t value)
{
    for (size_t i = 0; i + 1 < list.len; i += 2)
        if ((uint8_t)list.at[i] == value >> 8 && (uint8_t)list.at[i + 1] == (value & 0xff))
            return true;
    return false;
}

bool tls_hello_is_13(const struct tls_hello *hello)
{
    return tls_hello_lists(hello->versions, 0x0304);
}

bool tls_hello_next_protocol(struct str *alpn, struct str *protocol)
{
    return take_vector(alpn, 1, protocol);
}
