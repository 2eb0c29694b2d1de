/*
 * seccomp: which system calls the worker may make. Three answers: the calls of the table in
 * sandbox_calls.c, found by tracing the whole test suite, are made; those that only an intruder has
 * a use for (execve, ptrace, mount, bpf, setuid …) end the process; all else is ENOSYS, which
 * libraries know how to live with.
 */
#ifndef PC_APP_SANDBOX_CALLS_H
#define PC_APP_SANDBOX_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For this process, all its threads to come and for good. False with the reason. `needs` is of enum
 * sandbox_need. Needs no_new_privs. */
bool sandbox_calls_lock(uint32_t needs, char *why, size_t why_bytes)
    __attribute__((warn_unused_result));

#endif
