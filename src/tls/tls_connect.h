/*
 * The client's side of TLS, towards origins: wraps a stream that is being connected. Versions 1.2
 * and 1.3, with older suites than the server's side has, since origins are what they are.
 *
 * A `struct tls_client` belongs to one thread: it remembers sessions for resumption. GnuTLS does
 * not verify the certificate of a resumed session again, so a session is only used where everything
 * that decided about it is the same: origin, names, trusted CAs, our own certificate.
 */
#ifndef PC_TLS_TLS_CONNECT_H
#define PC_TLS_TLS_CONNECT_H

#include "tls/tls_cert.h"
#include "tls/tls_stream.h"
#include "tls/tls_trust.h"

struct tls_client;

struct tls_client_conf {
    struct tls_trust *trust;     /* NULL: the certificate is not verified (`insecure`) */
    struct str verify_name;      /* name or address that the certificate must have */
    struct str server_name;      /* sent as SNI; empty, or an address: none is sent */
    struct tls_cert *cert;       /* ours, if the origin asks for one; NULL: none */
    const struct str *protocols; /* ALPN; at most TLS_CONNECT_PROTOCOLS_MAX, static strings */
    size_t protocol_count;
    struct str origin; /* address and port, say: sessions are not resumed elsewhere; empty: never */
};

enum { TLS_CONNECT_PROTOCOLS_MAX = 4 };

/* NULL with a sentence in `*error`. Ends after all its streams. */
struct tls_client *tls_client_new(const char **error) __attribute__((warn_unused_result));
void tls_client_end(struct tls_client *client);

/*
 * `lower` is connecting: the handshake begins with its on_open. Whatever the handshake needs of
 * `conf` is copied or referenced. on_open follows when origin and certificate are fine, else
 * on_end. NULL without memory: then `lower` stays the caller's.
 */
struct stream *tls_connect(struct stream *lower, struct tls_client *client,
                           const struct tls_client_conf *conf, const struct stream_user *user,
                           void *user_data) __attribute__((warn_unused_result));

#endif
