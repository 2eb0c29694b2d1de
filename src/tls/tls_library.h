/*
 * The two libraries, made ready before any lock is set and any thread started. Without this call
 * libcrypto looks for its openssl.cnf at its first use, which inside a sandbox is a failure.
 */
#ifndef PC_TLS_TLS_LIBRARY_H
#define PC_TLS_TLS_LIBRARY_H

#include <stdbool.h>

/* Once in a process, before anything else of this floor. False with a sentence in `*error`. */
bool tls_library_init(const char **error) __attribute__((warn_unused_result));

#endif
