#include "net/tcp.h"

#include "base/buf.h"
#include "net/addr.h"
#include "net/loop.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a user may leave behind at most; users pause their source far below it. */
#define BACKLOG_MAX ((size_t)4 * 1024 * 1024)
/*
 * Large reads are for sinks that take them. A sink that does not leaves 256 KiB in its backlog
 * instead of 64, so that they end while the backlogs of a thread hold more than this together.
 */
#define LARGE_READS_BACKLOG_MAX ((size_t)8 * 1024 * 1024)
/* Pieces of the backlog per sendmsg(). */
enum { SEND_PIECES = 16 };
enum { SEND_FLAGS = MSG_NOSIGNAL | MSG_DONTWAIT };

enum {
    CONNECTING = 1,
    PAUSED = 2,
    FINISHING = 4,
    FINISHED = 8,
    FAILED = 16,
    ENDED = 32,
    CLOSED = 64,
    HUNG_UP = 128, /* out of epoll until the paused reader wants what is left */
};

struct tcp {
    struct stream stream;
    struct loop_io io;
    struct loop *loop;
    struct buf out;
    struct loop_task task; /* tells of a failure, or frees */
    bool task_queued;
    bool broken; /* nothing goes any more, but what has come is still to be read */
    bool expects_much;
    uint8_t flags;
    int error;
};

static const struct stream_ops tcp_ops;

/* In all backlogs of this thread's streams. */
static _Thread_local size_t backlogs;

static struct tcp *tcp_of(struct stream *stream)
{
    return LIST_OF(stream, struct tcp, stream);
}

static const struct tcp *tcp_of_const(const struct stream *stream)
{
    return (const struct tcp *)(const void *)((const char *)stream - offsetof(struct tcp, stream));
}

/* ---- telling the user ---- */

static void drop_backlog(struct tcp *tcp, size_t len)
{
    backlogs -= len;
    buf_drop(&tcp->out, len);
}

static void tcp_free(struct tcp *tcp)
{
    drop_backlog(tcp, tcp->out.len);
    free(tcp);
}

static void run_task(struct loop_task *task)
{
    struct tcp *tcp = LIST_OF(task, struct tcp, task);
    tcp->task_queued = false;
    if (tcp->flags & CLOSED) {
        tcp_free(tcp);
        return;
    }
    /* After a FIN only an error is news: what we send does not arrive. */
    if (!(tcp->flags & FAILED) || (tcp->flags & ENDED && tcp->error == 0))
        return;
    tcp->flags |= ENDED;
    tcp->stream.user->on_end(tcp->stream.user_data,
                             tcp->flags & CONNECTING ? STREAM_REFUSED : STREAM_RESET);
}

static void queue_task(struct tcp *tcp)
{
    if (tcp->task_queued)
        return;
    tcp->task_queued = true;
    tcp->task.run = run_task;
    loop_defer(tcp->loop, &tcp->task);
}

/* Nothing goes any more; the user hears of it at the end of the turn, never inside his own call. */
static void tcp_fail(struct tcp *tcp, int error)
{
    if (tcp->flags & (FAILED | CLOSED))
        return;
    if (!(tcp->flags & HUNG_UP))
        loop_remove(tcp->loop, &tcp->io);
    tcp->flags |= FAILED;
    tcp->error = error;
    drop_backlog(tcp, tcp->out.len);
    queue_task(tcp);
}

static void update_interest(struct tcp *tcp)
{
    uint32_t wanted = 0;
    if (tcp->flags & CONNECTING || tcp->out.len != 0)
        wanted |= LOOP_OUT;
    if (!(tcp->flags & (CONNECTING | PAUSED | ENDED)))
        wanted |= LOOP_IN;
    if (!(tcp->flags & HUNG_UP))
        loop_want(tcp->loop, &tcp->io, wanted);
}

/* ---- sending ---- */

static void shut_writing(struct tcp *tcp)
{
    tcp->flags |= FINISHED;
    shutdown(tcp->io.fd, SHUT_WR);
}

/*
 * A send failed. The peer may have answered before it closed without reading all that we had for
 * it: its reset must not cost the answer that lies in the socket (RFC 9112 9.6).
 */
static void send_failed(struct tcp *tcp, int error)
{
    char byte;
    bool unread = !(tcp->flags & (PAUSED | ENDED | HUNG_UP)) &&
                  recv(tcp->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
    if (!unread) {
        tcp_fail(tcp, error);
        return;
    }
    tcp->broken = true;
    tcp->error = error;
    drop_backlog(tcp, tcp->out.len);
    update_interest(tcp);
}

static ssize_t send_pieces(struct tcp *tcp, struct iovec *iov, size_t count)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    ssize_t sent;
    do /* most often one piece, and send() has no header for the kernel to copy in */
        sent = count == 1 ? send(tcp->io.fd, iov->iov_base, iov->iov_len, SEND_FLAGS)
                          : sendmsg(tcp->io.fd, &message, SEND_FLAGS);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    return sent;
}

static bool keep_rest(struct tcp *tcp, const struct iovec *iov, int count, size_t skip)
{
    for (int i = 0; i < count; i++) {
        size_t len = iov[i].iov_len;
        if (skip >= len) {
            skip -= len;
            continue;
        }
        if (!buf_add(&tcp->out, (const char *)iov[i].iov_base + skip, len - skip))
            return false;
        backlogs += len - skip;
        skip = 0;
    }
    return true;
}

static size_t iov_bytes(const struct iovec *iov, int count)
{
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

static void tcp_send(struct stream *stream, const struct iovec *iov, int count)
{
    struct tcp *tcp = tcp_of(stream);
    if (tcp->flags & (FAILED | CLOSED | FINISHING | FINISHED) || tcp->broken)
        return;
    size_t total = iov_bytes(iov, count);
    ssize_t sent = 0;
    if (total == 0)
        return;
    if (!(tcp->flags & CONNECTING) && tcp->out.len == 0) {
        /* @UNSAFE: sendmsg() only reads what the iovec points to */
        sent = send_pieces(tcp, (struct iovec *)(uintptr_t)iov, (size_t)count);
        if (sent < 0) {
            send_failed(tcp, errno);
            return;
        }
        if ((size_t)sent == total)
            return;
    }
    if (!keep_rest(tcp, iov, count, (size_t)sent)) {
        tcp_fail(tcp, ENOBUFS);
        return;
    }
    update_interest(tcp);
}

/* False when the stream failed. */
static bool flush(struct tcp *tcp)
{
    while (tcp->out.len != 0) {
        struct iovec iov[SEND_PIECES];
        int count = buf_iov(&tcp->out, iov, SEND_PIECES);
        size_t offered = iov_bytes(iov, count);
        ssize_t sent = send_pieces(tcp, iov, (size_t)count);
        if (sent < 0) {
            send_failed(tcp, errno);
            return false;
        }
        drop_backlog(tcp, (size_t)sent);
        if ((size_t)sent < offered)
            break;
    }
    return true;
}

/* ---- events ---- */

static int socket_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

static void on_connected(struct tcp *tcp)
{
    int error = socket_error(tcp->io.fd);
    if (error != 0) {
        tcp_fail(tcp, error);
        return;
    }
    tcp->flags &= (uint8_t)~CONNECTING;
    if (tcp->flags & FINISHING && tcp->out.len == 0)
        shut_writing(tcp);
    update_interest(tcp);
    if (tcp->stream.user->on_open)
        tcp->stream.user->on_open(tcp->stream.user_data);
}

static void on_writable(struct tcp *tcp)
{
    if (tcp->flags & CONNECTING) {
        on_connected(tcp);
        return;
    }
    if (tcp->out.len == 0 || !flush(tcp))
        return;
    update_interest(tcp);
    if (tcp->out.len != 0)
        return;
    if ((tcp->flags & (FINISHING | FINISHED)) == FINISHING)
        shut_writing(tcp);
    tcp->stream.user->on_drained(tcp->stream.user_data);
}

static void on_readable(struct tcp *tcp)
{
    static _Thread_local char scratch[STREAM_READ_EXPECTED_MAX];
    bool large = tcp->expects_much && backlogs <= LARGE_READS_BACKLOG_MAX;
    ssize_t got;
    do
        got = recv(tcp->io.fd, scratch, large ? sizeof scratch : STREAM_READ_MAX, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        tcp->stream.user->on_bytes(tcp->stream.user_data, str_from(scratch, (size_t)got));
        return;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (got < 0 || tcp->broken) {
        tcp_fail(tcp, got < 0 ? errno : tcp->error);
        return;
    }
    tcp->flags |= ENDED;
    update_interest(tcp);
    tcp->stream.user->on_end(tcp->stream.user_data, STREAM_FINISHED);
}

/* Reported whether wanted or not: both sides are closed, or the socket has an error. A paused
 * reader must not spin on it, but may read later what had come before. */
static void on_hang_up(struct tcp *tcp)
{
    int error = socket_error(tcp->io.fd);
    if (error != 0 || tcp->flags & ENDED) {
        tcp_fail(tcp, error);
        return;
    }
    tcp->flags |= HUNG_UP;
    loop_remove(tcp->loop, &tcp->io);
}

static void on_event(struct loop_io *io, uint32_t events)
{
    struct tcp *tcp = LIST_OF(io, struct tcp, io);
    if (events & LOOP_OUT || (events & LOOP_HUP && tcp->flags & CONNECTING))
        on_writable(tcp);
    if (tcp->flags & (CLOSED | FAILED))
        return;
    if (events & (LOOP_IN | LOOP_HUP) && !(tcp->flags & (CONNECTING | PAUSED | ENDED)))
        on_readable(tcp);
    else if (events & LOOP_HUP && !(tcp->flags & CONNECTING))
        on_hang_up(tcp);
}

/* ---- the rest of the interface ---- */

static size_t tcp_backlog(const struct stream *stream)
{
    return tcp_of_const(stream)->out.len;
}

/* A UNIX socket tells of memory instead: that grows and falls with it. */
static size_t tcp_under_way(const struct stream *stream)
{
    const struct tcp *tcp = tcp_of_const(stream);
    int bytes = 0;
    if (tcp->flags & CLOSED || ioctl(tcp->io.fd, SIOCOUTQ, &bytes) != 0 || bytes < 0)
        return 0;
    return (size_t)bytes;
}

static void tcp_pause(struct stream *stream, bool paused)
{
    struct tcp *tcp = tcp_of(stream);
    if (tcp->flags & (FAILED | CLOSED))
        return;
    if (paused && tcp->broken) { /* nobody would hear of its end while it is paused */
        tcp_fail(tcp, tcp->error);
        return;
    }
    tcp->flags = (uint8_t)(paused ? tcp->flags | PAUSED : tcp->flags & ~PAUSED);
    if (!paused && tcp->flags & HUNG_UP) {
        tcp->flags &= (uint8_t)~HUNG_UP;
        if (!loop_add(tcp->loop, &tcp->io, LOOP_IN))
            tcp_fail(tcp, errno);
        return;
    }
    update_interest(tcp);
}

static void tcp_expect(struct stream *stream, bool much)
{
    tcp_of(stream)->expects_much = much;
}

static void tcp_finish(struct stream *stream)
{
    struct tcp *tcp = tcp_of(stream);
    if (tcp->flags & (FAILED | CLOSED | FINISHING) || tcp->broken)
        return;
    tcp->flags |= FINISHING;
    if (tcp->out.len == 0 && !(tcp->flags & CONNECTING))
        shut_writing(tcp);
}

static void tcp_close(struct stream *stream, bool reset)
{
    struct tcp *tcp = tcp_of(stream);
    if (tcp->flags & CLOSED)
        return;
    if (!(tcp->flags & (FAILED | HUNG_UP)))
        loop_remove(tcp->loop, &tcp->io);
    tcp->flags |= CLOSED;
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(tcp->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(tcp->io.fd);
    queue_task(tcp);
}

static struct loop *tcp_loop(const struct stream *stream)
{
    return tcp_of_const(stream)->loop;
}

static void tcp_first(struct stream *stream, bool first)
{
    tcp_of(stream)->io.first = first;
}

static bool tcp_healthy(struct stream *stream)
{
    struct tcp *tcp = tcp_of(stream);
    char byte;
    if (tcp->flags != 0)
        return false;
    return recv(tcp->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* Without an answer from there even probes of a closed window remain unacknowledged. One repetition
 * may be an unlucky packet; two take half a second at least (RFC 6298 2.4, 5.5). */
static bool tcp_stranded(const struct stream *stream, uint32_t ms)
{
    enum { REPEATED = 2 };
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (tcp_of_const(stream)->flags & (CONNECTING | FAILED | CLOSED) ||
        getsockopt(tcp_of_const(stream)->io.fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false; /* a UNIX socket has no such thing */
    return info.tcpi_unacked != 0 && info.tcpi_retransmits >= REPEATED &&
           info.tcpi_last_ack_recv >= ms;
}

static int tcp_error(const struct stream *stream)
{
    return tcp_of_const(stream)->error;
}

static const char *tcp_error_text(const struct stream *stream)
{
    const struct tcp *tcp = tcp_of_const(stream);
    return tcp->error ? strerrordesc_np(tcp->error) : "";
}

static void tcp_addresses(const struct stream *stream, struct addr *local, struct addr *peer)
{
    const struct tcp *tcp = tcp_of_const(stream);
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    if (local) {
        *local = (struct addr){0};
        if (getsockname(tcp->io.fd, (struct sockaddr *)&sa, &len) == 0)
            addr_from_sockaddr(local, (struct sockaddr *)&sa, len);
    }
    len = sizeof sa;
    if (peer) {
        *peer = (struct addr){0};
        if (getpeername(tcp->io.fd, (struct sockaddr *)&sa, &len) == 0)
            addr_from_sockaddr(peer, (struct sockaddr *)&sa, len);
    }
}

static const struct stream_ops tcp_ops = {
    .send = tcp_send,
    .backlog = tcp_backlog,
    .under_way = tcp_under_way,
    .pause = tcp_pause,
    .expect = tcp_expect,
    .first = tcp_first,
    .finish = tcp_finish,
    .close = tcp_close,
    .loop = tcp_loop,
    .healthy = tcp_healthy,
    .stranded = tcp_stranded,
    .error = tcp_error,
    .error_text = tcp_error_text,
    .addresses = tcp_addresses,
};

/* ---- opening ---- */

static struct tcp *tcp_new(struct loop *loop, int fd, const struct stream_user *user, void *data,
                           uint8_t flags)
{
    struct tcp *tcp = calloc(1, sizeof *tcp);
    if (tcp == NULL) {
        close(fd);
        return NULL;
    }
    tcp->stream = (struct stream){.ops = &tcp_ops, .user = user, .user_data = data};
    tcp->loop = loop;
    tcp->io = (struct loop_io){.fd = fd, .on_event = on_event};
    tcp->flags = flags;
    buf_init(&tcp->out, BACKLOG_MAX);
    if (!loop_add(loop, &tcp->io, flags & CONNECTING ? LOOP_OUT : LOOP_IN)) {
        close(fd);
        free(tcp);
        return NULL;
    }
    return tcp;
}

/* Without it small writes wait for the peer's delayed acknowledgement. UNIX sockets refuse it. */
static void no_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

struct stream *tcp_open(struct loop *loop, int fd, const struct stream_user *user, void *user_data)
{
    no_delay(fd);
    struct tcp *tcp = tcp_new(loop, fd, user, user_data, 0);
    return tcp ? &tcp->stream : NULL;
}

static bool bind_source(int fd, const struct addr *source)
{
    struct sockaddr_storage sa;
    int on = 1;
    /* The port is chosen at connect(), so that one local address serves many destinations. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    socklen_t len = addr_to_sockaddr(source, &sa);
    return len != 0 && bind(fd, (struct sockaddr *)&sa, len) == 0;
}

struct stream *tcp_connect(struct loop *loop, const struct addr *to, const struct addr *source,
                           const struct stream_user *user, void *user_data)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(to, &sa);
    if (len == 0) {
        errno = EINVAL;
        return NULL;
    }
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return NULL;
    if (source && !bind_source(fd, source)) {
        int error = errno;
        close(fd);
        errno = error;
        return NULL;
    }
    if (to->family != ADDR_UNIX)
        no_delay(fd);
    int failed = connect(fd, (struct sockaddr *)&sa, len) == 0 ? 0 : errno;
    if (failed == EADDRNOTAVAIL) {
        close(fd);
        errno = EADDRNOTAVAIL;
        return NULL;
    }
    struct tcp *tcp = tcp_new(loop, fd, user, user_data, CONNECTING);
    if (tcp == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    if (failed != 0 && failed != EINPROGRESS)
        tcp_fail(tcp, failed);
    return &tcp->stream;
}
