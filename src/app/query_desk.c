#include "app/query_desk.h"

#include "base/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A question and what its answer is made of beside its text. */
#define QUERY_ARENA_BYTES ((size_t)64 * 1024 * 1024)

/* In front of the answer: the longest first line. */
enum { FIRST_LINE_MAX = 32 };

enum stage { ASKING, ANSWERING };

struct query_client {
    int fd;
    enum stage stage;
    char *question; /* QUERY_BYTES_MAX */
    size_t question_len;
    char *answer; /* QUERY_ANSWER_MAX; pages that are not used cost nothing */
    size_t sent;
    uint64_t deadline_ms;
    uint64_t stalled_ms; /* since when a follower has taken nothing of what waits */
    struct query query;
};

void query_desk_init(struct query_desk *desk, bool (*answer)(struct query *query, void *user),
                     void *user)
{
    memset(desk, 0, sizeof *desk);
    desk->answer = answer;
    desk->user = user;
}

static void client_end(struct query_client *client)
{
    if (client == NULL)
        return;
    arena_end(client->query.arena);
    close(client->fd);
    free(client->question);
    free(client->answer);
    free(client);
}

void query_desk_fini(struct query_desk *desk)
{
    for (unsigned i = 0; i < QUERY_CLIENTS_MAX; i++) {
        client_end(desk->clients[i]);
        desk->clients[i] = NULL;
    }
}

static struct query_client *client_new(int fd, uint64_t now_ms)
{
    struct query_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;
    client->fd = fd;
    client->question = malloc(QUERY_BYTES_MAX);
    client->answer = malloc(QUERY_ANSWER_MAX);
    client->query.arena = arena_new(QUERY_ARENA_BYTES, 4096);
    client->deadline_ms = now_ms + QUERY_MS;
    client->stalled_ms = now_ms;
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t len = sizeof peer;
    client->query.by_root =
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == 0;
    if (client->question != NULL && client->answer != NULL && client->query.arena != NULL)
        return client;
    client->fd = -1;
    client_end(client);
    return NULL;
}

/* What was sent and never read would turn our last words into a reset (unix(7)). */
static void forget_input(int fd)
{
    char bytes[4096];
    for (int i = 0; i < 2 * QUERY_BYTES_MAX / (int)sizeof bytes; i++)
        if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0)
            return;
}

static void turn_away(int fd, struct str why)
{
    forget_input(fd);
    /* It is not worth waiting for whoever does not take a line. */
    if (send(fd, why.at, why.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        errno = 0;
    close(fd);
}

void query_desk_take(struct query_desk *desk, int fd, uint64_t now_ms)
{
    unsigned i = 0;
    while (i < QUERY_CLIENTS_MAX && desk->clients[i] != NULL)
        i++;
    if (i == QUERY_CLIENTS_MAX) {
        turn_away(fd, STR("failed\ntoo many questions are open\n"));
        return;
    }
    desk->clients[i] = client_new(fd, now_ms);
    if (desk->clients[i] == NULL)
        turn_away(fd, STR("failed\nout of memory\n"));
}

/* ---- the question ---- */

static bool split_words(struct query_client *client)
{
    struct query *query = &client->query;
    struct str rest = str_from(client->question, client->question_len), word;
    if (rest.len == 0 || rest.at[rest.len - 1] != '\0')
        return false;
    while (rest.len > 0 && query->word_count < QUERY_WORDS_MAX && str_split(&rest, '\0', &word))
        query->words[query->word_count++] = word;
    return rest.len == 0;
}

struct str query_option(const struct query *query, const char *name)
{
    for (unsigned i = 1; i + 1 < query->word_count; i += 2)
        if (str_eq(query->words[i], str_from_z(name)))
            return query->words[i + 1];
    return STR("");
}

/* The first line stands before what the answer wrote: it is known only afterwards. */
static void begin_answer(struct query_client *client, bool ok)
{
    struct text *out = &client->query.out;
    struct str first = ok ? STR("ok\n") : STR("failed\n");
    if (out->cut) {
        out->len = FIRST_LINE_MAX;
        out->cut = false;
        client->query.more = NULL;
        first = STR("failed\nit is too long\n");
    }
    /* @UNSAFE: the text was made with room for its first line in front */
    client->sent = FIRST_LINE_MAX - first.len;
    memcpy(client->answer + client->sent, first.at, first.len);
    client->stage = ANSWERING;
}

static void answer(struct query_desk *desk, struct query_client *client, bool whole)
{
    struct text *out = &client->query.out;
    *out = text_over(client->answer, QUERY_ANSWER_MAX);
    out->len = FIRST_LINE_MAX;
    bool ok = false;
    if (!whole || !split_words(client))
        text_add_z(out, "the question is too long, or none\n");
    else
        ok = desk->answer(&client->query, desk->user);
    begin_answer(client, ok);
}

/* False when the client is gone. */
static bool read_question(struct query_desk *desk, struct query_client *client, uint64_t now_ms)
{
    size_t room = QUERY_BYTES_MAX - client->question_len;
    ssize_t got = recv(client->fd, client->question + client->question_len, room, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    client->question_len += (size_t)got;
    client->deadline_ms = now_ms + QUERY_MS;
    if (got == 0 || client->question_len == QUERY_BYTES_MAX) {
        forget_input(client->fd);
        answer(desk, client, got == 0);
    }
    return true;
}

/* ---- the answer ---- */

/* False when all was sent, or the client is gone. */
static bool write_answer(struct query_desk *desk, struct query_client *client, uint64_t now_ms)
{
    struct query *query = &client->query;
    if (query->more != NULL && !query->more(query, desk->user))
        query->more = NULL;
    /* Whoever follows may look away for a while. */
    if (query->more != NULL)
        client->deadline_ms = client->stalled_ms + QUERY_STALL_MS;
    size_t left = query->out.len - client->sent;
    if (left > 0) {
        ssize_t sent =
            send(client->fd, client->answer + client->sent, left, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        client->sent += (size_t)sent;
        left -= (size_t)sent;
        client->deadline_ms = now_ms + QUERY_MS;
        client->stalled_ms = now_ms;
    }
    if (left > 0)
        return true;
    client->stalled_ms = now_ms;
    client->sent = query->out.len = 0;
    client->deadline_ms = now_ms + QUERY_MS;
    return query->more != NULL;
}

/* A client that only listens has shut its side down; that it is gone altogether shows in POLLHUP.
 */
static bool is_gone(const struct query_client *client)
{
    struct pollfd p = {.fd = client->fd, .events = 0};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

unsigned query_desk_poll(const struct query_desk *desk, struct pollfd *fds)
{
    unsigned count = 0;
    for (unsigned i = 0; i < QUERY_CLIENTS_MAX; i++) {
        const struct query_client *client = desk->clients[i];
        if (client == NULL)
            continue;
        bool asks = client->stage == ASKING, owes = client->sent < client->query.out.len;
        short events = asks ? POLLIN : owes ? POLLOUT : 0;
        fds[count++] = (struct pollfd){.fd = client->fd, .events = events};
    }
    return count;
}

int query_desk_timeout(const struct query_desk *desk)
{
    int timeout = -1;
    for (unsigned i = 0; i < QUERY_CLIENTS_MAX; i++) {
        if (desk->clients[i] == NULL)
            continue;
        if (desk->clients[i]->query.more != NULL)
            return QUERY_FOLLOW_MS;
        timeout = QUERY_MS;
    }
    return timeout;
}

void query_desk_turn(struct query_desk *desk, uint64_t now_ms)
{
    for (unsigned i = 0; i < QUERY_CLIENTS_MAX; i++) {
        struct query_client *client = desk->clients[i];
        if (client == NULL)
            continue;
        bool open = now_ms < client->deadline_ms;
        if (open && client->stage == ASKING)
            open = read_question(desk, client, now_ms);
        if (open && client->stage == ANSWERING)
            open = write_answer(desk, client, now_ms) && !is_gone(client);
        if (!open) {
            client_end(client);
            desk->clients[i] = NULL;
        }
    }
}
