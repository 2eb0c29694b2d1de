/*
 * Certificates: PEM texts in, and out come facts for people and a credential for the handshake.
 *
 * A `struct tls_cert` is a chain with its key, immutable, counted atomically, and may be used by
 * all threads at once. The chain may come in any order: the leaf is the certificate that the key
 * fits, its issuers follow, what does not belong is left out, and so is a root at the end (RFC 8446
 * 4.4.2). Keys: ECDSA on P-256 or P-384, RSA of 2048 to 8192 bits, RSA-PSS, Ed25519. Only the
 * leaf's subjectAltName counts as name (RFC 9525 2); the common name never.
 *
 * The key lives in the memory of libcrypto for as long as the certificate; a process that loads
 * keys switches core files off. The PEM text stays the caller's, who wipes it. Nothing here opens a
 * file.
 */
#ifndef PC_TLS_TLS_CERT_H
#define PC_TLS_TLS_CERT_H

#include "tls/tls_facts.h"

struct text;
struct tls_cert;

/*
 * NULL when it fails; then `why` holds a sentence for the operator: what is wrong and, where one
 * helps, the openssl command. Chain and key may stand in one text; then the other is empty or the
 * same. `chain_name` and `key_name` are the files' names as the operator knows them.
 */
struct tls_cert *tls_cert_load(struct str chain_pem, struct str chain_name, struct str key_pem,
                               struct str key_name, struct text *why)
    __attribute__((warn_unused_result));
struct tls_cert *tls_cert_ref(struct tls_cert *cert);
/* The last one frees. NULL is allowed. */
void tls_cert_unref(struct tls_cert *cert);

/* As long as the certificate. The fingerprint tells certificates apart. */
const struct tls_facts *tls_cert_facts(const struct tls_cert *cert);
/* `name`: a host name in any case or an address as text. A wildcard stands for one label. */
bool tls_cert_covers(const struct tls_cert *cert, struct str name);

#endif
