/* For the handshake only: what GnuTLS needs of a certificate. Its life is the certificate's. */
#ifndef PC_TLS_TLS_CREDENTIAL_H
#define PC_TLS_TLS_CREDENTIAL_H

#include <gnutls/gnutls.h>

struct tls_cert;

gnutls_certificate_credentials_t tls_credential_of(const struct tls_cert *cert);

#endif
