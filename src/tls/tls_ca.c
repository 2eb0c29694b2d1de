#include "tls/tls_ca.h"

#include "base/hash.h"
#include "base/text.h"
#include "tls/tls_pem.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

enum {
    DAY_SECONDS = 86400,
    CLOCK_SKEW_SECONDS = 3600, /* clients' clocks that are behind */
    SERIAL_BYTES = 16,         /* RFC 5280 4.1.2.2 allows 20 */
    COMMON_NAME_MAX = 64,      /* RFC 5280 A.1 ub-common-name */
    DNS_NAME_MAX = 253,
};

/* ---- names ---- */

struct address {
    unsigned char bytes[16];
    int len; /* 4, 16; 0: not an address */
};

static struct address address_of(struct str name)
{
    char z[INET6_ADDRSTRLEN];
    struct address address = {0};
    struct text text = text_over(z, sizeof(z) - 1);
    text_add(&text, name);
    if (!text_ok(&text))
        return address;
    z[text.len] = '\0';
    if (inet_pton(AF_INET, z, address.bytes) == 1)
        address.len = 4;
    else if (inet_pton(AF_INET6, z, address.bytes) == 1)
        address.len = 16;
    return address;
}

/* Letters, digits, '-', '_' in labels of 1 to 63 bytes; the first may be '*'. */
static bool is_dns_name(struct str name)
{
    size_t label = 0;
    if (name.len == 0 || name.len > DNS_NAME_MAX)
        return false;
    for (size_t i = str_starts(name, STR("*.")) ? 2 : 0; i < name.len; i++) {
        char c = name.at[i];
        if (c == '.' && label == 0)
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63 ||
            !(char_is_alpha(c) || char_is_digit(c) || c == '-' || c == '_' || c == '.'))
            return false;
    }
    return label > 0;
}

static struct str subtree_of(struct str name)
{
    return str_starts(name, STR("*.")) ? str_skip(name, 2) : name;
}

static GENERAL_NAME *general_name(int type, const void *bytes, size_t len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();
    if (name == NULL || value == NULL || len > DNS_NAME_MAX ||
        ASN1_STRING_set(value, bytes, (int)len) != 1) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, type, value);
    return name;
}

/* ---- name constraints ---- */

static const struct str permitted_names[] = {
    STR_INIT("localhost"), STR_INIT("internal"), STR_INIT("test"),
    STR_INIT("home.arpa"), /* RFC 8375 */
};

/* Address and mask, as RFC 5280 4.2.1.10 has them. */
static const struct {
    const char *net;
    int bits;
} permitted_nets[] = {
    {"10.0.0.0", 8}, {"172.16.0.0", 12}, {"192.168.0.0", 16}, {"127.0.0.0", 8},
    {"::1", 128},    {"fc00::", 7},      {"fe80::", 10},
};

static bool permit(NAME_CONSTRAINTS *constraints, int type, const void *bytes, size_t len)
{
    GENERAL_SUBTREE *subtree = GENERAL_SUBTREE_new();
    GENERAL_NAME *name = general_name(type, bytes, len);
    if (subtree == NULL || name == NULL) {
        GENERAL_NAME_free(name);
        GENERAL_SUBTREE_free(subtree);
        return false;
    }
    GENERAL_NAME_free(subtree->base);
    subtree->base = name;
    if (sk_GENERAL_SUBTREE_push(constraints->permittedSubtrees, subtree) > 0)
        return true;
    GENERAL_SUBTREE_free(subtree);
    return false;
}

static bool permit_net(NAME_CONSTRAINTS *constraints, const struct address *address, int bits)
{
    unsigned char both[32] = {0};
    size_t len = (size_t)address->len;
    memcpy(both, address->bytes, len);
    for (int i = 0; i < bits; i++)
        both[len + (size_t)i / 8] |= (unsigned char)(0x80 >> (i % 8));
    return permit(constraints, GEN_IPADD, both, 2 * len);
}

static bool permit_name(NAME_CONSTRAINTS *constraints, struct str name)
{
    struct address address = address_of(name);
    if (address.len > 0)
        return permit_net(constraints, &address, address.len * 8);
    struct str subtree = subtree_of(name);
    return permit(constraints, GEN_DNS, subtree.at, subtree.len);
}

static bool permit_all(NAME_CONSTRAINTS *constraints, const struct str *names, size_t count)
{
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof(permitted_names) / sizeof(permitted_names[0]); i++)
        ok = permit_name(constraints, permitted_names[i]);
    for (size_t i = 0; ok && i < sizeof(permitted_nets) / sizeof(permitted_nets[0]); i++) {
        struct address address = address_of(str_from_z(permitted_nets[i].net));
        ok = permit_net(constraints, &address, permitted_nets[i].bits);
    }
    for (size_t i = 0; ok && i < count; i++)
        ok = permit_name(constraints, names[i]);
    return ok;
}

static bool add_constraints(X509 *cert, const struct str *names, size_t count)
{
    NAME_CONSTRAINTS *constraints = NAME_CONSTRAINTS_new();
    if (constraints == NULL)
        return false;
    constraints->permittedSubtrees = sk_GENERAL_SUBTREE_new_null();
    bool ok = constraints->permittedSubtrees != NULL && permit_all(constraints, names, count) &&
              X509_add1_ext_i2d(cert, NID_name_constraints, constraints, 1, 0) == 1;
    NAME_CONSTRAINTS_free(constraints);
    return ok;
}

/* ---- certificates ---- */

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool set_serial(X509 *cert)
{
    unsigned char bytes[SERIAL_BYTES];
    random_bytes(bytes, sizeof(bytes));
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, and always of one length */
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return ok;
}

static bool set_subject(X509 *cert, int nid, struct str name)
{
    return X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), nid, MBSTRING_UTF8,
                                      (const unsigned char *)name.at, (int)name.len, -1, 0) == 1;
}

/* What root and leaf have in common. */
static X509 *new_cert(EVP_PKEY *key, int64_t from, int64_t to)
{
    X509 *cert = X509_new();
    if (cert != NULL && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
        ASN1_TIME_set(X509_getm_notBefore(cert), from) != NULL &&
        ASN1_TIME_set(X509_getm_notAfter(cert), to) != NULL && X509_set_pubkey(cert, key) == 1)
        return cert;
    X509_free(cert);
    return NULL;
}

static void add_bio(struct text *text, BIO *bio)
{
    char *at;
    long len = BIO_get_mem_data(bio, &at);
    text_add(text, str_from(at, len > 0 ? (size_t)len : 0));
}

/* False when something failed or a text is full. */
static bool write_pair(X509 *cert, EVP_PKEY *key, struct text *cert_pem, struct text *key_pem)
{
    BIO *open = BIO_new(BIO_s_mem());
    BIO *secret = BIO_new(BIO_s_secmem()); /* wiped when it is freed */
    bool ok = open != NULL && secret != NULL && PEM_write_bio_X509(open, cert) == 1 &&
              PEM_write_bio_PKCS8PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (ok) {
        add_bio(cert_pem, open);
        add_bio(key_pem, secret);
    }
    BIO_free(open);
    BIO_free(secret);
    return ok && text_ok(cert_pem) && text_ok(key_pem);
}

static bool names_fit(const struct str *names, size_t count, struct text *why)
{
    if (count > TLS_CA_NAMES_MAX) {
        text_printf(why, "more than %d names in one certificate", TLS_CA_NAMES_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (address_of(names[i]).len == 0 && !is_dns_name(names[i])) {
            text_add_z(why, "no certificate can be issued for '");
            text_add_escaped(why, names[i]);
            text_add_z(why, "': it is neither a host name nor an address");
            return false;
        }
    return true;
}

static bool failed(struct text *why)
{
    ERR_clear_error();
    text_add_z(why, "the certificate could not be made: libcrypto failed or memory is short");
    return false;
}

bool tls_ca_create(const struct str *names, size_t count, int64_t now, struct text *cert_pem,
                   struct text *key_pem, struct text *why)
{
    char name[COMMON_NAME_MAX];
    struct text common_name = text_over(name, sizeof(name));
    uint32_t number;
    if (!names_fit(names, count, why))
        return false;
    random_bytes(&number, sizeof(number));
    /* A number, so that an old and a new CA in one trust store are told apart. */
    text_printf(&common_name, "Portcullis internal CA %08x", number);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key == NULL ? NULL
                             : new_cert(key, now - CLOCK_SKEW_SECONDS,
                                        now + (int64_t)TLS_CA_DAYS * DAY_SECONDS);
    bool ok = cert != NULL && set_subject(cert, NID_commonName, text_str(&common_name)) &&
              X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1 &&
              add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
              add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
              add_extension(cert, cert, NID_subject_key_identifier, "hash") &&
              add_constraints(cert, names, count) && X509_sign(cert, key, EVP_sha256()) > 0 &&
              write_pair(cert, key, cert_pem, key_pem);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ok || failed(why);
}

/* ---- what a CA permits ---- */

static struct str bytes_of(const ASN1_STRING *string)
{
    return str_from(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

static bool dns_below(struct str name, struct str base)
{
    if (str_eq_nocase(name, base))
        return true;
    return name.len > base.len && name.at[name.len - base.len - 1] == '.' &&
           str_eq_nocase(str_skip(name, name.len - base.len), base);
}

static bool in_net(const struct address *address, struct str net)
{
    size_t len = (size_t)address->len;
    if (net.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (((address->bytes[i] ^ (unsigned char)net.at[i]) & (unsigned char)net.at[len + i]) != 0)
            return false;
    return true;
}

static bool subtree_has(const GENERAL_NAME *base, struct str name, const struct address *address)
{
    if (base->type == GEN_IPADD)
        return address->len > 0 && in_net(address, bytes_of(base->d.iPAddress));
    return base->type == GEN_DNS && address->len == 0 &&
           dns_below(subtree_of(name), bytes_of(base->d.dNSName));
}

static bool permits(const X509 *ca, struct str name)
{
    struct address address = address_of(name);
    bool found = false;
    if (address.len == 0 && !is_dns_name(name))
        return false;
    NAME_CONSTRAINTS *constraints = X509_get_ext_d2i(ca, NID_name_constraints, NULL, NULL);
    int count = constraints == NULL || constraints->permittedSubtrees == NULL
                    ? 0
                    : sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees);
    for (int i = 0; i < count && !found; i++)
        found = subtree_has(sk_GENERAL_SUBTREE_value(constraints->permittedSubtrees, i)->base, name,
                            &address);
    NAME_CONSTRAINTS_free(constraints);
    return found;
}

bool tls_ca_permits(struct str ca_cert_pem, struct str name)
{
    char sentence[256];
    struct text why = text_over(sentence, sizeof(sentence));
    struct tls_pem ca = {0};
    bool ok = tls_pem_read(&ca, ca_cert_pem, STR("ca"), &why) && ca.cert_count > 0 &&
              permits(ca.certs[0], name);
    tls_pem_fini(&ca);
    return ok;
}

/* ---- leaves ---- */

static bool add_names(X509 *cert, const struct str *names, size_t count)
{
    GENERAL_NAMES *list = GENERAL_NAMES_new();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        struct address address = address_of(names[i]);
        GENERAL_NAME *name = address.len > 0
                                 ? general_name(GEN_IPADD, address.bytes, (size_t)address.len)
                                 : general_name(GEN_DNS, names[i].at, names[i].len);
        ok = name != NULL && sk_GENERAL_NAME_push(list, name) > 0;
        if (!ok)
            GENERAL_NAME_free(name);
    }
    ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, list, 0, 0) == 1;
    GENERAL_NAMES_free(list);
    return ok;
}

/*
 * For people only: the first DNS name as common name. Where there is none, an organization: GnuTLS
 * would hold any common name against the constraints.
 */
static bool name_leaf(X509 *cert, const struct str *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (address_of(names[i]).len == 0 && names[i].len <= COMMON_NAME_MAX)
            return set_subject(cert, NID_commonName, names[i]);
    return set_subject(cert, NID_organizationName, STR("Portcullis"));
}

static int64_t end_of(const X509 *ca, int64_t wanted)
{
    time_t at = (time_t)wanted;
    if (X509_cmp_time(X509_get0_notAfter(ca), &at) > 0)
        return wanted;
    struct tm tm = {0};
    return ASN1_TIME_to_tm(X509_get0_notAfter(ca), &tm) == 1 ? (int64_t)timegm(&tm) : wanted;
}

static bool may_issue(const struct tls_pem *ca, const struct str *names, size_t count, int64_t now,
                      struct text *why)
{
    time_t at = (time_t)now;
    if (ca->cert_count == 0 || ca->key == NULL ||
        X509_check_private_key(ca->certs[0], ca->key) != 1) {
        text_add_z(why, "the internal CA is damaged: its key does not fit its certificate");
        return false;
    }
    if (X509_cmp_time(X509_get0_notAfter(ca->certs[0]), &at) <= 0) {
        text_add_z(why, "the internal CA has expired");
        return false;
    }
    if (count == 0) {
        text_add_z(why, "a certificate needs a name");
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (!permits(ca->certs[0], names[i])) {
            text_printf(why, "the internal CA was not made for '%.*s'", STR_ARG(names[i]));
            return false;
        }
    return true;
}

static bool issue(const struct tls_pem *ca, const struct str *names, size_t count, int64_t now,
                  struct text *cert_pem, struct text *key_pem)
{
    X509 *issuer = ca->certs[0];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key == NULL
                     ? NULL
                     : new_cert(key, now - CLOCK_SKEW_SECONDS,
                                end_of(issuer, now + (int64_t)TLS_CA_LEAF_DAYS * DAY_SECONDS));
    bool ok = cert != NULL && name_leaf(cert, names, count) &&
              X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 &&
              add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
              add_extension(cert, issuer, NID_key_usage, "critical,digitalSignature") &&
              add_extension(cert, issuer, NID_ext_key_usage, "serverAuth") &&
              add_extension(cert, issuer, NID_subject_key_identifier, "hash") &&
              add_extension(cert, issuer, NID_authority_key_identifier, "keyid:always") &&
              add_names(cert, names, count) && X509_sign(cert, ca->key, EVP_sha256()) > 0 &&
              write_pair(cert, key, cert_pem, key_pem);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ok;
}

bool tls_ca_issue(struct str ca_cert_pem, struct str ca_key_pem, const struct str *names,
                  size_t count, int64_t now, struct text *cert_pem, struct text *key_pem,
                  struct text *why)
{
    struct tls_pem ca = {0};
    bool ok = names_fit(names, count, why) &&
              tls_pem_read(&ca, ca_cert_pem, STR("the internal CA"), why) &&
              tls_pem_read(&ca, ca_key_pem, STR("the key of the internal CA"), why) &&
              may_issue(&ca, names, count, now, why);
    if (ok)
        ok = issue(&ca, names, count, now, cert_pem, key_pem) || failed(why);
    tls_pem_fini(&ca);
    return ok;
}
