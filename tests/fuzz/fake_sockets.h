/*
 * A kernel in memory for fuzz_exchange.c: the system calls of net/tcp.c, net/loop.c and
 * proxy/front.c, wrapped by the linker (--wrap, see CMakeLists.txt), act on sockets that stand
 * here, and epoll_wait() is where the script's next step happens and where time goes on. What a
 * process must never do to a socket (write after it shut writing, use or close what is closed)
 * aborts. Descriptors that are not from here go to the real kernel.
 */
#ifndef PC_TESTS_FAKE_SOCKETS_H
#define PC_TESTS_FAKE_SOCKETS_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Above all real ones, and below the usual limit of 1,024, which room.c looks at. */
enum { FAKE_FIRST = 600, FAKE_COUNT = 40, FAKE_OUT_MAX = 1 << 20 };
enum fake_kind { FAKE_EPOLL, FAKE_MAIL, FAKE_LISTEN, FAKE_CLIENT, FAKE_ORIGIN };
enum fake_connect { FAKE_ACCEPTS, FAKE_REFUSES, FAKE_SILENT, FAKE_NO_PORT, FAKE_NO_FD };

struct fake_bytes {
    char *at;
    size_t len, cap;
};

struct fake_socket {
    enum fake_kind kind;
    bool open, watched, rung;
    struct epoll_event event;
    /* What the peer sent: `arrived` of it can be read, `read` of that was; `rate` more arrive with
     * each turn, then `fin`, if the peer finished. A recv() gets at most `chunk`. */
    struct fake_bytes in;
    size_t arrived, read, rate, chunk;
    bool fin, reset, reset_told;
    /* What we sent. The peer takes `window` bytes more; a deaf one is gone and answers with RST. */
    struct fake_bytes out;
    size_t window;
    bool deaf, shut, ever_blocked;
    int errno_once; /* of the next recv() or send() */
    bool connecting;
    int connect_error;
    struct sockaddr_in peer;
    /* The script's own. */
    unsigned answered;
    bool raw; /* it said what no one knows, or became a tunnel */
};

static struct {
    bool running;
    struct fake_socket sockets[FAKE_COUNT];
    unsigned count, waiting; /* `waiting`: the first that accept() has not taken yet */
    uint64_t now_us;
    enum fake_connect connects;
    uint64_t turns;
} fake;

/* The script: once per turn. */
static void fake_step(void);
static bool fake_is_over(void);

#define must(holds)                                                                                \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            fprintf(stderr, "%s:%d: this must hold: %s\n", __FILE__, __LINE__, #holds);            \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void fake_add(struct fake_bytes *bytes, const void *from, size_t len)
{
    if (bytes->len + len > bytes->cap) {
        bytes->cap = (bytes->len + len) * 2;
        bytes->at = realloc(bytes->at, bytes->cap);
        must(bytes->at != NULL);
    }
    if (len != 0)
        memcpy(bytes->at + bytes->len, from, len);
    bytes->len += len;
}

static struct fake_socket *fake_new(enum fake_kind kind, int *fd)
{
    if (fake.count == FAKE_COUNT) {
        errno = EMFILE;
        *fd = -1;
        return NULL;
    }
    struct fake_socket *s = &fake.sockets[fake.count];
    *s = (struct fake_socket){
        .kind = kind, .open = true, .rate = SIZE_MAX, .chunk = SIZE_MAX, .window = FAKE_OUT_MAX};
    *fd = FAKE_FIRST + (int)fake.count++;
    return s;
}

static bool fake_is(int fd)
{
    return fd >= FAKE_FIRST;
}

/* One that is open: anything else is a use after close. */
static struct fake_socket *fake_get(int fd)
{
    must(fd < FAKE_FIRST + (int)fake.count && fake.sockets[fd - FAKE_FIRST].open);
    return &fake.sockets[fd - FAKE_FIRST];
}

/* ---- reading and writing ---- */

static int fake_fault(struct fake_socket *s)
{
    int error = s->errno_once;
    s->errno_once = 0;
    return error;
}

static bool fake_readable(const struct fake_socket *s)
{
    return s->arrived > s->read || s->reset || (s->fin && s->arrived == s->in.len);
}

ssize_t __wrap_recv(int fd, void *into, size_t len, int flags)
{
    must(fake_is(fd));
    struct fake_socket *s = fake_get(fd);
    must(!s->connecting);
    errno = flags & MSG_PEEK ? 0 : fake_fault(s);
    if (errno != 0)
        return -1;
    size_t got = s->arrived - s->read;
    if (got > len)
        got = len;
    if (got > s->chunk)
        got = s->chunk;
    if (got != 0) {
        memcpy(into, s->in.at + s->read, got);
        s->read += flags & MSG_PEEK ? 0 : got;
        return (ssize_t)got;
    }
    if (s->reset && !s->reset_told) {
        s->reset_told = (flags & MSG_PEEK) == 0;
        errno = ECONNRESET;
        return -1;
    }
    if (s->reset || (s->fin && s->arrived == s->in.len))
        return 0;
    errno = EAGAIN;
    return -1;
}

ssize_t __wrap___recv_chk(int fd, void *into, size_t len, size_t room, int flags)
{
    must(len <= room);
    return __wrap_recv(fd, into, len, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    must(fake_is(fd) && (flags & MSG_NOSIGNAL) != 0);
    struct fake_socket *s = fake_get(fd);
    must(!s->connecting && !s->shut);
    errno = fake_fault(s);
    s->ever_blocked |= errno == EAGAIN;
    if (errno != 0)
        return -1;
    if (s->reset) {
        errno = s->reset_told ? EPIPE : ECONNRESET;
        s->reset_told = true;
        return -1;
    }
    size_t sent = 0;
    for (size_t i = 0; i < message->msg_iovlen && (s->window != 0 || s->deaf); i++) {
        size_t len = message->msg_iov[i].iov_len;
        if (s->deaf) {
            sent += len;
            continue;
        }
        if (len > s->window)
            len = s->window;
        fake_add(&s->out, message->msg_iov[i].iov_base, len);
        s->window -= len;
        sent += len;
    }
    if (s->deaf)
        s->reset = true;
    s->ever_blocked |= s->window == 0 && !s->deaf;
    must(s->out.len <= 2 * FAKE_OUT_MAX);
    if (sent != 0)
        return (ssize_t)sent;
    errno = EAGAIN;
    return -1;
}

ssize_t __wrap_send(int fd, const void *from, size_t len, int flags)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)from, .iov_len = len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    return __wrap_sendmsg(fd, &message, flags);
}

int __wrap_shutdown(int fd, int how)
{
    struct fake_socket *s = fake_get(fd);
    must(how == SHUT_WR && !s->shut);
    s->shut = true;
    return 0;
}

int __real_close(int fd);
int __wrap_close(int fd)
{
    if (!fake_is(fd))
        return __real_close(fd);
    fake_get(fd)->open = false;
    return 0;
}

ssize_t __real_read(int fd, void *into, size_t len);
ssize_t __wrap_read(int fd, void *into, size_t len)
{
    if (!fake_is(fd))
        return __real_read(fd, into, len);
    struct fake_socket *s = fake_get(fd);
    must(s->kind == FAKE_MAIL && s->rung);
    s->rung = false;
    return (ssize_t)len;
}

ssize_t __wrap___read_chk(int fd, void *into, size_t len, size_t room)
{
    must(len <= room);
    return __wrap_read(fd, into, len);
}

ssize_t __real_write(int fd, const void *from, size_t len);
ssize_t __wrap_write(int fd, const void *from, size_t len)
{
    if (!fake_is(fd))
        return __real_write(fd, from, len);
    fake_get(fd)->rung = true;
    return (ssize_t)len;
}

/* ---- opening ---- */

int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol)
{
    int fd;
    if (!fake.running)
        return __real_socket(domain, type, protocol);
    if (fake.connects == FAKE_NO_FD) {
        errno = EMFILE;
        return -1;
    }
    fake_new(FAKE_ORIGIN, &fd);
    return fd;
}

int __wrap_connect(int fd, const struct sockaddr *to, socklen_t len)
{
    struct fake_socket *s = fake_get(fd);
    must(s->kind == FAKE_ORIGIN && len == sizeof s->peer);
    memcpy(&s->peer, to, sizeof s->peer);
    errno = fake.connects == FAKE_NO_PORT ? EADDRNOTAVAIL : EINPROGRESS;
    s->connecting = true;
    s->connect_error = fake.connects == FAKE_REFUSES  ? ECONNREFUSED
                       : fake.connects == FAKE_SILENT ? -1
                                                      : 0;
    return -1;
}

int __wrap_accept4(int fd, struct sockaddr *peer, socklen_t *len, int flags)
{
    must(fake_get(fd)->kind == FAKE_LISTEN && (flags & SOCK_NONBLOCK) != 0);
    if (fake.connects == FAKE_NO_FD) {
        errno = EMFILE;
        return -1;
    }
    for (; fake.waiting < fake.count; fake.waiting++) {
        struct fake_socket *s = &fake.sockets[fake.waiting];
        if (s->kind != FAKE_CLIENT)
            continue;
        memcpy(peer, &s->peer, sizeof s->peer);
        *len = sizeof s->peer;
        return FAKE_FIRST + (int)fake.waiting++;
    }
    errno = EAGAIN;
    return -1;
}

static bool fake_someone_waits(void)
{
    for (unsigned i = fake.waiting; i < fake.count; i++)
        if (fake.sockets[i].kind == FAKE_CLIENT)
            return true;
    return false;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    (void)level, (void)name, (void)value, (void)len;
    fake_get(fd);
    return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    struct fake_socket *s = fake_get(fd);
    memset(value, 0, *len);
    if (level != SOL_SOCKET || name != SO_ERROR)
        return 0;
    int error = s->connecting && s->connect_error > 0 ? s->connect_error
                : s->reset && !s->reset_told          ? ECONNRESET
                                                      : 0;
    s->reset_told |= s->reset;
    if (s->connecting && error == 0)
        s->connecting = false;
    memcpy(value, &error, sizeof error);
    return 0;
}

static int fake_name(struct sockaddr *out, socklen_t *len, const struct sockaddr_in *in)
{
    memcpy(out, in, sizeof *in);
    *len = sizeof *in;
    return 0;
}

int __wrap_getsockname(int fd, struct sockaddr *out, socklen_t *len)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
    fake_get(fd);
    inet_pton(AF_INET, "192.0.2.254", &in.sin_addr);
    return fake_name(out, len, &in);
}

int __wrap_getpeername(int fd, struct sockaddr *out, socklen_t *len)
{
    return fake_name(out, len, &fake_get(fd)->peer);
}

/* ---- waiting ---- */

int __wrap_eventfd(unsigned initial, int flags)
{
    int fd;
    (void)initial, (void)flags;
    fake_new(FAKE_MAIL, &fd);
    return fd;
}

int __wrap_epoll_create1(int flags)
{
    int fd;
    (void)flags;
    fake_new(FAKE_EPOLL, &fd);
    return fd;
}

int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    must(fake_get(epoll)->kind == FAKE_EPOLL);
    struct fake_socket *s = fake_get(fd);
    must(s->watched == (op != EPOLL_CTL_ADD));
    s->watched = op != EPOLL_CTL_DEL;
    s->event = *event;
    return 0;
}

static uint32_t fake_events(const struct fake_socket *s)
{
    uint32_t events = 0;
    if (s->kind == FAKE_MAIL)
        return s->rung ? (uint32_t)EPOLLIN : 0U;
    if (s->kind == FAKE_LISTEN)
        return fake_someone_waits() ? (uint32_t)EPOLLIN : 0U;
    if (s->connecting)
        return s->connect_error > 0    ? EPOLLOUT | EPOLLERR | EPOLLHUP
               : s->connect_error == 0 ? (uint32_t)EPOLLOUT
                                       : 0U;
    if (fake_readable(s))
        events |= EPOLLIN;
    if (s->window != 0 || s->deaf || s->reset)
        events |= EPOLLOUT;
    events &= s->event.events;
    if (s->reset || (s->shut && s->fin && s->arrived == s->in.len))
        events |= EPOLLHUP;
    if (s->reset && !s->reset_told)
        events |= EPOLLERR;
    return events;
}

static int fake_collect(struct epoll_event *events, int most)
{
    int count = 0;
    for (unsigned i = 0; i < fake.count && count < most; i++) {
        const struct fake_socket *s = &fake.sockets[i];
        uint32_t ready = s->open && s->watched ? fake_events(s) : 0;
        if (ready != 0)
            events[count++] = (struct epoll_event){.events = ready, .data = s->event.data};
    }
    return count;
}

/* The next bytes of slow peers; true when some came. */
static bool fake_arrive(void)
{
    bool any = false;
    for (unsigned i = 0; i < fake.count; i++) {
        struct fake_socket *s = &fake.sockets[i];
        size_t left = s->in.len - s->arrived, more = s->rate < left ? s->rate : left;
        s->arrived += more;
        any |= more != 0;
    }
    return any;
}

int __wrap_epoll_wait(int epoll, struct epoll_event *events, int most, int wait_ms)
{
    /* Whoever spins without end is caught by this. */
    enum { TURNS_MAX = 200000 };
    must(fake_get(epoll)->kind == FAKE_EPOLL && ++fake.turns < TURNS_MAX);
    fake_step();
    bool came = fake_arrive();
    int count = fake_collect(events, most);
    fake.now_us += 10;
    if (count == 0 && wait_ms != 0 && !came && fake_is_over())
        fake.now_us += wait_ms < 0 ? 1000000U : (uint64_t)wait_ms * 1000;
    return count;
}

int __real_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
    if (!fake.running)
        return __real_clock_gettime(id, now);
    uint64_t us = fake.now_us + (id == CLOCK_REALTIME ? 1790000000000000U : 0U);
    *now =
        (struct timespec){.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    return 0;
}

#endif
