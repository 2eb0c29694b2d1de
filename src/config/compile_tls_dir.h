/*
 * `tls DIR`: every pair of certificate and key in a folder, found by fit, not by name. Files that
 * end in .pem, .crt, .cer or .key are looked at; of two chains for one certificate the longer is
 * taken.
 */
#ifndef PC_CONFIG_COMPILE_TLS_DIR_H
#define PC_CONFIG_COMPILE_TLS_DIR_H

#include "config/compile_state.h"
#include "tls/tls_facts.h"

struct tls_cert;

struct tls_pair {
    const struct source *chain, *key;
    struct str chain_name, key_name;
    struct tls_facts facts;
    struct tls_cert *cert; /* lives as long as the scratch arena */
};

/* NULL after telling why. The folder is read once a load. */
const struct tls_pair *compile_tls_dir(struct compile *c, const struct word *dir, size_t *count);

#endif
