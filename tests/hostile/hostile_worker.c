/*
 * The supervisor and the loader as they are, with a worker that a stranger has taken over: it locks
 * itself up and serves (so it says) as any worker does, and then does what $HOSTILE names. For
 * tests/e2e/test_87_sandbox.py.
 *     hostile_worker CONFIGURATION
 */
#include "app/privilege.h"
#include "app/supervisor.h"
#include "app/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- sending ---- */

static void send_bytes(int channel, const void *bytes, size_t len, int fd, unsigned fd_count)
{
    enum { FDS_MAX = 200 };
    static union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    } space;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd_count > 0) {
        header.msg_control = space.bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        for (unsigned i = 0; i < fd_count; i++)
            memcpy(CMSG_DATA(c) + i * sizeof fd, &fd, sizeof fd);
    }
    while (sendmsg(channel, &header, MSG_NOSIGNAL) < 0 && errno == EAGAIN)
        usleep(1000);
}

static void send_kind(int channel, enum letter_kind kind, uint64_t generation)
{
    struct letter m;
    letter_init(&m, kind);
    m.u.generation = generation;
    size_t len = kind < LETTER_KINDS ? letter_size(kind) : letter_size(LETTER_READY);
    send_bytes(channel, &m, len, -1, 0);
}

/* ---- what it does ---- */

static void garbage(int channel)
{
    send_bytes(channel, "\377\376\0\1 this is no letter at all", 30, -1, 0);
}
static void nothing(int channel)
{
    send_bytes(channel, "", 0, -1, 0);
}
static void too_short(int channel)
{
    struct letter m;
    letter_init(&m, LETTER_READY);
    send_bytes(channel, &m, letter_size(LETTER_READY) - 1, -1, 0);
}
static void too_long(int channel)
{
    static char bytes[sizeof(struct letter) + 4096];
    send_bytes(channel, bytes, sizeof bytes, -1, 0);
}
static void descriptor(int channel)
{
    struct letter m;
    letter_init(&m, LETTER_LOG_WANTED);
    send_bytes(channel, &m, letter_size(LETTER_LOG_WANTED), 2, 1);
}
static void descriptors(int channel)
{
    struct letter m;
    letter_init(&m, LETTER_LOG_WANTED);
    for (int i = 0; i < 100; i++)
        send_bytes(channel, &m, letter_size(LETTER_LOG_WANTED), 2, 200);
}
static void flood(int channel)
{
    for (int i = 0; i < 1000000; i++)
        send_kind(channel, LETTER_LOG_WANTED, 0);
}
/* A letter of a kind that there is, or is not: $HOSTILE is kind-N. Who outlives it ends by himself.
 */
static void of_kind(int channel)
{
    send_kind(channel, (enum letter_kind)atoi(getenv("HOSTILE") + strlen("kind-")), 1);
    usleep(300000);
    _exit(0);
}
static void at_control(int channel)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)channel;
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", getenv("HOSTILE_CONTROL"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        (void)!write(fd, "stop\n", 5);
}
/* The same, and gone before it can be looked at. */
static void at_control_and_gone(int channel)
{
    at_control(channel);
    _exit(0);
}

static const struct {
    const char *name;
    void (*act)(int channel);
} acts[] = {
    {"garbage", garbage},       {"nothing", nothing},
    {"too-short", too_short},   {"too-long", too_long},
    {"descriptor", descriptor}, {"descriptors", descriptors},
    {"flood", flood},           {"kind-", of_kind},
    {"control", at_control},    {"control-gone", at_control_and_gone},
};

/* ---- the worker ---- */

static void act(int channel)
{
    const char *name = getenv("HOSTILE");
    size_t found = 0;
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
        if (strcmp(name, acts[i].name) == 0 ||
            (acts[i].act == of_kind && strncmp(name, "kind-", 5) == 0))
            found = i;
    acts[found].act(channel);
}

static void lock_up(int channel, const struct worker_conf *conf)
{
    char why[256];
    struct sandbox sandbox;
    struct letter m;
    sandbox_prepare(&sandbox, &conf->sandbox);
    if (!privilege_drop(conf->user, conf->uid, conf->gid, why, sizeof why))
        _exit(1);
    sandbox_lock(&sandbox);
    letter_init(&m, LETTER_LOCKED);
    m.u.locks = sandbox.report;
    send_bytes(channel, &m, letter_size(LETTER_LOCKED), -1, 0);
}

/* In the place of the product's own. */
void worker_main(int channel, void *argument)
{
    if (strcmp(getenv("HOSTILE"), "before-locks") == 0)
        send_kind(channel, LETTER_READY, 1);
    lock_up(channel, argument);
    for (;;) {
        struct letter m;
        int fds[LETTER_FDS_MAX];
        enum channel_result result = channel_receive(channel, SIDE_SUPERVISOR, &m, fds);
        if (result == CHANNEL_EMPTY) {
            usleep(1000);
            continue;
        }
        if (result != CHANNEL_LETTER || m.kind == LETTER_DRAIN)
            _exit(0);
        if (m.kind == LETTER_LOAD) {
            send_kind(channel, LETTER_READY, m.u.load.generation);
            usleep(200000); /* until it is taken for one that serves */
            act(channel);
        }
        for (int i = 0; i < LETTER_FDS_MAX; i++)
            if (fds[i] >= 0)
                close(fds[i]);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2 || getenv("HOSTILE") == NULL)
        return 2;
    const struct supervisor_conf conf = {.path = argv[1]};
    return supervisor_run(&conf);
}
