/*
 * The ClientHello (RFC 8446 4.1.2, RFC 5246 7.4.1.2), read strictly: what the choice of site and
 * certificate needs. Input is the body of the handshake message, without its header. The strings
 * point into the input but for the name, which is copied in lower case.
 *
 * A hello is refused when a length does not fit, a list has a broken element, an extension that is
 * read here comes twice, or the name is not a host name (letters, digits, '-', '.', '_', labels of
 * 1 to 63 bytes). A trailing dot of the name is dropped.
 */
#ifndef PC_TLS_TLS_HELLO_H
#define PC_TLS_TLS_HELLO_H

#include "base/str.h"

/* RFC 1035 2.3.4: a name has at most 253 bytes in text form. */
enum { TLS_NAME_MAX = 253 };

struct tls_hello {
    uint16_t legacy_version;
    struct str name;       /* server_name in lower case; empty: none sent */
    struct str ciphers;    /* pairs of bytes */
    struct str versions;   /* pairs; empty: no supported_versions, so legacy_version counts */
    struct str groups;     /* pairs; empty: not sent */
    struct str signatures; /* pairs; empty: not sent */
    struct str alpn;       /* elements of one length byte and a name; empty: not sent */
    struct str ticket;     /* RFC 5077 ticket or first PSK identity; empty: none */
    char name_bytes[TLS_NAME_MAX];
};

/* False: not a hello that may be answered. The struct must not be moved while `name` is used. */
bool tls_hello_parse(struct str body, struct tls_hello *hello) __attribute__((warn_unused_result));

/* True when one of the 16-bit values of a list (ciphers, versions, groups, signatures) is `value`.
 */
bool tls_hello_lists(struct str list, uint16_t value);
/* True when TLS 1.3 is among the versions. */
bool tls_hello_is_13(const struct tls_hello *hello);
/* Takes the next protocol from a copy of `alpn`; false at the end. */
bool tls_hello_next_protocol(struct str *alpn, struct str *protocol);

#endif
