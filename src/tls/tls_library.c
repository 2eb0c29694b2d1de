#include "tls/tls_library.h"

#include <gnutls/gnutls.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

/* Fixes that everything here relies on; older ones crash on a second hello without PSK. */
static const char gnutls_least[] = "3.7.9";

bool tls_library_init(const char **error)
{
    if (gnutls_check_version(gnutls_least) == NULL) {
        *error = "GnuTLS is older than 3.7.9";
        return false;
    }
    /* No openssl.cnf: libcrypto only signs and hashes here, and nothing in it is for a system to
     * choose. The fetches open what providers may want to open. */
    EVP_MD *digest = NULL;
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1)
        digest = EVP_MD_fetch(NULL, "SHA2-512", NULL);
    bool ok = digest != NULL && gnutls_global_init() == GNUTLS_E_SUCCESS;
    EVP_MD_free(digest);
    if (!ok)
        *error = "libcrypto or GnuTLS cannot be made ready";
    return ok;
}
