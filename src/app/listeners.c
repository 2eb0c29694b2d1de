#include "app/listeners.h"

#include "app/holder.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void listeners_init(struct listeners *listeners)
{
    memset(listeners, 0, sizeof *listeners);
}

static void group_close(struct listener_group *group)
{
    for (unsigned i = 0; i < group->count; i++)
        close(group->fds[i]);
    free(group);
}

void listeners_fini(struct listeners *listeners)
{
    for (unsigned i = 0; i < listeners->count; i++)
        group_close(listeners->groups[i]);
    for (unsigned i = 0; i < listeners->inherited_count; i++)
        if (listeners->inherited[i] >= 0)
            close(listeners->inherited[i]);
    listeners_init(listeners);
}

void listeners_add_text(struct text *text, const struct letter_addr *addr)
{
    struct addr plain = letter_addr_to(addr);
    if (addr->any_family)
        text_printf(text, ":%u", addr->port);
    else
        addr_add_text_port(text, &plain);
}

/* ---- sockets from systemd ---- */

static bool is_listening(int fd)
{
    int on = 0, type = 0;
    socklen_t len = sizeof on;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) != 0 || !on)
        return false;
    len = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

void listeners_inherit(struct listeners *listeners, int first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int fd = first + (int)i;
        if (listeners->inherited_count == LISTENERS_MAX || !is_listening(fd)) {
            log_warning("descriptor %d from LISTEN_FDS is no listening stream socket: closed", fd);
            close(fd);
            continue;
        }
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        listeners->inherited[listeners->inherited_count++] = fd;
    }
}

static bool is_any(const struct addr *a)
{
    static const uint8_t zero[16];
    return memcmp(a->ip, zero, a->family == ADDR_IP4 ? 4 : 16) == 0;
}

/* The socket from systemd with this address, or -1. It is taken out. */
static int take_inherited(struct listeners *listeners, const struct letter_addr *wanted)
{
    struct addr want = letter_addr_to(wanted);
    for (unsigned i = 0; i < listeners->inherited_count; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        struct addr have;
        int fd = listeners->inherited[i];
        if (fd < 0 || getsockname(fd, (struct sockaddr *)&sa, &len) != 0 ||
            !addr_from_sockaddr(&have, (struct sockaddr *)&sa, len) || have.port != want.port)
            continue;
        if (wanted->any_family ? !is_any(&have) : !addr_eq(&have, &want))
            continue;
        listeners->inherited[i] = -1;
        return fd;
    }
    return -1;
}

/* ---- our own ---- */

static int socket_for(const struct letter_addr *wanted, bool ip4_only, bool shared)
{
    bool six = wanted->family == ADDR_IP6 && !ip4_only;
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1, only = !wanted->any_family;
    bool ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
    if (six)
        ok = ok && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) == 0;
    if (shared)
        ok = ok && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0;
    struct addr addr = letter_addr_to(wanted);
    if (ip4_only)
        addr.family = ADDR_IP4;
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&addr, &sa);
    if (ok && bind(fd, (struct sockaddr *)&sa, len) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static void explain(const struct letter_addr *wanted, int error, struct text *why)
{
    struct addr addr = letter_addr_to(wanted);
    struct holder holder;
    listeners_add_text(why, wanted);
    if (error == EADDRINUSE && holder_find(&addr, &holder)) {
        text_add_z(why, " is held by ");
        holder_add_text(why, &holder);
    } else if (error == EADDRNOTAVAIL) {
        text_add_z(why, " cannot be listened on: this host has no such address");
    } else if (error == EACCES) {
        text_add_z(why,
                   " cannot be listened on: ports below 1024 want root or CAP_NET_BIND_SERVICE");
    } else {
        text_printf(why, " cannot be listened on: %s", strerror(error));
    }
    text_add_byte(why, '\n');
}

/*
 * Binds once without SO_REUSEPORT, where another instance would be noticed. What is in the way may
 * be a socket of our own (`:80` while `127.0.0.1:80` comes or goes): that is none.
 */
static bool probe(const struct letter_addr *wanted, bool *ip4_only, struct text *why)
{
    struct addr addr = letter_addr_to(wanted);
    struct holder holder;
    int fd = socket_for(wanted, false, false), error = errno;
    if (fd < 0 && error == EADDRINUSE && !holder_find(&addr, &holder)) {
        fd = socket_for(wanted, false, false); /* it was just being closed */
        error = errno;
    }
    if (fd < 0 && wanted->any_family && (error == EAFNOSUPPORT || error == EADDRNOTAVAIL)) {
        *ip4_only = true;
        fd = socket_for(wanted, true, false);
        error = errno;
    }
    if (fd >= 0) {
        close(fd);
        return true;
    }
    if (error == EADDRINUSE && holder_find(&addr, &holder) && holder.ours)
        return true;
    explain(wanted, error, why);
    return false;
}

static bool grow(struct listener_group *group, unsigned threads)
{
    if (group->addr.metrics)
        threads = 1; /* the worker's main thread */
    while (!group->inherited && group->count < threads) {
        int fd = socket_for(&group->addr, group->ip4_only, true);
        if (fd < 0)
            return false;
        if (listen(fd, LISTENERS_BACKLOG) != 0) {
            int saved = errno;
            close(fd);
            errno = saved;
            return false;
        }
        group->fds[group->count++] = fd;
    }
    return true;
}

static struct listener_group *group_open(struct listeners *listeners,
                                         const struct letter_addr *wanted, unsigned threads,
                                         struct text *why)
{
    struct listener_group *group = calloc(1, sizeof *group);
    if (group == NULL) {
        text_add_z(why, "no memory for a listener\n");
        return NULL;
    }
    group->addr = *wanted;
    int inherited = take_inherited(listeners, wanted);
    if (inherited >= 0) {
        group->fds[group->count++] = inherited;
        group->inherited = true;
        return group;
    }
    if (!probe(wanted, &group->ip4_only, why)) {
        free(group);
        return NULL;
    }
    if (!grow(group, threads)) {
        explain(wanted, errno, why);
        group_close(group);
        return NULL;
    }
    return group;
}

void listeners_turn_away(const struct listeners *listeners)
{
    /* The flags of the TCP header (RFC 9293 3.1): SYN without ACK is dropped. */
    enum { FLAGS_AT = 13, SYN = 0x02, ACK = 0x10 };
    static struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_AT),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog program = {.len = sizeof steps / sizeof *steps, .filter = steps};
    for (unsigned i = 0; i < listeners->count; i++)
        for (unsigned k = 0; !listeners->groups[i]->inherited && k < listeners->groups[i]->count;
             k++)
            /* Where the kernel has no such thing, a few callers are reset. */
            (void)setsockopt(listeners->groups[i]->fds[k], SOL_SOCKET, SO_ATTACH_FILTER, &program,
                             sizeof program);
}

struct listener_group *listeners_find(const struct listeners *listeners,
                                      const struct letter_addr *addr)
{
    for (unsigned i = 0; i < listeners->count; i++)
        if (letter_addr_eq(&listeners->groups[i]->addr, addr))
            return listeners->groups[i];
    return NULL;
}

bool listeners_adopt(struct listeners *listeners, const struct letter_addr *addr, int fd,
                     bool inherited, bool ip4_only)
{
    struct listener_group *group = listeners_find(listeners, addr);
    unsigned groups_max = sizeof listeners->groups / sizeof listeners->groups[0];
    bool fits = is_listening(fd) && (group == NULL || group->count < THREADS_MAX) &&
                (group != NULL || listeners->count < groups_max);
    if (fits && group == NULL)
        group = calloc(1, sizeof *group);
    if (!fits || group == NULL) {
        close(fd);
        return false;
    }
    if (group->count == 0) {
        group->addr = *addr;
        group->inherited = inherited;
        group->ip4_only = ip4_only;
        listeners->groups[listeners->count++] = group;
    }
    group->fds[group->count++] = fd;
    return true;
}

bool listeners_want(struct listeners *listeners, const struct letter_addr *wanted, unsigned count,
                    unsigned threads, struct text *why, struct text *notices)
{
    unsigned before = listeners->count;
    bool ok = true;
    for (unsigned i = 0; i < count; i++) {
        struct listener_group *group = listeners_find(listeners, &wanted[i]);
        if (group != NULL) {
            if (!grow(group, threads)) {
                explain(&wanted[i], errno, why);
                ok = false;
            }
            continue;
        }
        group = group_open(listeners, &wanted[i], threads, why);
        if (group == NULL) {
            ok = false;
            continue;
        }
        if (group->ip4_only)
            text_printf(notices, "this host has no IPv6: :%u listens on IPv4 alone\n",
                        wanted[i].port);
        listeners->groups[listeners->count++] = group;
    }
    while (!ok && listeners->count > before)
        group_close(listeners->groups[--listeners->count]);
    return ok;
}

void listeners_keep(struct listeners *listeners, const struct letter_addr *wanted, unsigned count,
                    void (*gone)(void *user, const struct letter_addr *addr), void *user)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < listeners->count; i++) {
        struct listener_group *group = listeners->groups[i];
        bool wanted_still = false;
        for (unsigned k = 0; k < count; k++)
            if (letter_addr_eq(&group->addr, &wanted[k])) {
                group->addr.tls = wanted[k].tls;
                wanted_still = true;
            }
        if (wanted_still) {
            group->served = group->count;
            listeners->groups[kept++] = group;
            continue;
        }
        if (gone != NULL)
            gone(user, &group->addr);
        group_close(group);
    }
    listeners->count = kept;
}
