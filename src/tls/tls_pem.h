/*
 * PEM texts (RFC 7468) to the objects of libcrypto, with a sentence for each way in which operators
 * get them wrong: DER, PKCS#12, passphrases, swapped files, keys of OpenSSH. The bytes of private
 * keys are wiped as soon as they are imported.
 */
#ifndef PC_TLS_TLS_PEM_H
#define PC_TLS_TLS_PEM_H

#include "base/str.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

struct text;

/* More certificates than any chain has. */
enum { TLS_PEM_CERTS_MAX = 32 };

struct tls_pem {
    X509 *certs[TLS_PEM_CERTS_MAX]; /* in the order of the text */
    size_t cert_count;
    EVP_PKEY *key; /* the first private key, or NULL */
};

/* Adds what stands in `pem`. False with a sentence in `why`; tls_pem_fini() is due either way. */
bool tls_pem_read(struct tls_pem *into, struct str pem, struct str file_name, struct text *why)
    __attribute__((warn_unused_result));
void tls_pem_fini(struct tls_pem *pem);

#endif
