/* Keys and certificates for the tests of TLS, made by libcrypto when they run. */
#ifndef PC_TESTS_TLS_MAKE_H
#define PC_TESTS_TLS_MAKE_H

#include "base/str.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct made {
    EVP_PKEY *key;
    X509 *cert;
    char *cert_pem, *key_pem;
};

/* "P-256", "P-384", "P-521", "RSA", "RSA-1024", "RSA-PSS", "ED25519" */
static inline EVP_PKEY *make_key(const char *kind)
{
    if (strcmp(kind, "RSA") == 0)
        return EVP_RSA_gen(2048);
    if (strcmp(kind, "RSA-1024") == 0)
        return EVP_RSA_gen(1024);
    if (strcmp(kind, "ED25519") == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (strcmp(kind, "RSA-PSS") == 0) {
        EVP_PKEY *key = NULL;
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
        EVP_PKEY_keygen_init(ctx);
        EVP_PKEY_keygen(ctx, &key);
        EVP_PKEY_CTX_free(ctx);
        return key;
    }
    return EVP_EC_gen(kind);
}

static inline char *make_pem(void (*write)(BIO *, const void *), const void *what)
{
    BIO *bio = BIO_new(BIO_s_mem());
    write(bio, what);
    char *at;
    long len = BIO_get_mem_data(bio, &at);
    char *pem = strndup(at, (size_t)len);
    BIO_free(bio);
    return pem;
}

static inline void make_write_cert(BIO *bio, const void *cert)
{
    PEM_write_bio_X509(bio, cert);
}
static inline void make_write_key(BIO *bio, const void *key)
{
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
}

static inline void make_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
}

/* `names` as openssl writes them: "DNS:a.example,IP:127.0.0.1"; NULL: a CA. `issuer` NULL: itself.
 */
static inline struct made make_cert(const char *kind, const char *subject, const char *names,
                                    const struct made *issuer, long from_days, long to_days)
{
    static long serial = 1;
    struct made made = {.key = make_key(kind), .cert = X509_new()};
    X509 *cert = made.cert, *by = issuer == NULL ? cert : issuer->cert;
    EVP_PKEY *by_key = issuer == NULL ? made.key : issuer->key;
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), from_days * 86400);
    X509_gmtime_adj(X509_getm_notAfter(cert), to_days * 86400);
    X509_set_pubkey(cert, made.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                               (const unsigned char *)subject, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(by));
    make_extension(cert, by, NID_basic_constraints,
                   names == NULL ? "critical,CA:TRUE" : "CA:FALSE");
    if (names != NULL)
        make_extension(cert, by, NID_subject_alt_name, names);
    bool pure = EVP_PKEY_get_base_id(by_key) == EVP_PKEY_ED25519;
    X509_sign(cert, by_key, pure ? NULL : EVP_sha256());
    made.cert_pem = make_pem(make_write_cert, cert);
    made.key_pem = make_pem(make_write_key, made.key);
    return made;
}

static inline void made_end(struct made *made)
{
    EVP_PKEY_free(made->key);
    X509_free(made->cert);
    free(made->cert_pem);
    free(made->key_pem);
}

#endif
