#include "tls/tls_cert.h"

#include "base/arena.h"
#include "base/text.h"
#include "tls/tls_credential.h"
#include "tls/tls_pem.h"
#include "tls/tls_sign.h"

#include <openssl/err.h>
#include <stdatomic.h>

/* Facts of a certificate: a hundred names of the longest kind stay far below. */
enum { FACTS_BYTES_MAX = 256 * 1024, FACTS_CHUNK_BYTES = 512 };
/* Below 2048 bits an RSA key can be had for money; above 8192 each handshake takes 20 ms and more.
 */
enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192 };

struct tls_cert {
    atomic_uint refs;
    gnutls_certificate_credentials_t credential;
    struct tls_facts facts;
    struct arena *arena; /* of the facts; the certificate itself lies in it */
};

static bool key_allowed(const struct tls_facts *facts, struct str file, struct text *why)
{
    bool ecdsa = facts->kind == TLS_KEY_ECDSA;
    if (ecdsa && !str_eq(str_from_z(facts->curve), STR("P-256")) &&
        !str_eq(str_from_z(facts->curve), STR("P-384"))) {
        text_printf(why, "the key of %.*s is on curve %s; browsers take P-256 and P-384",
                    STR_ARG(file), facts->curve);
        return false;
    }
    bool rsa = facts->kind == TLS_KEY_RSA || facts->kind == TLS_KEY_RSA_PSS;
    if (rsa && (facts->bits < RSA_BITS_MIN || facts->bits > RSA_BITS_MAX)) {
        text_printf(why, "the RSA key of %.*s has %u bits; %d to %d are accepted", STR_ARG(file),
                    facts->bits, RSA_BITS_MIN, RSA_BITS_MAX);
        return false;
    }
    if (facts->kind == TLS_KEY_OTHER) {
        text_printf(why,
                    "the key of %.*s is of a kind that TLS cannot use here; ECDSA, RSA and "
                    "Ed25519 are",
                    STR_ARG(file));
        return false;
    }
    return true;
}

/* The certificate that the key fits, or SIZE_MAX. */
static size_t find_leaf(const struct tls_pem *pem)
{
    for (size_t i = 0; i < pem->cert_count; i++)
        if (X509_check_private_key(pem->certs[i], pem->key) == 1)
            return i;
    return SIZE_MAX;
}

static bool read_pair(struct tls_pem *pem, struct str chain_pem, struct str chain_name,
                      struct str key_pem, struct str key_name, struct text *why)
{
    if (!tls_pem_read(pem, chain_pem, chain_name, why))
        return false;
    bool key_in_chain = pem->key != NULL, cert_in_chain = pem->cert_count > 0;
    if (!str_empty(key_pem) && key_pem.at != chain_pem.at) {
        struct tls_pem second = {0};
        bool ok = tls_pem_read(&second, key_pem, key_name, why);
        if (ok && second.key == NULL && !cert_in_chain && key_in_chain && second.cert_count > 0) {
            text_printf(why,
                        "the two files are swapped: %.*s holds the key and %.*s the certificate",
                        STR_ARG(chain_name), STR_ARG(key_name));
            ok = false;
        } else if (ok && second.key != NULL) {
            EVP_PKEY_free(pem->key);
            pem->key = second.key;
            second.key = NULL;
        }
        /* A key file that holds the chain as well: the certificate file decides, if it has one. */
        for (size_t i = 0; ok && !cert_in_chain && i < second.cert_count; i++) {
            pem->certs[pem->cert_count++] = second.certs[i];
            X509_up_ref(second.certs[i]);
        }
        tls_pem_fini(&second);
        if (!ok)
            return false;
    }
    if (pem->cert_count == 0) {
        text_printf(why, "%.*s holds no certificate", STR_ARG(chain_name));
        return false;
    }
    if (pem->key == NULL) {
        text_printf(why, "%.*s holds no private key",
                    STR_ARG(str_empty(key_name) ? chain_name : key_name));
        return false;
    }
    return true;
}

static bool import_chain(const struct tls_pem *pem, size_t count, gnutls_pcert_st *pcerts)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char *der = NULL;
        int len = i2d_X509(pem->certs[i], &der);
        gnutls_datum_t datum = {.data = der, .size = len > 0 ? (unsigned)len : 0};
        int code = len > 0
                       ? gnutls_pcert_import_x509_raw(&pcerts[i], &datum, GNUTLS_X509_FMT_DER, 0)
                       : GNUTLS_E_MEMORY_ERROR;
        OPENSSL_free(der);
        if (code < 0) {
            while (i > 0)
                gnutls_pcert_deinit(&pcerts[--i]);
            return false;
        }
    }
    return true;
}

/*
 * The credential owns key and chain when set_key succeeds; after a failure it is thrown away with
 * what it may have taken. The pair was checked by libcrypto: no second check by a signature.
 */
static gnutls_certificate_credentials_t make_credential(const struct tls_pem *pem, size_t count)
{
    gnutls_pcert_st pcerts[TLS_PEM_CERTS_MAX];
    gnutls_certificate_credentials_t credential;
    if (gnutls_certificate_allocate_credentials(&credential) < 0)
        return NULL;
    gnutls_certificate_set_flags(credential, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
    gnutls_privkey_t key = tls_sign_key(pem->key);
    if (key == NULL || !import_chain(pem, count, pcerts)) {
        gnutls_privkey_deinit(key);
        gnutls_certificate_free_credentials(credential);
        return NULL;
    }
    if (gnutls_certificate_set_key(credential, NULL, 0, pcerts, (int)count, key) < 0) {
        gnutls_certificate_free_credentials(credential);
        return NULL;
    }
    return credential;
}

static struct tls_cert *build(struct arena *arena, struct tls_pem *pem, struct str chain_name,
                              struct str key_name, struct text *why)
{
    size_t leaf = find_leaf(pem);
    ERR_clear_error();
    if (leaf == SIZE_MAX) {
        text_printf(why, "the key in %.*s does not fit the certificate in %.*s",
                    STR_ARG(str_empty(key_name) ? chain_name : key_name), STR_ARG(chain_name));
        return NULL;
    }
    struct tls_cert *cert = ARENA_NEW(arena, struct tls_cert);
    if (cert == NULL || !tls_facts_order(arena, pem, leaf, &cert->facts)) {
        text_printf(why, "%.*s needs too much memory", STR_ARG(chain_name));
        return NULL;
    }
    if (!key_allowed(&cert->facts, chain_name, why))
        return NULL;
    cert->credential = make_credential(pem, cert->facts.chain_len);
    if (cert->credential == NULL) {
        text_printf(why, "the TLS library does not take the certificate in %.*s",
                    STR_ARG(chain_name));
        return NULL;
    }
    cert->arena = arena;
    atomic_init(&cert->refs, 1);
    return cert;
}

struct tls_cert *tls_cert_load(struct str chain_pem, struct str chain_name, struct str key_pem,
                               struct str key_name, struct text *why)
{
    struct tls_pem pem = {0};
    struct tls_cert *cert = NULL;
    struct arena *arena = arena_new(FACTS_BYTES_MAX, FACTS_CHUNK_BYTES);
    if (arena == NULL)
        text_add_z(why, "out of memory");
    else if (read_pair(&pem, chain_pem, chain_name, key_pem, key_name, why))
        cert = build(arena, &pem, chain_name, key_name, why);
    tls_pem_fini(&pem);
    if (cert == NULL)
        arena_end(arena);
    return cert;
}

struct tls_cert *tls_cert_ref(struct tls_cert *cert)
{
    atomic_fetch_add_explicit(&cert->refs, 1, memory_order_relaxed);
    return cert;
}

void tls_cert_unref(struct tls_cert *cert)
{
    if (cert == NULL || atomic_fetch_sub_explicit(&cert->refs, 1, memory_order_acq_rel) != 1)
        return;
    gnutls_certificate_free_credentials(cert->credential);
    arena_end(cert->arena);
}

const struct tls_facts *tls_cert_facts(const struct tls_cert *cert)
{
    return &cert->facts;
}

bool tls_cert_covers(const struct tls_cert *cert, struct str name)
{
    return tls_facts_cover(&cert->facts, name);
}

gnutls_certificate_credentials_t tls_credential_of(const struct tls_cert *cert)
{
    return cert->credential;
}
