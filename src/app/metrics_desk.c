#include "app/metrics_desk.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/pages.h"
#include "http/h1_head.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Prometheus sends six fields. */
static const struct head_limits head_limits = {
    .line_bytes_max = 1024, .fields_max = 32, .size_bytes_max = 4096};

/* Head and answer's head; the body has pages of its own. */
#define CLIENT_ARENA_BYTES ((size_t)64 * 1024)

enum stage { ASKING, ANSWERING, LINGERING };

struct metrics_client {
    int fd;
    enum stage stage;
    bool admitted; /* may read; others get a 403 */
    char head[4096];
    size_t head_len;
    struct h1_scan scan;
    struct arena *arena;
    char *body;          /* METRICS_BYTES_MAX in pages, or NULL */
    struct str parts[2]; /* what is still to be sent: head and body */
    uint64_t deadline_ms;
};

void metrics_desk_init(struct metrics_desk *desk, const struct metrics_desk_conf *conf)
{
    memset(desk, 0, sizeof *desk);
    desk->conf = *conf;
    desk->reserve = -1;
    for (unsigned i = 0; i < METRICS_SOCKETS_MAX; i++)
        desk->sockets[i].fd = -1;
}

static void client_end(struct metrics_client *client)
{
    if (client == NULL)
        return;
    arena_end(client->arena);
    pages_give(client->body, METRICS_BYTES_MAX);
    close(client->fd);
    free(client);
}

void metrics_desk_fini(struct metrics_desk *desk)
{
    for (unsigned i = 0; i < METRICS_CLIENTS_MAX; i++) {
        client_end(desk->clients[i]);
        desk->clients[i] = NULL;
    }
    for (unsigned i = 0; i < METRICS_SOCKETS_MAX; i++)
        if (desk->sockets[i].fd >= 0)
            close(desk->sockets[i].fd);
    if (desk->reserve >= 0)
        close(desk->reserve);
    metrics_desk_init(desk, &desk->conf);
}

/* ---- sockets ---- */

static struct metrics_socket *find_socket(struct metrics_desk *desk, const struct addr *addr)
{
    for (unsigned i = 0; i < METRICS_SOCKETS_MAX; i++)
        if (desk->sockets[i].fd >= 0 && addr_eq(&desk->sockets[i].addr, addr))
            return &desk->sockets[i];
    return NULL;
}

static void keep_reserve(struct metrics_desk *desk)
{
    for (unsigned i = 0; desk->reserve < 0 && i < METRICS_SOCKETS_MAX; i++)
        if (desk->sockets[i].fd >= 0)
            desk->reserve = fcntl(desk->sockets[i].fd, F_DUPFD_CLOEXEC, 0);
}

void metrics_desk_listen(struct metrics_desk *desk, const struct addr *addr, int fd)
{
    unsigned i = 0;
    while (i < METRICS_SOCKETS_MAX && desk->sockets[i].fd >= 0)
        i++;
    if (i == METRICS_SOCKETS_MAX || find_socket(desk, addr) != NULL) {
        close(fd); /* the same socket once more, where the system opened it for us */
        return;
    }
    desk->sockets[i] = (struct metrics_socket){.fd = fd, .addr = *addr};
    keep_reserve(desk);
}

static bool has_place(const struct metrics_desk *desk)
{
    for (unsigned i = 0; i < METRICS_CLIENTS_MAX; i++)
        if (desk->clients[i] == NULL)
            return true;
    return false;
}

/* Those who may not read get a 403, but only so many places to wait for it in. */
enum { STRANGERS_MAX = METRICS_CLIENTS_MAX / 4 };

static unsigned strangers(const struct metrics_desk *desk)
{
    unsigned count = 0;
    for (unsigned i = 0; i < METRICS_CLIENTS_MAX; i++)
        count += desk->clients[i] != NULL && !desk->clients[i]->admitted;
    return count;
}

static void take_client(struct metrics_desk *desk, int fd, const struct addr *peer, uint64_t now_ms)
{
    bool admitted = desk->conf.admits(desk->conf.user, peer);
    if (!admitted && strangers(desk) == STRANGERS_MAX) {
        close(fd);
        return;
    }
    unsigned i = 0;
    while (i < METRICS_CLIENTS_MAX && desk->clients[i] != NULL)
        i++;
    struct metrics_client *client = calloc(1, sizeof *client);
    struct arena *arena = client ? arena_new(CLIENT_ARENA_BYTES, 4096) : NULL;
    if (arena == NULL) {
        free(client);
        close(fd);
        return;
    }
    client->fd = fd;
    client->arena = arena;
    client->admitted = admitted;
    client->deadline_ms = now_ms + METRICS_HEAD_MS;
    desk->clients[i] = client;
}

static bool accept_one(struct metrics_desk *desk, const struct metrics_socket *socket,
                       uint64_t now_ms)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    struct addr peer;
    int fd = accept4(socket->fd, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE) && desk->reserve >= 0) {
        close(desk->reserve);
        desk->reserve = -1;
        len = sizeof sa;
        fd = accept4(socket->fd, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    if (fd < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            desk->rests_until_ms = now_ms + METRICS_REST_MS;
        return false;
    }
    if (addr_from_sockaddr(&peer, (struct sockaddr *)&sa, len))
        take_client(desk, fd, &peer, now_ms);
    else
        close(fd);
    return true;
}

void metrics_desk_unlisten(struct metrics_desk *desk, const struct addr *addr)
{
    struct metrics_socket *socket = find_socket(desk, addr);
    if (socket == NULL)
        return;
    uint64_t now_ms = clock_mono_ms();
    while (has_place(desk) && accept_one(desk, socket, now_ms))
        ; /* closing resets those that wait */
    close(socket->fd);
    socket->fd = -1;
    if (desk->reserve >= 0) /* it is a copy of one of them, and would keep it open */
        close(desk->reserve);
    desk->reserve = -1;
    keep_reserve(desk);
}

static void accept_all(struct metrics_desk *desk, uint64_t now_ms)
{
    for (unsigned i = 0; i < METRICS_SOCKETS_MAX; i++)
        while (desk->sockets[i].fd >= 0 && now_ms >= desk->rests_until_ms && has_place(desk) &&
               accept_one(desk, &desk->sockets[i], now_ms))
            ;
}

/* ---- the answer ---- */

static void begin_answer(struct metrics_client *client, unsigned status, const char *reason,
                         const char *more, struct str body, bool head_only)
{
    client->parts[0] = str_printf(client->arena,
                                  "HTTP/1.1 %u %s\r\n"
                                  "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                                  "Content-Length: %zu\r\n"
                                  "Cache-Control: no-store\r\n%s"
                                  "Connection: close\r\n\r\n",
                                  status, reason, body.len, more);
    /* Without memory there is no head, and a body alone is no answer: then it is closed at once. */
    client->parts[1] = head_only || str_empty(client->parts[0]) ? STR("") : body;
    client->stage = ANSWERING;
}

static void answer_request(struct metrics_desk *desk, struct metrics_client *client,
                           const struct message *m)
{
    bool head_only = m->method == METHOD_HEAD;
    struct str path = str_sub(m->target, 0, str_find_byte(m->target, '?'));
    if (!client->admitted) {
        begin_answer(client, 403, "Forbidden", "", STR("no allow line names this address\n"),
                     head_only);
        return;
    }
    if (!head_only && m->method != METHOD_GET) {
        begin_answer(client, 405, "Method Not Allowed", "Allow: GET, HEAD\r\n",
                     STR("GET and HEAD alone\n"), false);
        return;
    }
    if (!str_eq(path, STR("/metrics"))) {
        begin_answer(client, 404, "Not Found", "", STR("only /metrics is here\n"), head_only);
        return;
    }
    client->body = pages_take(METRICS_BYTES_MAX);
    struct text out = text_over(client->body, client->body == NULL ? 0 : METRICS_BYTES_MAX);
    desk->conf.write(desk->conf.user, &out);
    if (text_ok(&out))
        begin_answer(client, 200, "OK", "", text_str(&out), head_only);
    else
        begin_answer(client, 500, "Internal Server Error", "",
                     STR("the metrics do not fit into memory\n"), head_only);
}

static void refuse(struct metrics_client *client, const struct parse_error *error)
{
    begin_answer(client, error->status, "Bad Request", "",
                 str_printf(client->arena, "%s\n", error->why), false);
}

static void read_head(struct metrics_desk *desk, struct metrics_client *client)
{
    struct parse_error error;
    struct message message;
    size_t bytes;
    struct str so_far = str_from(client->head, client->head_len);
    enum parse found = h1_scan_head(&client->scan, so_far, &head_limits, &bytes, &error);
    if (found == PARSE_MORE && client->head_len == sizeof client->head)
        found = parse_bad(&error, 431, "the head is too long");
    if (found == PARSE_MORE)
        return;
    if (found == PARSE_DONE) {
        message_init(&message, client->arena);
        found = h1_parse_request(str_sub(so_far, 0, bytes), &head_limits, &message, &error);
    }
    if (found == PARSE_DONE)
        answer_request(desk, client, &message);
    else
        refuse(client, &error);
}

/* ---- one client's turn: each answers false when the client is done with ---- */

static bool ask(struct metrics_desk *desk, struct metrics_client *client, uint64_t now_ms)
{
    ssize_t got = recv(client->fd, client->head + client->head_len,
                       sizeof client->head - client->head_len, 0);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (got == 0)
        return false;
    client->head_len += (size_t)got;
    read_head(desk, client);
    if (client->stage == ANSWERING)
        client->deadline_ms = now_ms + METRICS_SEND_MS;
    return true;
}

static bool send_some(struct metrics_client *client, uint64_t now_ms)
{
    while (client->parts[0].len + client->parts[1].len > 0) {
        struct str *part = &client->parts[client->parts[0].len == 0];
        int more = part == &client->parts[0] && client->parts[1].len > 0 ? MSG_MORE : 0;
        ssize_t sent = send(client->fd, part->at, part->len, MSG_NOSIGNAL | more);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        *part = str_skip(*part, (size_t)sent);
        client->deadline_ms = now_ms + METRICS_SEND_MS;
    }
    client->stage = LINGERING;
    client->deadline_ms = now_ms + METRICS_LINGER_MS;
    return shutdown(client->fd, SHUT_WR) == 0;
}

/* Closing with bytes unread would reset what the client has not read yet. */
static bool linger(struct metrics_client *client)
{
    ssize_t got = recv(client->fd, client->head, sizeof client->head, 0);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool client_turn(struct metrics_desk *desk, struct metrics_client *client, uint64_t now_ms)
{
    bool open = true;
    if (client->stage == ASKING)
        open = ask(desk, client, now_ms);
    else if (client->stage == LINGERING)
        open = linger(client);
    if (open && client->stage == ANSWERING)
        open = send_some(client, now_ms);
    return open && now_ms < client->deadline_ms;
}

void metrics_desk_turn(struct metrics_desk *desk, uint64_t now_ms)
{
    accept_all(desk, now_ms);
    for (unsigned i = 0; i < METRICS_CLIENTS_MAX; i++) {
        if (desk->clients[i] == NULL || client_turn(desk, desk->clients[i], now_ms))
            continue;
        client_end(desk->clients[i]);
        desk->clients[i] = NULL;
    }
    keep_reserve(desk);
}

/* ---- waiting ---- */

unsigned metrics_desk_poll(const struct metrics_desk *desk, struct pollfd *fds, uint64_t now_ms)
{
    unsigned count = 0;
    bool accepts = has_place(desk) && now_ms >= desk->rests_until_ms;
    for (unsigned i = 0; accepts && i < METRICS_SOCKETS_MAX; i++)
        if (desk->sockets[i].fd >= 0)
            fds[count++] = (struct pollfd){.fd = desk->sockets[i].fd, .events = POLLIN};
    for (unsigned i = 0; i < METRICS_CLIENTS_MAX; i++) {
        const struct metrics_client *client = desk->clients[i];
        if (client != NULL)
            fds[count++] = (struct pollfd){.fd = client->fd,
                                           .events = client->stage == ANSWERING ? POLLOUT : POLLIN};
    }
    return count;
}

int metrics_desk_timeout(const struct metrics_desk *desk, uint64_t now_ms)
{
    uint64_t until = now_ms < desk->rests_until_ms ? desk->rests_until_ms : UINT64_MAX;
    for (unsigned i = 0; i < METRICS_CLIENTS_MAX; i++)
        if (desk->clients[i] != NULL && desk->clients[i]->deadline_ms < until)
            until = desk->clients[i]->deadline_ms;
    if (until == UINT64_MAX)
        return -1;
    return until > now_ms ? (int)(until - now_ms) : 0;
}
