/*
 * Signing by libcrypto inside handshakes of GnuTLS, whose own RSA is several times slower. The
 * functions answer at once and never "try again": the state machine of GnuTLS would skip the signed
 * message.
 */
#ifndef PC_TLS_TLS_SIGN_H
#define PC_TLS_TLS_SIGN_H

#include <gnutls/abstract.h>
#include <openssl/evp.h>
#include <stdbool.h>

/*
 * A key of GnuTLS that signs with `key`, of which it takes a reference. NULL when the kind is not
 * supported or memory is short.
 */
gnutls_privkey_t tls_sign_key(EVP_PKEY *key) __attribute__((warn_unused_result));

#endif
