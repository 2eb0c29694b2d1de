#include "tls/tls_facts.h"

#include "base/arena.h"
#include "base/text.h"
#include "tls/tls_pem.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

static int64_t seconds(const ASN1_TIME *time)
{
    struct tm tm = {0};
    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm);
}

static struct str name_line(struct arena *arena, X509_NAME *name)
{
    struct str line = {0};
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio != NULL &&
        X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
        char *at;
        long len = BIO_get_mem_data(bio, &at);
        line = str_dup(arena, str_from(at, len > 0 ? (size_t)len : 0));
    }
    BIO_free(bio);
    return line;
}

static struct str address_text(struct arena *arena, const ASN1_OCTET_STRING *ip)
{
    char text[INET6_ADDRSTRLEN];
    int family = ASN1_STRING_length(ip) == 4 ? AF_INET : AF_INET6;
    if (ASN1_STRING_length(ip) != 4 && ASN1_STRING_length(ip) != 16)
        return (struct str){0};
    if (inet_ntop(family, ASN1_STRING_get0_data(ip), text, sizeof(text)) == NULL)
        return (struct str){0};
    return str_dup(arena, str_from_z(text));
}

static struct str general_name(struct arena *arena, const GENERAL_NAME *name)
{
    if (name->type == GEN_IPADD)
        return address_text(arena, name->d.iPAddress);
    if (name->type != GEN_DNS)
        return (struct str){0};
    struct str text = str_from(ASN1_STRING_get0_data(name->d.dNSName),
                               (size_t)ASN1_STRING_length(name->d.dNSName));
    /* A NUL inside has been used to pass for another name; no DNS name has one. */
    if (str_find_byte(text, '\0') != SIZE_MAX)
        return (struct str){0};
    return str_lower(arena, text);
}

static bool fill_names(struct arena *arena, const X509 *cert, struct tls_facts *facts)
{
    GENERAL_NAMES *list = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int count = list == NULL ? 0 : sk_GENERAL_NAME_num(list);
    facts->name_count = 0;
    facts->names = arena_array(arena, (size_t)count + 1, sizeof(struct str));
    for (int i = 0; i < count && facts->names != NULL; i++) {
        struct str name = general_name(arena, sk_GENERAL_NAME_value(list, i));
        if (!str_empty(name))
            facts->names[facts->name_count++] = name;
    }
    GENERAL_NAMES_free(list);
    return facts->names != NULL;
}

static const char *curve_name(const EVP_PKEY *key)
{
    char group[64];
    size_t len = 0;
    if (EVP_PKEY_get_group_name(key, group, sizeof(group), &len) != 1)
        return "unnamed";
    static const struct {
        const char *group, *curve;
    } names[] = {
        {"prime256v1", "P-256"}, {"secp384r1", "P-384"}, {"secp521r1", "P-521"},
        {"P-256", "P-256"},      {"P-384", "P-384"},     {"P-521", "P-521"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_eq(str_from_z(names[i].group), str_from_z(group)))
            return names[i].curve;
    return "other";
}

static void fill_key(const X509 *cert, struct tls_facts *facts)
{
    const EVP_PKEY *key = X509_get0_pubkey(cert);
    facts->curve = NULL;
    facts->kind = TLS_KEY_OTHER;
    if (key == NULL)
        return;
    facts->bits = (unsigned)EVP_PKEY_get_bits(key);
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_EC:
        facts->kind = TLS_KEY_ECDSA;
        facts->curve = curve_name(key);
        break;
    case EVP_PKEY_ED25519:
        facts->kind = TLS_KEY_ED25519;
        break;
    case EVP_PKEY_RSA:
        facts->kind = TLS_KEY_RSA;
        break;
    case EVP_PKEY_RSA_PSS:
        facts->kind = TLS_KEY_RSA_PSS;
        break;
    default:
        break;
    }
}

static struct str serial_text(struct arena *arena, const X509 *cert)
{
    struct str text = {0};
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    char *hex = number == NULL ? NULL : BN_bn2hex(number);
    if (hex != NULL)
        text = str_lower(arena, str_from_z(hex));
    OPENSSL_free(hex);
    BN_free(number);
    return text;
}

static bool fill_leaf(struct arena *arena, X509 *leaf, struct tls_facts *facts)
{
    facts->subject = name_line(arena, X509_get_subject_name(leaf));
    facts->issuer = name_line(arena, X509_get_issuer_name(leaf));
    facts->serial = serial_text(arena, leaf);
    facts->not_before = seconds(X509_get0_notBefore(leaf));
    facts->not_after = seconds(X509_get0_notAfter(leaf));
    facts->self_signed = X509_self_signed(leaf, 0) == 1;
    facts->is_ca = X509_check_ca(leaf) == 1;
    unsigned len = sizeof(facts->fingerprint);
    if (X509_digest(leaf, EVP_sha256(), facts->fingerprint, &len) != 1)
        return false;
    fill_key(leaf, facts);
    return fill_names(arena, leaf, facts);
}

static size_t find_issuer(const struct tls_pem *pem, size_t of, size_t from)
{
    for (size_t i = from; i < pem->cert_count; i++)
        if (X509_check_issued(pem->certs[i], pem->certs[of]) == X509_V_OK)
            return i;
    return SIZE_MAX;
}

/* Moves certs[from] to `to`, the ones between one further. True when that changed anything. */
static bool move_to(struct tls_pem *pem, size_t from, size_t to)
{
    X509 *cert = pem->certs[from];
    for (size_t i = from; i > to; i--)
        pem->certs[i] = pem->certs[i - 1];
    pem->certs[to] = cert;
    return from != to;
}

bool tls_facts_order(struct arena *arena, struct tls_pem *pem, size_t leaf, struct tls_facts *facts)
{
    *facts = (struct tls_facts){0};
    facts->reordered = move_to(pem, leaf, 0);
    size_t len = 1, issuer;
    while (X509_self_signed(pem->certs[len - 1], 0) != 1 &&
           (issuer = find_issuer(pem, len - 1, len)) != SIZE_MAX) {
        if (move_to(pem, issuer, len))
            facts->reordered = true;
        len++;
    }
    facts->unused = pem->cert_count - len;
    facts->intermediate_missing = len == 1 && X509_self_signed(pem->certs[0], 0) != 1;
    if (len > 1 && X509_self_signed(pem->certs[len - 1], 0) == 1)
        len--;
    facts->chain_len = len;
    facts->chain_not_after = INT64_MAX;
    for (size_t i = 0; i < len; i++) {
        int64_t end = seconds(X509_get0_notAfter(pem->certs[i]));
        if (end < facts->chain_not_after)
            facts->chain_not_after = end;
    }
    bool ok = fill_leaf(arena, pem->certs[0], facts);
    ERR_clear_error();
    return ok;
}

/* The one that issued none of the others; of several the first. */
static size_t find_leaf(const struct tls_pem *pem)
{
    for (size_t i = 0; i < pem->cert_count; i++) {
        bool issued = false;
        for (size_t j = 0; j < pem->cert_count && !issued; j++)
            issued = i != j && X509_check_issued(pem->certs[i], pem->certs[j]) == X509_V_OK;
        if (!issued)
            return i;
    }
    return 0;
}

bool tls_facts_inspect(struct arena *arena, struct str pem, struct str file_name,
                       struct tls_facts *facts, struct text *why)
{
    struct tls_pem read = {0};
    bool ok = tls_pem_read(&read, pem, file_name, why);
    if (ok && read.cert_count == 0) {
        text_printf(why, "%.*s holds no certificate", STR_ARG(file_name));
        ok = false;
    }
    if (ok && !tls_facts_order(arena, &read, find_leaf(&read), facts)) {
        text_add_z(why, "out of memory");
        ok = false;
    }
    tls_pem_fini(&read);
    return ok;
}

/* RFC 9525 6.3: the wildcard is the whole leftmost label and stands for exactly one. */
static bool name_matches(struct str pattern, struct str name)
{
    if (!str_starts(pattern, STR("*.")))
        return str_eq_nocase(pattern, name);
    size_t dot = str_find_byte(name, '.');
    return dot != SIZE_MAX && dot > 0 && str_eq_nocase(str_skip(pattern, 1), str_skip(name, dot));
}

/* The text of an address as inet_ntop() writes it, for comparison; false when it is none. */
static bool canonical_address(struct str name, char text[INET6_ADDRSTRLEN])
{
    char z[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    struct text copy = text_over(z, sizeof(z) - 1);
    text_add(&copy, name);
    if (!text_ok(&copy))
        return false;
    z[copy.len] = '\0';
    int family = str_find_byte(name, ':') == SIZE_MAX ? AF_INET : AF_INET6;
    return inet_pton(family, z, bytes) == 1 &&
           inet_ntop(family, bytes, text, INET6_ADDRSTRLEN) != NULL;
}

bool tls_facts_cover(const struct tls_facts *facts, struct str name)
{
    char address[INET6_ADDRSTRLEN];
    bool is_address = canonical_address(name, address);
    for (size_t i = 0; i < facts->name_count; i++)
        if (is_address ? str_eq(facts->names[i], str_from_z(address))
                       : name_matches(facts->names[i], name))
            return true;
    return false;
}

const char *tls_key_kind_name(enum tls_key_kind kind)
{
    static const char *const names[] = {
        [TLS_KEY_ECDSA] = "ECDSA",     [TLS_KEY_ED25519] = "Ed25519", [TLS_KEY_RSA] = "RSA",
        [TLS_KEY_RSA_PSS] = "RSA-PSS", [TLS_KEY_OTHER] = "other",
    };
    return names[kind];
}
