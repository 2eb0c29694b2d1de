#include "app/systemd.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* More sockets than that no unit hands down. */
#define LISTEN_FDS_MAX 64

static bool is_for(const char *pid, pid_t self, bool unset_counts)
{
    uint64_t n;
    if (pid == NULL)
        return unset_counts;
    return str_to_u64(str_from_z(pid), INT32_MAX, &n) && (pid_t)n == self;
}

void systemd_parse(struct systemd *systemd, const struct systemd_env *env)
{
    memset(systemd, 0, sizeof *systemd);
    const char *path = env->notify_socket;
    if (path != NULL && (path[0] == '/' || path[0] == '@') && path[1] != '\0' &&
        strlen(path) < sizeof systemd->notify_path)
        strcpy(systemd->notify_path, path);
    uint64_t n;
    if (is_for(env->listen_pid, env->self, false) &&
        str_to_u64(str_from_z(env->listen_fds), LISTEN_FDS_MAX, &n))
        systemd->listen_fds = (unsigned)n;
    if (is_for(env->watchdog_pid, env->self, true) &&
        str_to_u64(str_from_z(env->watchdog_usec), UINT64_MAX, &n))
        systemd->watchdog_us = n;
}

void systemd_init(struct systemd *systemd)
{
    const struct systemd_env env = {
        .notify_socket = getenv("NOTIFY_SOCKET"),
        .listen_pid = getenv("LISTEN_PID"),
        .listen_fds = getenv("LISTEN_FDS"),
        .watchdog_pid = getenv("WATCHDOG_PID"),
        .watchdog_usec = getenv("WATCHDOG_USEC"),
        .self = getpid(),
    };
    systemd_parse(systemd, &env);
    static const char *const names[] = {"NOTIFY_SOCKET",  "LISTEN_PID",   "LISTEN_FDS",
                                        "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
}

void systemd_notify(const struct systemd *systemd, const char *format, ...)
{
    if (systemd->notify_path[0] == '\0')
        return;
    char line[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof line)
        return;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t path_len = strlen(systemd->notify_path);
    memcpy(sa.sun_path, systemd->notify_path, path_len);
    if (sa.sun_path[0] == '@')
        sa.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t sa_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len);
    /* A manager that went away is not our trouble. */
    if (sendto(fd, line, (size_t)len, MSG_NOSIGNAL, (struct sockaddr *)&sa, sa_len) < 0)
        (void)0;
    close(fd);
}

void systemd_watchdog(struct systemd *systemd, uint64_t now_ms)
{
    if (systemd->watchdog_us == 0 || now_ms - systemd->watchdog_ms < systemd->watchdog_us / 2000)
        return;
    systemd->watchdog_ms = now_ms;
    systemd_notify(systemd, "WATCHDOG=1");
}
