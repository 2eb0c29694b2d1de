#include "tls/tls_sign.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

/* The public key algorithm as GnuTLS names it, or UNKNOWN. */
static gnutls_pk_algorithm_t kind_of(const EVP_PKEY *key)
{
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_EC:
        return GNUTLS_PK_ECDSA;
    case EVP_PKEY_RSA:
        return GNUTLS_PK_RSA;
    case EVP_PKEY_RSA_PSS:
        return GNUTLS_PK_RSA_PSS;
    case EVP_PKEY_ED25519:
        return GNUTLS_PK_EDDSA_ED25519;
    default:
        return GNUTLS_PK_UNKNOWN;
    }
}

static const EVP_MD *pss_digest(gnutls_sign_algorithm_t algorithm)
{
    switch (algorithm) {
    case GNUTLS_SIGN_RSA_PSS_SHA256:
    case GNUTLS_SIGN_RSA_PSS_RSAE_SHA256:
        return EVP_sha256();
    case GNUTLS_SIGN_RSA_PSS_SHA384:
    case GNUTLS_SIGN_RSA_PSS_RSAE_SHA384:
        return EVP_sha384();
    case GNUTLS_SIGN_RSA_PSS_SHA512:
    case GNUTLS_SIGN_RSA_PSS_RSAE_SHA512:
        return EVP_sha512();
    default:
        return NULL;
    }
}

/* ECDSA hashes come ready and are signed as they are. RFC 8446 4.2.3 gives PSS its salt length. */
static bool prepare(EVP_PKEY_CTX *ctx, gnutls_sign_algorithm_t algorithm)
{
    const EVP_MD *digest = pss_digest(algorithm);
    if (digest != NULL)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_signature_md(ctx, digest) == 1 &&
               EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, digest) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    /* The input is the whole DigestInfo (RFC 8017 9.2): padded, not hashed. */
    if (algorithm == GNUTLS_SIGN_RSA_RAW)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    return true;
}

static int fail(gnutls_datum_t *signature)
{
    gnutls_free(signature->data);
    signature->data = NULL;
    signature->size = 0;
    ERR_clear_error();
    return GNUTLS_E_PK_SIGN_FAILED;
}

static int sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *user,
                     unsigned flags, const gnutls_datum_t *hash, gnutls_datum_t *signature)
{
    (void)key;
    (void)flags;
    *signature = (gnutls_datum_t){0};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(user, NULL);
    size_t len = 0;
    if (ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 && prepare(ctx, algorithm) &&
        EVP_PKEY_sign(ctx, NULL, &len, hash->data, hash->size) == 1 &&
        (signature->data = gnutls_malloc(len)) != NULL &&
        EVP_PKEY_sign(ctx, signature->data, &len, hash->data, hash->size) == 1) {
        signature->size = (unsigned)len;
        EVP_PKEY_CTX_free(ctx);
        return 0;
    }
    EVP_PKEY_CTX_free(ctx);
    return fail(signature);
}

/* Ed25519 signs the message itself, not a hash of it (RFC 8032 5.1.6). */
static int sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *user,
                     unsigned flags, const gnutls_datum_t *data, gnutls_datum_t *signature)
{
    (void)key;
    (void)algorithm;
    (void)flags;
    *signature = (gnutls_datum_t){0};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = 0;
    if (ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, user) == 1 &&
        EVP_DigestSign(ctx, NULL, &len, data->data, data->size) == 1 &&
        (signature->data = gnutls_malloc(len)) != NULL &&
        EVP_DigestSign(ctx, signature->data, &len, data->data, data->size) == 1) {
        signature->size = (unsigned)len;
        EVP_MD_CTX_free(ctx);
        return 0;
    }
    EVP_MD_CTX_free(ctx);
    return fail(signature);
}

static int info(gnutls_privkey_t key, unsigned flags, void *user)
{
    (void)key;
    gnutls_pk_algorithm_t kind = kind_of(user);
    if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO) != 0)
        return (int)kind;
    if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS) != 0)
        return EVP_PKEY_get_bits(user);
    if ((flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) != 0) {
        gnutls_sign_algorithm_t algorithm =
            (gnutls_sign_algorithm_t)GNUTLS_FLAGS_TO_SIGN_ALGO(flags);
        if (algorithm == GNUTLS_SIGN_RSA_RAW)
            return kind == GNUTLS_PK_RSA;
        return gnutls_sign_supports_pk_algorithm(algorithm, kind) != 0;
    }
    return -1;
}

static void end(gnutls_privkey_t key, void *user)
{
    (void)key;
    EVP_PKEY_free(user);
}

gnutls_privkey_t tls_sign_key(EVP_PKEY *key)
{
    gnutls_privkey_t result;
    if (kind_of(key) == GNUTLS_PK_UNKNOWN || gnutls_privkey_init(&result) < 0)
        return NULL;
    EVP_PKEY_up_ref(key);
    if (gnutls_privkey_import_ext4(result, key, sign_data, sign_hash, NULL, end, info, 0) < 0) {
        EVP_PKEY_free(key);
        gnutls_privkey_deinit(result);
        return NULL;
    }
    return result;
}
