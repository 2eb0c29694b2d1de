/* Certificates of sites, our own towards origins, and whom we trust there; each loaded once. */
#ifndef PC_CONFIG_COMPILE_TLS_H
#define PC_CONFIG_COMPILE_TLS_H

#include "config/compile_state.h"

struct tls_cert;
struct tls_trust;

/* From the `tls` line in force: certificates and `tls_id` of the site being built. */
void compile_tls_site(struct compile *c, const struct statement *tls);

/*
 * A chain and its key, referenced by the site's part. NULL after telling what is wrong. Expiry and
 * other things that want a word are told once a load.
 */
struct tls_cert *compile_tls_pair(struct compile *c, const struct word *chain,
                                  const struct word *key);
/* CA certificates, referenced by the site's part. `source` may be NULL: then it was told why. */
struct tls_trust *compile_tls_trust(struct compile *c, const struct source *source,
                                    const struct word *word, struct str name);

#endif
