/*
 * What a process gives up. The worker talks to strangers: it runs as a user of its own, can gain no
 * rights by any program, leaves no core file and lets nobody look into its memory, where keys are.
 */
#ifndef PC_APP_PRIVILEGE_H
#define PC_APP_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The soft limit of descriptors to the hard one; answers it. Before privileges are dropped. */
uint64_t privilege_raise_descriptors(void);
/* For every process of ours that may hold keys. */
void privilege_hide_memory(void);
/*
 * Becomes `user` (uid, gid, the groups it is in) when we are root, gives up all capabilities, and
 * is never anything more again. False with the reason.
 */
bool privilege_drop(const char *user, uint32_t uid, uint32_t gid, char *why, size_t why_bytes)
    __attribute__((warn_unused_result));

#endif
