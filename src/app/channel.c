#include "app/channel.h"

#include "base/diag.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY(member) sizeof(((struct letter *)0)->u.member)

struct rule {
    uint16_t body;     /* bytes behind the header */
    uint8_t from;      /* enum channel_side, as a bit */
    uint8_t fds_least; /* descriptors that may come with it */
    uint8_t fds_most;
};

enum {
    BY_SUPERVISOR = 1 << SIDE_SUPERVISOR,
    BY_LOADER = 1 << SIDE_LOADER,
    BY_WORKER = 1 << SIDE_WORKER,
};

static const struct rule rules[LETTER_KINDS] = {
    [LETTER_TEXT] = {BODY(text), BY_LOADER | BY_WORKER, 0, 0},
    [LETTER_SETTINGS] = {BODY(settings), BY_LOADER, 0, 0},
    [LETTER_ADDRESS] = {BODY(address), BY_LOADER, 0, 0},
    [LETTER_LOG_FILE] = {BODY(log_file), BY_LOADER, 0, 0},
    [LETTER_ROOT] = {BODY(root), BY_LOADER, 0, 0},
    [LETTER_WATCH] = {BODY(watch), BY_LOADER, 0, 0},
    [LETTER_LOADED] = {BODY(loaded), BY_LOADER, 0, 2},
    [LETTER_START] = {BODY(threads), BY_SUPERVISOR, 0, 0},
    [LETTER_SECRETS] = {BODY(secrets), BY_SUPERVISOR, 0, 0},
    [LETTER_LOG] = {BODY(log), BY_SUPERVISOR, 1, 1},
    [LETTER_LOAD] = {BODY(load), BY_SUPERVISOR, 1, 2},
    [LETTER_LISTEN] = {BODY(listen), BY_SUPERVISOR, 1, 1},
    [LETTER_UNLISTEN] = {BODY(unlisten), BY_SUPERVISOR, 0, 0},
    [LETTER_DRAIN] = {BODY(drain), BY_SUPERVISOR, 0, 0},
    [LETTER_ASK] = {0, BY_SUPERVISOR, 0, 0},
    [LETTER_HISTORY] = {BODY(history), BY_SUPERVISOR, 0, 0},
    [LETTER_ORIGIN] = {BODY(origin), BY_SUPERVISOR, 0, 0},
    [LETTER_QUERY] = {0, BY_SUPERVISOR, 1, 1},
    [LETTER_LOCKED] = {BODY(locks), BY_WORKER, 0, 0},
    [LETTER_READY] = {BODY(generation), BY_WORKER, 0, 0},
    [LETTER_REFUSED] = {BODY(generation), BY_WORKER, 0, 0},
    [LETTER_LOG_WANTED] = {BODY(wanted_slot), BY_WORKER, 0, 0},
    [LETTER_COUNTERS] = {BODY(counters), BY_WORKER, 0, 0},
    [LETTER_CERT] = {BODY(cert), BY_WORKER, 0, 0},
    [LETTER_ANSWERED] = {0, BY_WORKER, 0, 0},
};

size_t letter_size(enum letter_kind kind)
{
    return offsetof(struct letter, u) + rules[kind].body;
}

void letter_init(struct letter *letter, enum letter_kind kind)
{
    memset(letter, 0, sizeof *letter);
    letter->kind = kind;
}

/* ---- parsing ---- */

/* A text that ends inside its field, without control bytes. */
static bool text_fits(const char *field, size_t size)
{
    size_t len = strnlen(field, size);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)field[i] < 0x20 || field[i] == 0x7f)
            return false;
    return len < size;
}

static bool path_fits(const char *field, size_t size)
{
    return text_fits(field, size) && field[0] == '/';
}

bool letter_addr_fits(const struct letter_addr *a)
{
    static const uint8_t zero[16];
    if ((a->family != ADDR_IP4 && a->family != ADDR_IP6) || a->any_family > 1 || a->tls > 1 ||
        a->metrics > 1)
        return false;
    if (a->family == ADDR_IP4 && memcmp(a->ip + 4, zero, 12) != 0)
        return false;
    if (a->any_family && memcmp(a->ip, zero, 16) != 0)
        return false;
    return a->port != 0 && !(a->metrics && a->tls) && a->zero2 == 0;
}

static bool settings_fit(const struct letter_settings *s)
{
    /* A day of draining is a mistake, not a wish. */
    return s->workers <= THREADS_MAX && s->sandbox <= 1 &&
           s->needs <= (SANDBOX_NEED_UNIX | SANDBOX_NEED_JIT) && s->drain_ms <= 24 * 3600 * 1000 &&
           text_fits(s->user, sizeof s->user) && path_fits(s->state_dir, sizeof s->state_dir) &&
           path_fits(s->control_path, sizeof s->control_path);
}

static bool log_file_fits(const struct letter_log_file *f)
{
    return f->id != 0 && f->index < LOG_FILES_MAX && f->keep <= 1000 &&
           text_fits(f->path, sizeof f->path) &&
           (f->path[0] == '/' || strcmp(f->path, "stderr") == 0 || strcmp(f->path, "syslog") == 0);
}

static bool locks_fit(const struct letter_locks *l)
{
    return l->wanted <= 1 && l->seccomp <= 1 && l->zero == 0 &&
           text_fits(l->missing, sizeof l->missing);
}

static bool body_fits(const struct letter *m, unsigned fd_count)
{
    switch ((enum letter_kind)m->kind) {
    case LETTER_TEXT:
        return m->u.text.level <= DIAG_NOTICE && m->u.text.len <= LETTER_TEXT_MAX;
    case LETTER_SETTINGS:
        return settings_fit(&m->u.settings);
    case LETTER_ADDRESS:
        return letter_addr_fits(&m->u.address);
    case LETTER_LOG_FILE:
        return log_file_fits(&m->u.log_file);
    case LETTER_ROOT:
        return path_fits(m->u.root.path, sizeof m->u.root.path);
    case LETTER_WATCH:
        return path_fits(m->u.watch, sizeof m->u.watch);
    case LETTER_LOADED:
        return m->u.loaded.ok <= 1 && (m->u.loaded.ok == 1) == (fd_count > 0);
    case LETTER_START:
        return m->u.threads >= 1 && m->u.threads <= THREADS_MAX;
    case LETTER_LOG:
        return m->u.log.slot < LOG_FILES_MAX && m->u.log.id != 0 && m->u.log.syslog <= 1 &&
               text_fits(m->u.log.path, sizeof m->u.log.path);
    case LETTER_LOG_WANTED:
        return m->u.wanted_slot < LOG_FILES_MAX;
    case LETTER_LOAD:
        return text_fits(m->u.load.path, sizeof m->u.load.path);
    case LETTER_LISTEN:
        return letter_addr_fits(&m->u.listen.addr) && m->u.listen.thread < THREADS_MAX;
    case LETTER_UNLISTEN:
        return letter_addr_fits(&m->u.unlisten);
    case LETTER_CERT:
        return text_fits(m->u.cert.names, sizeof m->u.cert.names);
    case LETTER_ORIGIN:
        return m->u.origin.drained <= 1 && m->u.origin.text[0] != '\0' &&
               text_fits(m->u.origin.text, sizeof m->u.origin.text);
    case LETTER_LOCKED:
        return locks_fit(&m->u.locks);
    case LETTER_NONE:
    case LETTER_KINDS:
        return false;
    default: /* plain numbers, whose every value means something */
        return true;
    }
}

bool letter_parse(const void *bytes, size_t len, unsigned fd_count, enum channel_side from,
                  struct letter *letter)
{
    size_t head = offsetof(struct letter, u);
    if (len < head || len > sizeof *letter)
        return false;
    memset(letter, 0, sizeof *letter);
    memcpy(letter, bytes, len);
    if (letter->kind >= LETTER_KINDS || letter->zero != 0)
        return false;
    const struct rule *rule = &rules[letter->kind];
    if ((rule->from & (1U << from)) == 0 || len != head + rule->body)
        return false;
    if (fd_count < rule->fds_least || fd_count > rule->fds_most)
        return false;
    return body_fits(letter, fd_count);
}

/* ---- fields ---- */

struct letter_addr letter_addr_from(const struct addr *addr, bool any_family, bool tls)
{
    struct letter_addr out = {.family = addr->family,
                              .any_family = any_family,
                              .tls = tls,
                              .port = addr->port,
                              .scope = addr->scope};
    memcpy(out.ip, addr->ip, addr->family == ADDR_IP4 ? 4 : 16);
    return out;
}

struct addr letter_addr_to(const struct letter_addr *addr)
{
    struct addr out = {.family = addr->family, .port = addr->port, .scope = addr->scope};
    memcpy(out.ip, addr->ip, sizeof out.ip);
    return out;
}

bool letter_addr_eq(const struct letter_addr *a, const struct letter_addr *b)
{
    return a->family == b->family && a->any_family == b->any_family && a->port == b->port &&
           a->metrics == b->metrics && a->scope == b->scope &&
           memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool letter_set_text(char *field, size_t size, struct str s)
{
    if (s.len >= size || str_find_byte(s, '\0') != SIZE_MAX)
        return false;
    memset(field, 0, size);
    if (s.len > 0)
        memcpy(field, s.at, s.len);
    return true;
}

/* ---- the wire ---- */

bool channel_open(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0;
}

union fd_space {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * LETTER_FDS_MAX)];
};

static void attach_fds(struct msghdr *header, union fd_space *space, const int *fds, unsigned count)
{
    memset(space, 0, sizeof *space);
    header->msg_control = space->bytes;
    header->msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *c = CMSG_FIRSTHDR(header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * count);
    /* cppcheck-suppress ctunullpointer ; nobody comes here with a count of 0 */
    memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
}

static bool wait_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int got;
    do
        got = poll(&p, 1, CHANNEL_SEND_MS);
    while (got < 0 && errno == EINTR);
    return got > 0;
}

bool channel_send(int fd, const struct letter *letter, const int *fds, unsigned fd_count)
{
    union fd_space space;
    /* @UNSAFE: an iovec has no const, sendmsg() only reads */
    struct iovec iov = {.iov_base = (void *)(uintptr_t)letter,
                        .iov_len = letter_size((enum letter_kind)letter->kind)};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd_count > 0)
        attach_fds(&header, &space, fds, fd_count);
    for (;;) {
        if (sendmsg(fd, &header, MSG_NOSIGNAL) >= 0)
            return true;
        /* ETOOMANYREFS: too many descriptors are under way; the other side is taking them out */
        if (errno != EAGAIN && errno != EINTR)
            return false;
        if (errno == EAGAIN && !wait_writable(fd))
            return false;
    }
}

bool channel_send_text(int fd, unsigned level, struct str text)
{
    while (!str_empty(text)) {
        struct letter m;
        letter_init(&m, LETTER_TEXT);
        size_t len = text.len < LETTER_TEXT_MAX ? text.len : LETTER_TEXT_MAX;
        if (len < text.len)
            for (size_t i = len; i > 0; i--)
                if (text.at[i - 1] == '\n') {
                    len = i;
                    break;
                }
        m.u.text.level = level;
        m.u.text.len = (uint32_t)len;
        memcpy(m.u.text.bytes, text.at, len);
        if (!channel_send(fd, &m, NULL, 0))
            return false;
        text = str_skip(text, len);
    }
    return true;
}

/* Moves the descriptors of a received letter to `fds`; what is too many is closed. */
static unsigned detach_fds(struct msghdr *header, int fds[LETTER_FDS_MAX])
{
    unsigned count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t bytes = c->cmsg_len - CMSG_LEN(0);
        for (size_t i = 0; i + sizeof(int) <= bytes; i += sizeof(int)) {
            int got;
            memcpy(&got, CMSG_DATA(c) + i, sizeof got);
            if (count < LETTER_FDS_MAX)
                fds[count++] = got;
            else
                close(got);
        }
    }
    return count;
}

enum channel_result channel_receive(int fd, enum channel_side from, struct letter *letter,
                                    int fds[LETTER_FDS_MAX])
{
    union fd_space space;
    struct letter raw;
    struct iovec iov = {.iov_base = &raw, .iov_len = sizeof raw};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = space.bytes,
                            .msg_controllen = sizeof space.bytes};
    fds[0] = fds[1] = -1;
    ssize_t len;
    do
        len = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (len < 0 && errno == EINTR);
    if (len < 0)
        return errno == EAGAIN ? CHANNEL_EMPTY : CHANNEL_GONE;
    if (len == 0)
        return CHANNEL_GONE;
    unsigned count = detach_fds(&header, fds);
    bool whole = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
    if (whole && letter_parse(&raw, (size_t)len, count, from, letter))
        return CHANNEL_LETTER;
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    fds[0] = fds[1] = -1;
    return CHANNEL_BAD;
}
