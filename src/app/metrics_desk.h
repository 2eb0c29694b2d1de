/*
 * The small HTTP server behind `metrics`: GET and HEAD of /metrics, one request a connection, on
 * the worker's main thread, so that no event loop waits while ten thousand routes are written out.
 * It has bounds of its own: METRICS_CLIENTS_MAX connections, a small head, METRICS_HEAD_MS to send
 * it, METRICS_SEND_MS without progress to take the answer. It keeps one descriptor in reserve, so
 * that it can be asked when the clients' side has used up all others. Nothing here blocks.
 */
#ifndef PC_APP_METRICS_DESK_H
#define PC_APP_METRICS_DESK_H

#include "base/text.h"
#include "net/addr.h"

#include <poll.h>

struct metrics_client;

enum {
    METRICS_SOCKETS_MAX = 4, /* the address of today and, during a reload, that of tomorrow */
    METRICS_CLIENTS_MAX = 8,
    METRICS_FDS_MAX = METRICS_SOCKETS_MAX + METRICS_CLIENTS_MAX,
    METRICS_HEAD_MS = 5000,
    METRICS_SEND_MS = 10000,
    /* After the answer, for the client to close first. */
    METRICS_LINGER_MS = 1000,
    /* Without descriptors accepting rests for this long. */
    METRICS_REST_MS = 100,
};
/* Ten thousand routes in use are about 6 MB. */
#define METRICS_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct metrics_socket {
    int fd; /* -1: free */
    struct addr addr;
};

struct metrics_desk_conf {
    bool (*admits)(void *user, const struct addr *peer);
    /* Writes the samples; what does not fit makes the answer a 500. */
    void (*write)(void *user, struct text *out);
    void *user;
};

struct metrics_desk {
    struct metrics_desk_conf conf;
    struct metrics_socket sockets[METRICS_SOCKETS_MAX];
    struct metrics_client *clients[METRICS_CLIENTS_MAX];
    int reserve; /* a descriptor that is given up for a client when there is no other; or -1 */
    uint64_t rests_until_ms;
};

void metrics_desk_init(struct metrics_desk *desk, const struct metrics_desk_conf *conf);
void metrics_desk_fini(struct metrics_desk *desk);

/* Accepts from a listening socket; the descriptor is given away. */
void metrics_desk_listen(struct metrics_desk *desk, const struct addr *addr, int fd);
void metrics_desk_unlisten(struct metrics_desk *desk, const struct addr *addr);

/* Fills in what to wait for; answers how many (at most METRICS_FDS_MAX). */
unsigned metrics_desk_poll(const struct metrics_desk *desk, struct pollfd *fds, uint64_t now_ms);
/* How long to wait at most, in ms; -1: as long as nothing comes. */
int metrics_desk_timeout(const struct metrics_desk *desk, uint64_t now_ms);
/* Accepts, reads, writes, times out, as far as it goes without waiting. */
void metrics_desk_turn(struct metrics_desk *desk, uint64_t now_ms);

#endif
