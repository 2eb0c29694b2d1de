/*
 * The server's side of TLS: wraps an accepted stream. The ClientHello is shown to choose(), which
 * names the certificates and the ticket id of the site; from then on no name is asked again.
 *
 * Versions 1.2 and 1.3, AEAD suites with ephemeral ECDH only, in our order. Of the certificates the
 * first that the client can verify is taken: ECDSA P-256, then Ed25519, P-384, RSA. Unknown
 * protocols in ALPN are refused with no_application_protocol (RFC 7301 3.2); a client without ALPN
 * is let in. Plain HTTP gets a 400 in plain text that says so. The second hello after
 * HelloRetryRequest must name the same host. A `struct tls_server` is immutable but for its tickets
 * and shared by threads.
 */
#ifndef PC_TLS_TLS_ACCEPT_H
#define PC_TLS_TLS_ACCEPT_H

#include "tls/tls_cert.h"
#include "tls/tls_hello.h"
#include "tls/tls_stream.h"
#include "tls/tls_tickets.h"

struct tls_server;

enum tls_chosen {
    TLS_CHOSEN,
    TLS_UNKNOWN_NAME,  /* alert unrecognized_name (112) */
    TLS_NOT_AVAILABLE, /* alert internal_error (80): out of memory and the like */
};

enum { TLS_PROTOCOLS_MAX = 4 };

struct tls_choice {
    struct tls_cert *const *certs; /* read, and referenced, before choose() is called again */
    size_t cert_count;
    const uint8_t *ticket_id;                /* TLS_TICKET_ID_BYTES; NULL: no resumption */
    struct str protocols[TLS_PROTOCOLS_MAX]; /* ALPN, in order of preference; static strings */
    size_t protocol_count;                   /* 0: ALPN is not looked at */
};

/* Called within the handshake: it may not touch the stream. */
typedef enum tls_chosen (*tls_choose_fn)(void *user, const struct tls_hello *hello,
                                         struct tls_choice *choice);

/* `tickets` is the caller's and outlives the server. NULL with a sentence in `*error`. */
struct tls_server *tls_server_new(struct tls_tickets *tickets, const char **error)
    __attribute__((warn_unused_result));
/*
 * How many of its TLS_SUITES suites the library has left: an administrator's file for GnuTLS
 * (/etc/gnutls/config) may have switched some off.
 */
enum { TLS_SUITES = 9 };
unsigned tls_server_suites(const struct tls_server *server);
/* When no stream in its handshake uses it any more. */
void tls_server_end(struct tls_server *server);

/*
 * `lower` is open and has had no bytes yet; it is the new stream's from now on. on_open follows
 * when the handshake is done, or on_end. NULL without memory: then `lower` stays the caller's.
 */
struct stream *tls_accept(struct stream *lower, const struct tls_server *server,
                          tls_choose_fn choose, void *choose_user, const struct stream_user *user,
                          void *user_data) __attribute__((warn_unused_result));

#endif
