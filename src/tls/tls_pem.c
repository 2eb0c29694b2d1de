#include "tls/tls_pem.h"

#include "base/text.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <string.h>

struct block {
    char *name, *header;
    unsigned char *bytes;
    long len;
};

static void block_free(struct block *block)
{
    OPENSSL_free(block->name);
    OPENSSL_free(block->header);
    OPENSSL_clear_free(block->bytes, block->len > 0 ? (size_t)block->len : 0);
}

static bool refuse_encrypted(struct text *why, struct str file)
{
    text_printf(
        why,
        "the key in %.*s is protected by a passphrase, which nobody could type at a restart; "
        "remove it with: openssl pkey -in %.*s -out plain.key",
        STR_ARG(file), STR_ARG(file));
    return false;
}

static bool read_key(struct tls_pem *into, const struct block *block, struct str file,
                     struct text *why)
{
    if (into->key != NULL)
        return true;
    const unsigned char *at = block->bytes;
    into->key = d2i_AutoPrivateKey(NULL, &at, block->len);
    if (into->key != NULL)
        return true;
    text_printf(why, "the private key in %.*s cannot be read: its contents are damaged",
                STR_ARG(file));
    return false;
}

static bool read_cert(struct tls_pem *into, const struct block *block, struct str file,
                      struct text *why)
{
    if (into->cert_count == TLS_PEM_CERTS_MAX) {
        text_printf(why, "%.*s holds more than %d certificates", STR_ARG(file), TLS_PEM_CERTS_MAX);
        return false;
    }
    const unsigned char *at = block->bytes;
    X509 *cert = strcmp(block->name, PEM_STRING_X509_TRUSTED) == 0
                     ? d2i_X509_AUX(NULL, &at, block->len)
                     : d2i_X509(NULL, &at, block->len);
    if (cert == NULL) {
        text_printf(why, "certificate %zu in %.*s cannot be read: its contents are damaged",
                    into->cert_count + 1, STR_ARG(file));
        return false;
    }
    into->certs[into->cert_count++] = cert;
    return true;
}

static bool read_block(struct tls_pem *into, const struct block *block, struct str file,
                       struct text *why)
{
    const char *name = block->name;
    if (strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0 ||
        strcmp(name, PEM_STRING_X509_TRUSTED) == 0)
        return read_cert(into, block, file, why);
    /* RFC 1421 4.6.1.1: a traditional key says so in a header, PKCS#8 in the name. */
    if (strcmp(name, PEM_STRING_PKCS8) == 0 || strstr(block->header, "ENCRYPTED") != NULL)
        return refuse_encrypted(why, file);
    if (strcmp(name, "OPENSSH PRIVATE KEY") == 0) {
        text_printf(why,
                    "the key in %.*s is in the format of OpenSSH; convert a copy of it with: "
                    "ssh-keygen -p -m PKCS8 -f COPY",
                    STR_ARG(file));
        return false;
    }
    if (str_ends(str_from_z(name), STR("PRIVATE KEY")))
        return read_key(into, block, file, why);
    return true; /* EC PARAMETERS, DH PARAMETERS, a request: no matter */
}

/* There is no PEM block: say what it is instead, if it can be told. */
static bool refuse_without_pem(struct str pem, struct str file, struct text *why)
{
    const unsigned char *at = (const unsigned char *)pem.at;
    if (str_empty(str_trim(pem))) {
        text_printf(why, "%.*s is empty", STR_ARG(file));
        return false;
    }
    long len = pem.len > LONG_MAX ? LONG_MAX : (long)pem.len;
    PKCS12 *p12 = d2i_PKCS12(NULL, &at, len);
    if (p12 != NULL) {
        PKCS12_free(p12);
        text_printf(why,
                    "%.*s is a PKCS#12 file; take certificate and key out of it with: "
                    "openssl pkcs12 -in %.*s -nodes -out both.pem",
                    STR_ARG(file), STR_ARG(file));
        return false;
    }
    at = (const unsigned char *)pem.at;
    X509 *cert = d2i_X509(NULL, &at, len);
    if (cert != NULL) {
        X509_free(cert);
        text_printf(why,
                    "%.*s is a certificate in DER; convert it with: "
                    "openssl x509 -inform der -in %.*s -out cert.pem",
                    STR_ARG(file), STR_ARG(file));
        return false;
    }
    at = (const unsigned char *)pem.at;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, len);
    if (key != NULL) {
        EVP_PKEY_free(key);
        text_printf(why,
                    "%.*s is a key in DER; convert it with: "
                    "openssl pkey -inform der -in %.*s -out plain.key",
                    STR_ARG(file), STR_ARG(file));
        return false;
    }
    text_printf(why, "%.*s holds no PEM: nothing in it begins with -----BEGIN", STR_ARG(file));
    return false;
}

static bool read_blocks(struct tls_pem *into, BIO *bio, struct str file, size_t *count,
                        struct text *why)
{
    for (;;) {
        struct block block = {0};
        if (PEM_read_bio(bio, &block.name, &block.header, &block.bytes, &block.len) != 1)
            break;
        ++*count;
        bool ok = read_block(into, &block, file, why);
        block_free(&block);
        if (!ok)
            return false;
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
        return true;
    text_printf(
        why,
        "the PEM in %.*s is broken behind block %zu (a line is damaged or -----END is missing)",
        STR_ARG(file), *count);
    return false;
}

bool tls_pem_read(struct tls_pem *into, struct str pem, struct str file_name, struct text *why)
{
    if (pem.len > INT_MAX) {
        text_printf(why, "%.*s is too large", STR_ARG(file_name));
        return false;
    }
    BIO *bio = BIO_new_mem_buf(pem.at == NULL ? "" : pem.at, (int)pem.len);
    if (bio == NULL) {
        text_add_z(why, "out of memory");
        return false;
    }
    ERR_clear_error();
    size_t count = 0;
    bool ok = read_blocks(into, bio, file_name, &count, why);
    BIO_free(bio);
    if (ok && count == 0)
        ok = refuse_without_pem(pem, file_name, why);
    ERR_clear_error();
    return ok;
}

void tls_pem_fini(struct tls_pem *pem)
{
    for (size_t i = 0; i < pem->cert_count; i++)
        X509_free(pem->certs[i]);
    EVP_PKEY_free(pem->key);
    *pem = (struct tls_pem){0};
}
