/*
 * What a service manager asks of a daemon: notifications over $NOTIFY_SOCKET (sd_notify(3)),
 * sockets handed down (sd_listen_fds(3)) and the watchdog (sd_watchdog_enabled(3)). Written out
 * here, since it is three environment variables. Without them everything does nothing.
 */
#ifndef PC_APP_SYSTEMD_H
#define PC_APP_SYSTEMD_H

#include "base/str.h"

#include <sys/types.h>

struct systemd {
    char notify_path[108]; /* "" when nobody listens; "@…" is the abstract namespace */
    unsigned listen_fds;   /* from descriptor SYSTEMD_LISTEN_FIRST on */
    uint64_t watchdog_us;  /* a notification is owed in this time; 0: not asked for */
    uint64_t watchdog_ms;  /* when the last was sent */
};

enum { SYSTEMD_LISTEN_FIRST = 3 };

/* The texts of the environment, NULL when unset; tests fill it in. */
struct systemd_env {
    const char *notify_socket, *listen_pid, *listen_fds, *watchdog_pid, *watchdog_usec;
    pid_t self;
};

void systemd_parse(struct systemd *systemd, const struct systemd_env *env);
/* From our environment, from which the variables are taken out: our children are not meant. */
void systemd_init(struct systemd *systemd);
/* A sign of life, when half of the time in which one is owed has passed. */
void systemd_watchdog(struct systemd *systemd, uint64_t now_ms);
/* "READY=1", "STATUS=…", several joined by line ends. A manager who does not listen is no error. */
__attribute__((format(printf, 2, 3))) void systemd_notify(const struct systemd *systemd,
                                                          const char *format, ...);

#endif
