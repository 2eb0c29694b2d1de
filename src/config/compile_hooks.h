/* What compiling asks of the program above it. */
#ifndef PC_CONFIG_COMPILE_HOOKS_H
#define PC_CONFIG_COMPILE_HOOKS_H

#include "base/str.h"

struct text;

struct compile_hooks {
    void *user;
    /*
     * `tls internal`, when compiling from disk: issues a certificate for names separated by a space
     * (`*.a.b` a wildcard, `*` localhost, the machine's name and its addresses). PEM texts go to
     * `chain` and `key`; false with a sentence in `why`. Writes nothing but below the state.
     */
    bool (*issue)(void *user, struct str names, struct text *chain, struct text *key,
                  struct text *why);
    /*
     * `expect` lines are tried: by whoever may refuse a configuration for them. A worker, which
     * compiles the same texts again, need not.
     */
    bool try_expects;
};

#endif
