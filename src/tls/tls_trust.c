#include "tls/tls_trust.h"

#include "base/text.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Longer chains than this are no honest origin's. */
enum { CHAIN_MAX = 10 };

struct tls_trust {
    atomic_uint refs;
    gnutls_x509_trust_list_t list;
    uint8_t id[32];
};

struct tls_trust *tls_trust_new(struct str pem, struct str file_name, struct text *why)
{
    /* @UNSAFE: a datum has no const; the list copies */
    gnutls_datum_t datum = {.data = (unsigned char *)(uintptr_t)pem.at, .size = (unsigned)pem.len};
    unsigned len = 32;
    struct tls_trust *trust = calloc(1, sizeof(*trust));
    if (trust == NULL || gnutls_x509_trust_list_init(&trust->list, 0) < 0) {
        text_add_z(why, "out of memory");
        free(trust);
        return NULL;
    }
    int count = pem.len == 0 || pem.len > INT_MAX
                    ? 0
                    : gnutls_x509_trust_list_add_trust_mem(trust->list, &datum, NULL,
                                                           GNUTLS_X509_FMT_PEM, 0, 0);
    if (count <= 0 || EVP_Digest(pem.at, pem.len, trust->id, &len, EVP_sha256(), NULL) != 1) {
        text_printf(why, "%.*s holds no CA certificate in PEM", STR_ARG(file_name));
        gnutls_x509_trust_list_deinit(trust->list, 1);
        free(trust);
        return NULL;
    }
    atomic_init(&trust->refs, 1);
    return trust;
}

struct tls_trust *tls_trust_ref(struct tls_trust *trust)
{
    atomic_fetch_add_explicit(&trust->refs, 1, memory_order_relaxed);
    return trust;
}

void tls_trust_unref(struct tls_trust *trust)
{
    if (trust == NULL || atomic_fetch_sub_explicit(&trust->refs, 1, memory_order_acq_rel) != 1)
        return;
    gnutls_x509_trust_list_deinit(trust->list, 1);
    free(trust);
}

const uint8_t *tls_trust_id(const struct tls_trust *trust)
{
    return trust->id;
}

static void explain(unsigned status, const char *name, struct text *why)
{
    static const struct {
        unsigned bit;
        const char *text;
    } reasons[] = {
        {GNUTLS_CERT_UNEXPECTED_OWNER, "it does not name "},
        {GNUTLS_CERT_EXPIRED, "it has expired"},
        {GNUTLS_CERT_NOT_ACTIVATED, "it is not valid yet"},
        {GNUTLS_CERT_SIGNER_NOT_FOUND, "its issuer is not trusted"},
        {GNUTLS_CERT_SIGNER_NOT_CA, "its issuer is no CA"},
        {GNUTLS_CERT_INSECURE_ALGORITHM, "its signature is of a weak kind"},
        {GNUTLS_CERT_SIGNATURE_FAILURE, "its signature is wrong"},
        {GNUTLS_CERT_PURPOSE_MISMATCH, "it is not made for servers"},
        {GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE, "its issuer may not sign for this name"},
    };
    bool any = false;
    text_add_z(why, "the origin's certificate is refused: ");
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if ((status & reasons[i].bit) != 0) {
            text_add_z(why, any ? ", " : "");
            text_add_z(why, reasons[i].text);
            text_add_z(why, reasons[i].bit == GNUTLS_CERT_UNEXPECTED_OWNER ? name : "");
            any = true;
        }
    if (!any)
        text_add_z(why, "it is not trusted");
}

/* Imports the peer's chain; the count, 0 on failure. */
static unsigned import_chain(gnutls_session_t session, gnutls_x509_crt_t chain[CHAIN_MAX])
{
    unsigned count = 0, done = 0;
    const gnutls_datum_t *raw = gnutls_certificate_get_peers(session, &count);
    if (raw == NULL || count > CHAIN_MAX)
        return 0;
    for (; done < count; done++) {
        if (gnutls_x509_crt_init(&chain[done]) < 0)
            break;
        if (gnutls_x509_crt_import(chain[done], &raw[done], GNUTLS_X509_FMT_DER) < 0) {
            gnutls_x509_crt_deinit(chain[done]);
            break;
        }
    }
    if (done == count)
        return count;
    while (done > 0)
        gnutls_x509_crt_deinit(chain[--done]);
    return 0;
}

/* GnuTLS would take the common name of a certificate without names; RFC 9525 2 does not. */
static bool has_names(gnutls_x509_crt_t leaf)
{
    for (unsigned i = 0;; i++) {
        char name[1024];
        size_t len = sizeof(name);
        unsigned type = 0;
        int code = gnutls_x509_crt_get_subject_alt_name2(leaf, i, name, &len, &type, NULL);
        if (code == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return false;
        if (code >= 0 && (type == GNUTLS_SAN_DNSNAME || type == GNUTLS_SAN_IPADDRESS))
            return true;
        if (code < 0 && code != GNUTLS_E_SHORT_MEMORY_BUFFER)
            return false;
    }
}

bool tls_trust_verify(const struct tls_trust *trust, gnutls_session_t session, const char *name,
                      struct text *why)
{
    static char purpose[] = GNUTLS_KP_TLS_WWW_SERVER;
    gnutls_x509_crt_t chain[CHAIN_MAX];
    unsigned status = GNUTLS_CERT_INVALID;
    /* @UNSAFE: typed data has no const; verifying only reads */
    gnutls_typed_vdata_st data[] = {
        {.type = GNUTLS_DT_DNS_HOSTNAME, .data = (unsigned char *)(uintptr_t)name, .size = 0},
        {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)purpose, .size = 0},
    };
    unsigned count = import_chain(session, chain);
    if (count == 0) {
        text_add_z(why, "the origin's certificate chain cannot be read");
        return false;
    }
    int code =
        gnutls_x509_trust_list_verify_crt2(trust->list, chain, count, data, 2, 0, &status, NULL);
    if (code == 0 && !has_names(chain[0]))
        status |= GNUTLS_CERT_UNEXPECTED_OWNER;
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(chain[i]);
    if (code == 0 && status == 0)
        return true;
    explain(code == 0 ? status : GNUTLS_CERT_INVALID, name, why);
    return false;
}
