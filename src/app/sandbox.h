/*
 * The locks of the worker, the process that strangers may one day take over. They are set once,
 * before it has a second thread, and nothing loosens them:
 *
 *     Landlock   it reads below the folders of `files` and nowhere else, writes nowhere, binds no
 *                TCP port of its choice, signals nobody outside (sandbox_files.c)
 *     seccomp    it makes the system calls a worker makes; unknown ones are ENOSYS, those that
 *                only an intruder wants end it (sandbox_calls.c)
 *
 * User, capabilities and no_new_privs are privilege.h's, and hold also with `sandbox off`. A kernel
 * that lacks a lock is no reason not to serve: what is missing is said at start and in `status`.
 */
#ifndef PC_APP_SANDBOX_H
#define PC_APP_SANDBOX_H

#include "app/channel.h"

struct sandbox_conf {
    bool on;
    uint32_t needs; /* enum sandbox_need */
    const struct letter_root *roots;
    unsigned root_count;
};

struct sandbox {
    const struct sandbox_conf *conf;
    int ruleset; /* of Landlock; -1: none */
    int landlock_abi;
    struct letter_locks report; /* what holds; complete after sandbox_lock() */
};

/* While we may still open everything. `conf` must stay until sandbox_lock(). */
void sandbox_prepare(struct sandbox *sandbox, const struct sandbox_conf *conf);
/* After privilege_drop(), with one thread. What could not be locked is in the report. */
void sandbox_lock(struct sandbox *sandbox);

#endif
