/*
 * What a certificate says, for people and for the choice by name: subject, names, validity, key.
 * Only subjectAltName counts as name (RFC 9525 2); the common name never.
 */
#ifndef PC_TLS_TLS_FACTS_H
#define PC_TLS_TLS_FACTS_H

#include "base/str.h"

struct arena;
struct text;
struct tls_pem;

enum tls_key_kind { TLS_KEY_ECDSA, TLS_KEY_ED25519, TLS_KEY_RSA, TLS_KEY_RSA_PSS, TLS_KEY_OTHER };

struct tls_facts {
    struct str subject, issuer; /* one line, RFC 4514 */
    struct str *names;          /* DNS names in lower case, addresses as text */
    size_t name_count;
    int64_t not_before, not_after; /* of the leaf, seconds since 1970 */
    int64_t chain_not_after;       /* the earliest end in the chain */
    uint8_t fingerprint[32];       /* SHA-256 of the leaf */
    struct str serial;             /* hexadecimal */
    enum tls_key_kind kind;
    unsigned bits;
    const char *curve;         /* "P-256", "P-384", or NULL */
    size_t chain_len;          /* certificates that are sent */
    bool self_signed;          /* the leaf is its own issuer */
    bool is_ca;                /* the leaf may sign certificates */
    bool reordered;            /* the file had the chain in another order */
    bool intermediate_missing; /* the leaf stands alone, and its issuer is another */
    size_t unused;             /* certificates in the file that do not belong to the chain */
};

/*
 * The facts of a PEM text without a key; the leaf is the certificate that issued none of the
 * others. The strings are the arena's. False with a sentence in `why`; `file_name` is for that
 * sentence.
 */
bool tls_facts_inspect(struct arena *arena, struct str pem, struct str file_name,
                       struct tls_facts *facts, struct text *why)
    __attribute__((warn_unused_result));
/* `name`: a host name in any case or an address as text. A wildcard stands for one label. */
bool tls_facts_cover(const struct tls_facts *facts, struct str name);
const char *tls_key_kind_name(enum tls_key_kind kind);

/*
 * Puts the chain in order: certs[leaf] comes first, then its issuers as far as they are there; a
 * root behind others is left out (RFC 8446 4.4.2). The rest of the array is what does not belong.
 * Fills in the facts. False at the arena's cap.
 */
bool tls_facts_order(struct arena *arena, struct tls_pem *pem, size_t leaf, struct tls_facts *facts)
    __attribute__((warn_unused_result));

#endif
