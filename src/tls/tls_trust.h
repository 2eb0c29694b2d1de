/*
 * Whom we believe when we are the client: a set of CA certificates, parsed once (the system's
 * bundle takes 8 ms and 4 MB), counted atomically, shared by all threads.
 */
#ifndef PC_TLS_TLS_TRUST_H
#define PC_TLS_TLS_TRUST_H

#include "base/str.h"

#include <gnutls/x509.h>

struct text;
struct tls_trust;

/* A self-signed certificate of an origin may be among them. NULL with a sentence in `why`. */
struct tls_trust *tls_trust_new(struct str pem, struct str file_name, struct text *why)
    __attribute__((warn_unused_result));
struct tls_trust *tls_trust_ref(struct tls_trust *trust);
void tls_trust_unref(struct tls_trust *trust);

/* SHA-256 of the PEM text. */
const uint8_t *tls_trust_id(const struct tls_trust *trust);
/*
 * Verifies the chain of a session's peer for `name` (host name or address as text, NUL-terminated).
 * False with a sentence in `why`.
 */
bool tls_trust_verify(const struct tls_trust *trust, gnutls_session_t session, const char *name,
                      struct text *why) __attribute__((warn_unused_result));

#endif
