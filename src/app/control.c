#include "app/control.h"

#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Groups of a peer that are looked at; a user in more is in none of the later ones for us. */
#define PEER_GROUPS_MAX 256

static const struct {
    struct str word;
    enum control_command command;
    bool argument; /* it has one, else none */
} words[] = {
    {STR_INIT("status"), CONTROL_STATUS, false}, {STR_INIT("reload"), CONTROL_RELOAD, false},
    {STR_INIT("stop"), CONTROL_STOP, false},     {STR_INIT("upgrade"), CONTROL_UPGRADE, false},
    {STR_INIT("drain"), CONTROL_DRAIN, true},    {STR_INIT("undrain"), CONTROL_UNDRAIN, true},
    {STR_INIT("ask"), CONTROL_ASK, false},
};

void control_init(struct control *control,
                  void (*on_command)(void *user, struct control_client *client), void *user)
{
    memset(control, 0, sizeof *control);
    control->fd = -1;
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        control->clients[i].fd = -1;
    control->starter = geteuid();
    control->worker = geteuid();
    control->group = (gid_t)-1;
    control->on_command = on_command;
    control->user = user;
}

/* ---- the socket ---- */

static socklen_t address_of(const char *path, struct sockaddr_un *sa)
{
    memset(sa, 0, sizeof *sa);
    sa->sun_family = AF_UNIX;
    size_t len = strlen(path);
    if (len >= sizeof sa->sun_path)
        return 0;
    memcpy(sa->sun_path, path, len);
    return (socklen_t)sizeof *sa;
}

/* Does somebody answer there? Then `*pid` is who. */
static bool is_alive(const struct sockaddr_un *sa, socklen_t len, pid_t *pid)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool alive = connect(fd, (const struct sockaddr *)sa, len) == 0;
    struct ucred peer = {0};
    socklen_t peer_len = sizeof peer;
    if (alive && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) == 0)
        *pid = peer.pid;
    close(fd);
    return alive;
}

static bool bind_there(int fd, const struct sockaddr_un *sa, socklen_t len, gid_t group)
{
    /* Nobody may connect before group and mode are right. */
    mode_t before = umask(0177);
    bool ok = bind(fd, (const struct sockaddr *)sa, len) == 0;
    umask(before);
    if (!ok)
        return false;
    if (group != (gid_t)-1)
        ok = chown(sa->sun_path, (uid_t)-1, group) == 0 && chmod(sa->sun_path, 0660) == 0;
    return ok && listen(fd, CONTROL_CLIENTS_MAX) == 0;
}

/* A socket that nobody listens on any more is left from a crash; anything else is not ours. */
static bool remove_stale(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT;
    return S_ISSOCK(st.st_mode) && unlink(path) == 0;
}

bool control_open(struct control *control, const char *path, gid_t group, char *why,
                  size_t why_bytes)
{
    struct sockaddr_un sa;
    socklen_t len = address_of(path, &sa);
    pid_t pid = 0;
    if (len != 0 && is_alive(&sa, len, &pid)) {
        snprintf(why, why_bytes, "the control socket %s is held by another instance (pid %d)", path,
                 (int)pid);
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (len == 0 || fd < 0 || !remove_stale(path) || !bind_there(fd, &sa, len, group)) {
        snprintf(why, why_bytes, "the control socket %s cannot be made: %s", path,
                 len == 0 ? "its path is too long" : strerror(errno == 0 ? EEXIST : errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    control_close(control);
    control->fd = fd;
    control->group = group;
    memcpy(control->path, sa.sun_path, sizeof control->path);
    return true;
}

void control_adopt(struct control *control, int fd, const char *path, gid_t group)
{
    control_leave(control);
    control->fd = fd;
    control->group = group;
    control->quiet = true;
    snprintf(control->path, sizeof control->path, "%s", path);
}

void control_leave(struct control *control)
{
    if (control->fd >= 0)
        close(control->fd);
    control->fd = -1;
}

void control_close(struct control *control)
{
    if (control->fd < 0)
        return;
    close(control->fd);
    unlink(control->path);
    control->fd = -1;
}

static void client_close(struct control_client *client)
{
    close(client->fd);
    free(client->answer);
    memset(client, 0, sizeof *client);
    client->fd = -1;
}

void control_fini(struct control *control)
{
    control_close(control);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].fd >= 0)
            client_close(&control->clients[i]);
}

/* ---- who may ---- */

bool control_allows(const struct control *control, const struct control_peer *peer)
{
    if (peer->uid == 0 || peer->uid == control->starter)
        return true;
    if (peer->uid == control->worker || control->group == (gid_t)-1)
        return false;
    for (size_t i = 0; i < peer->group_count; i++)
        if (peer->groups[i] == control->group)
            return true;
    return false;
}

static bool peer_allowed(const struct control *control, int fd)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    gid_t groups[PEER_GROUPS_MAX + 1];
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
        return false;
    groups[0] = cred.gid;
    len = PEER_GROUPS_MAX * sizeof groups[0];
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &len) != 0)
        len = 0;
    struct control_peer peer = {cred.uid, groups, 1 + len / sizeof groups[0]};
    bool ours = control->is_worker != NULL && control->is_worker(control->user, cred.pid);
    if (!ours && control_allows(control, &peer))
        return true;
    log_warning("user %u (pid %d) was refused at the control socket", (unsigned)cred.uid,
                (int)cred.pid);
    return false;
}

/* ---- clients ---- */

static struct control_client *free_client(struct control *control)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].fd < 0)
            return &control->clients[i];
    return NULL;
}

static void accept_clients(struct control *control, uint64_t now_ms)
{
    struct control_client *client;
    while (control->fd >= 0 && !control->quiet && (client = free_client(control)) != NULL) {
        int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        client->fd = fd;
        client->deadline_ms = now_ms + CONTROL_MS;
        if (!peer_allowed(control, fd))
            control_answer(client, false,
                           STR("only root, whoever started portcullis, and the control group may "
                               "do that\n"),
                           now_ms);
    }
}

static void take_line(struct control *control, struct control_client *client, uint64_t now_ms)
{
    struct str argument = str_trim(str_from(client->line, client->line_len)), line;
    if (!str_split(&argument, ' ', &line))
        line = argument;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (str_eq(line, words[i].word) && words[i].argument == (argument.len != 0)) {
            client->command = words[i].command;
            client->argument = argument;
            client->waiting = true;
            control->on_command(control->user, client);
            return;
        }
    control_answer(client, false, STR("unknown command\n"), now_ms);
}

static void read_client(struct control *control, struct control_client *client, uint64_t now_ms)
{
    char bytes[CONTROL_LINE_MAX];
    /* No byte behind the line is taken: it may be a question to the worker. */
    ssize_t got = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_PEEK);
    const char *end = got > 0 ? memchr(bytes, '\n', (size_t)got) : NULL;
    if (got > 0)
        got = recv(client->fd, bytes, end != NULL ? (size_t)(end + 1 - bytes) : (size_t)got,
                   MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        client_close(client);
        return;
    }
    for (ssize_t i = 0; i < got; i++) {
        if (bytes[i] == '\n') {
            take_line(control, client, now_ms);
            return;
        }
        if (client->line_len == sizeof client->line) {
            control_answer(client, false, STR("the command is too long\n"), now_ms);
            return;
        }
        client->line[client->line_len++] = bytes[i];
    }
}

static void write_client(struct control_client *client)
{
    ssize_t sent = send(client->fd, client->answer + client->answer_at,
                        client->answer_len - client->answer_at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (sent > 0)
        client->answer_at += (size_t)sent;
    if (sent <= 0 || client->answer_at == client->answer_len)
        client_close(client);
}

void control_pass(struct control_client *client)
{
    client_close(client);
}

void control_answer(struct control_client *client, bool ok, struct str text, uint64_t now_ms)
{
    struct str first = ok ? STR("ok\n") : STR("failed\n");
    client->waiting = false;
    client->deadline_ms = now_ms + CONTROL_MS;
    client->answer = malloc(first.len + text.len);
    if (client->answer == NULL) {
        client_close(client);
        return;
    }
    struct text out = text_over(client->answer, first.len + text.len);
    text_add(&out, first);
    text_add(&out, text);
    client->answer_len = out.len;
    write_client(client);
}

void control_answer_all(struct control *control, enum control_command command, bool ok,
                        struct str text, uint64_t now_ms)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        if (client->fd >= 0 && client->waiting && client->command == command)
            control_answer(client, ok, text, now_ms);
    }
}

unsigned control_poll(const struct control *control, struct pollfd *fds)
{
    unsigned count = 0;
    bool room = false;
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        const struct control_client *client = &control->clients[i];
        if (client->fd < 0)
            room = true;
        else if (client->answer != NULL)
            fds[count++] = (struct pollfd){.fd = client->fd, .events = POLLOUT};
        else if (!client->waiting)
            fds[count++] = (struct pollfd){.fd = client->fd, .events = POLLIN};
    }
    if (control->fd >= 0 && room && !control->quiet)
        fds[count++] = (struct pollfd){.fd = control->fd, .events = POLLIN};
    return count;
}

void control_turn(struct control *control, uint64_t now_ms)
{
    accept_clients(control, now_ms);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        if (client->fd < 0 || client->waiting)
            continue;
        if (client->answer != NULL)
            write_client(client);
        else
            read_client(control, client, now_ms);
        if (client->fd >= 0 && !client->waiting && now_ms >= client->deadline_ms)
            client_close(client);
    }
}
