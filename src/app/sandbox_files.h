/*
 * Landlock: which files, ports and processes the worker reaches. Its rules hang on inodes, so a
 * root of `files` that is replaced by another folder of the same name is beyond them; that is why
 * the loader names parents where it can (sandbox_roots.h).
 */
#ifndef PC_APP_SANDBOX_FILES_H
#define PC_APP_SANDBOX_FILES_H

#include "app/channel.h"

/* The versions from which on Landlock knows TCP ports, and signals and abstract sockets. */
enum { SANDBOX_FILES_ABI_PORTS = 4, SANDBOX_FILES_ABI_SIGNALS = 6 };

/* The descriptor of a ruleset, or -1; `*abi` is 0 or less where the kernel has no Landlock. */
int sandbox_files_prepare(const struct letter_root *roots, unsigned root_count, int *abi)
    __attribute__((warn_unused_result));
/* Needs no_new_privs. */
bool sandbox_files_lock(int ruleset) __attribute__((warn_unused_result));

#endif
