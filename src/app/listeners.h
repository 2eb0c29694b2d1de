/*
 * The listening sockets. They belong to the supervisor for as long as their address stands in the
 * file, so that neither a reload nor a crash of the worker loses a queued connection: one group of
 * SO_REUSEPORT sockets per address, one socket for each thread of the worker, more when the number
 * of threads grows, never fewer (closing one of a group resets what waits in its queue).
 *
 * A bind under SO_REUSEPORT succeeds beside another instance of ours, so each address is first
 * bound once without it; an error names who holds it. Sockets from systemd (LISTEN_FDS) are taken
 * by their address; they are single and shared by all threads.
 */
#ifndef PC_APP_LISTENERS_H
#define PC_APP_LISTENERS_H

#include "app/channel.h"

struct text;

/* Connections that wait to be accepted, per socket; the kernel bounds it by net.core.somaxconn. */
#define LISTENERS_BACKLOG 4096

struct listener_group {
    struct letter_addr addr;
    int fds[THREADS_MAX];
    unsigned count;
    unsigned served; /* so many of them the serving worker has */
    bool inherited;  /* one socket from systemd, shared by the threads */
    bool ip4_only;   /* all addresses were wanted, but this host has no IPv6 */
};

struct listeners {
    struct listener_group *groups[2 * ADDRS_MAX]; /* old and new ones during a reload */
    unsigned count;
    int inherited[LISTENERS_MAX]; /* not yet matched; -1: taken */
    unsigned inherited_count;
};

void listeners_init(struct listeners *listeners);
void listeners_fini(struct listeners *listeners);
/* Takes over descriptors `first` to `first + count - 1`; those that do not listen are refused. */
void listeners_inherit(struct listeners *listeners, int first, unsigned count);
/* Takes over a socket of an instance that we follow (upgrade.h), in any case. False when it is none
 * that listens, or there is no room. */
bool listeners_adopt(struct listeners *listeners, const struct letter_addr *addr, int fd,
                     bool inherited, bool ip4_only) __attribute__((warn_unused_result));

/*
 * Opens what of `wanted` is not open yet, `threads` sockets each. All or nothing: on false nothing
 * new is open and `why` tells the reasons, one a line. Notices (no IPv6) go to `notices`.
 */
bool listeners_want(struct listeners *listeners, const struct letter_addr *wanted, unsigned count,
                    unsigned threads, struct text *why, struct text *notices)
    __attribute__((warn_unused_result));
/* Closes every group that is not among `wanted`, after telling `gone` (may be NULL) of each. */
void listeners_keep(struct listeners *listeners, const struct letter_addr *wanted, unsigned count,
                    void (*gone)(void *user, const struct letter_addr *addr), void *user);
/*
 * Before they are closed: the kernel begins no further connection on them (a SYN is dropped; its
 * sender tries again in a second), while handshakes under way come to their end. What then waits in
 * the queues is all there will be: closing loses nothing that a client believes to be accepted. Not
 * for sockets that systemd, or an instance that follows us, goes on using.
 */
void listeners_turn_away(const struct listeners *listeners);
/* The group of an address, or NULL. */
struct listener_group *listeners_find(const struct listeners *listeners,
                                      const struct letter_addr *addr);
/* ":443", "127.0.0.1:8080" */
void listeners_add_text(struct text *text, const struct letter_addr *addr);

#endif
