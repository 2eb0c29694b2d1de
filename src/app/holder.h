/*
 * Who holds a listening address that cannot be bound: found as `ss -ltnp` does it, by looking for
 * the socket in /proc/net/tcp and tcp6 and then for its inode among the descriptors of all
 * processes. Other users' descriptors are visible to root alone; then only the user is known.
 */
#ifndef PC_APP_HOLDER_H
#define PC_APP_HOLDER_H

#include "net/addr.h"

#include <sys/types.h>

struct text;

struct holder {
    pid_t pid;     /* 0: not known */
    char name[32]; /* of the process, as in /proc/PID/comm */
    uint32_t uid;  /* who made the socket */
    /* The calling process or a child of it is among those who hold it: a worker may still be about
     * to close what a reload has just taken from it. */
    bool ours;
};

/* A line of /proc/net/tcp or tcp6. */
struct holder_socket {
    struct addr local;
    bool listening;
    uint32_t uid;
    uint64_t inode;
};

/* False for the heading and for what is no such line. */
bool holder_parse_line(struct str line, struct holder_socket *socket)
    __attribute__((warn_unused_result));

/* False when no listening socket is in the way of `addr`. */
bool holder_find(const struct addr *addr, struct holder *holder)
    __attribute__((warn_unused_result));

/* "nginx (pid 812)", "a process of user 33" */
void holder_add_text(struct text *text, const struct holder *holder);

#endif
