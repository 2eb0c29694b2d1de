#include "app/handover.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void handover_init(struct handover *handover, enum handover_kind kind)
{
    memset(handover, 0, sizeof *handover);
    memcpy(handover->magic, HANDOVER_MAGIC, sizeof handover->magic);
    handover->kind = kind;
}

bool handover_parse(const void *bytes, size_t len, unsigned fd_count, struct handover *handover)
{
    if (len != sizeof *handover)
        return false;
    memcpy(handover, bytes, len);
    if (memcmp(handover->magic, HANDOVER_MAGIC, sizeof handover->magic) != 0 ||
        handover->zero != 0 || handover->zero2 != 0 || handover->inherited > 1 ||
        handover->ip4_only > 1)
        return false;
    switch (handover->kind) {
    case HANDOVER_SOCKET:
        return fd_count == 1 && letter_addr_fits(&handover->addr);
    case HANDOVER_CONTROL:
        return fd_count == 1 && handover->path[0] == '/' &&
               memchr(handover->path, '\0', sizeof handover->path) != NULL;
    case HANDOVER_DRAINED:
        return fd_count == 0 && handover->origin[0] != '\0' &&
               memchr(handover->origin, '\0', sizeof handover->origin) != NULL;
    case HANDOVER_SECRETS:
    case HANDOVER_END:
        return fd_count == 0;
    default:
        return false;
    }
}

/* ---- the wire ---- */

union fd_space {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static bool wait_for(int channel, short events)
{
    struct pollfd p = {.fd = channel, .events = events};
    int got;
    do
        got = poll(&p, 1, CHANNEL_SEND_MS);
    while (got < 0 && errno == EINTR);
    return got > 0;
}

bool handover_send(int channel, const struct handover *handover, int fd)
{
    union fd_space space;
    /* @UNSAFE: an iovec has no const, sendmsg() only reads */
    struct iovec iov = {.iov_base = (void *)(uintptr_t)handover, .iov_len = sizeof *handover};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        memset(&space, 0, sizeof space);
        header.msg_control = space.bytes;
        header.msg_controllen = sizeof space.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    for (;;) {
        if (sendmsg(channel, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return true;
        if (errno != EAGAIN && errno != EINTR)
            return false;
        if (errno == EAGAIN && !wait_for(channel, POLLOUT))
            return false;
    }
}

bool handover_receive(int channel, struct handover *handover, int *fd)
{
    union fd_space space;
    struct handover raw;
    struct iovec iov = {.iov_base = &raw, .iov_len = sizeof raw};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = space.bytes,
                            .msg_controllen = sizeof space.bytes};
    *fd = -1;
    if (!wait_for(channel, POLLIN))
        return false;
    ssize_t len = recvmsg(channel, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (len <= 0)
        return false;
    unsigned count = 0;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof *fd)) {
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
        count = 1;
    }
    bool whole = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
    if (whole && handover_parse(&raw, (size_t)len, count, handover))
        return true;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return false;
}
