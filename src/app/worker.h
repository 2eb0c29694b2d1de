/*
 * The worker: the process that talks to strangers. Its main thread obeys the supervisor's letters,
 * compiles configurations and frees old ones; each loop thread runs a front of its own; one more
 * thread writes the log. It opens no file but those below `files` roots, and can open no other: the
 * locks are set before the first letter is read (sandbox.h).
 */
#ifndef PC_APP_WORKER_H
#define PC_APP_WORKER_H

#include "app/sandbox.h"

struct worker_conf {
    struct sandbox_conf sandbox;
    char user[64];
    uint32_t uid, gid;
};

/* Runs in a child of the supervisor; `argument` is a struct worker_conf. Does not return. */
void worker_main(int channel, void *argument) __attribute__((noreturn));

#endif
