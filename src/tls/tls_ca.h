/*
 * The CA of `tls internal`: PEM in, PEM out, no files. It is made for as few names as possible: a
 * critical name constraint (RFC 5280 4.2.1.10) permits localhost, .internal, .test, .home.arpa, the
 * private address ranges and what the caller adds, so that a stolen key is no master key; path
 * length 0, so that it signs no other CA. Keys are ECDSA P-256.
 *
 * A DNS name permits itself and all below it; "*.a.b" counts as "a.b". An address permits itself.
 */
#ifndef PC_TLS_TLS_CA_H
#define PC_TLS_TLS_CA_H

#include "base/str.h"

struct text;

enum { TLS_CA_DAYS = 3650, TLS_CA_LEAF_DAYS = 30, TLS_CA_NAMES_MAX = 1000 };

/* `names`: of the file, of the machine, its addresses. `now` in seconds since 1970. */
bool tls_ca_create(const struct str *names, size_t count, int64_t now, struct text *cert_pem,
                   struct text *key_pem, struct text *why) __attribute__((warn_unused_result));
/*
 * A certificate for servers with a key of its own, at least one name. The first DNS name is the
 * common name, for people. False with a sentence in `why`, also when the CA does not permit a name
 * or has expired.
 */
bool tls_ca_issue(struct str ca_cert_pem, struct str ca_key_pem, const struct str *names,
                  size_t count, int64_t now, struct text *cert_pem, struct text *key_pem,
                  struct text *why) __attribute__((warn_unused_result));
/* True when the CA of this PEM may sign for the name or address. */
bool tls_ca_permits(struct str ca_cert_pem, struct str name);

#endif
