#include "proxy/front.h"

#include "base/log.h"
#include "files/open_files.h"
#include "observe/recall.h"
#include "proxy/front_state.h"
#include "proxy/record_log.h"
#include "proxy/room.h"
#include "proxy/serve.h"
#include "tls/tls_accept.h"
#include "upstream/upstream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections taken from one socket's queue in one event: established ones get their turn too. */
enum { ACCEPTS_PER_TURN = 32 };
/* Without descriptors or memory accepting rests for this long; the queue keeps the callers. */
enum { ACCEPT_REST_MS = 100 };
/* Rests that follow one another are told of once. */
enum { REST_TELL_MS = 1000 };

struct front_socket {
    struct link link;
    struct loop_io io;
    struct front_listener *listener;
    struct loop_timer rest_timer;
    bool resting, watched;
};

/* ---- sockets ---- */

static void watch_socket(struct front_socket *socket)
{
    const struct front_listener *l = socket->listener;
    bool want = l->listener != NULL && !l->front->draining && !socket->resting;
    if (want && !socket->watched)
        socket->watched = loop_add(l->front->loop, &socket->io, LOOP_IN);
    else if (!want && socket->watched) {
        loop_remove(l->front->loop, &socket->io);
        socket->watched = false;
    }
}

static void on_rested(struct loop_timer *timer)
{
    struct front_socket *socket = LIST_OF(timer, struct front_socket, rest_timer);
    socket->resting = false;
    watch_socket(socket);
}

static void rest_socket(struct front_socket *socket, int error)
{
    struct front *front = socket->listener->front;
    uint64_t now_ms = loop_now_ms(front->loop);
    if (front->rested_ms == 0 || now_ms - front->rested_ms > REST_TELL_MS)
        log_warning("accepting pauses: %s", strerrordesc_np(error));
    front->rested_ms = now_ms;
    socket->resting = true;
    watch_socket(socket);
    timer_set(front->loop, &socket->rest_timer, ACCEPT_REST_MS);
}

/* Errors of one connection, which is gone already (accept(2)); others concern us. */
static bool is_peers_error(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM ||
           error == ENETDOWN || error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET ||
           error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH;
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* accept4() failed: is it to be called again in this turn? */
static bool goes_on_after(struct front_socket *socket, int error)
{
    if (is_peers_error(error))
        return true;
    if (error == EAGAIN || error == EWOULDBLOCK)
        return false;
    if (is_shortage(error)) {
        room_taken(socket->listener->front, -1);
        if (room_make(socket->listener->front))
            return true;
    }
    rest_socket(socket, error);
    return false;
}

/* False when the queue is empty or accepting must rest. */
static bool accept_one(struct front_socket *socket)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    struct addr peer;
    struct front *front = socket->listener->front;
    if (!room_for_one(front, socket->io.fd)) {
        rest_socket(socket, EMFILE);
        return false;
    }
    int fd = accept4(socket->io.fd, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return goes_on_after(socket, errno);
    room_taken(front, fd);
    if (!addr_from_sockaddr(&peer, (struct sockaddr *)&sa, len)) {
        close(fd);
        return true;
    }
    if (serve_connection(socket->listener, fd, &peer) || room_make(front))
        return true;
    rest_socket(socket, ENOMEM);
    return false;
}

static void on_acceptable(struct loop_io *io, uint32_t events)
{
    struct front_socket *socket = LIST_OF(io, struct front_socket, io);
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(socket); i++)
        ;
}

static void close_socket(struct front_socket *socket)
{
    timer_clear(&socket->rest_timer);
    if (socket->watched)
        loop_remove(socket->listener->front->loop, &socket->io);
    close(socket->io.fd);
    list_remove(&socket->link);
    free(socket);
}

/* ---- listeners ---- */

static struct front_listener *find_listener(struct front *front, const struct addr *addr)
{
    for (struct link *at = front->listeners.next; at != &front->listeners; at = at->next) {
        struct front_listener *l = LIST_OF(at, struct front_listener, link);
        if (addr_eq(&l->addr, addr))
            return l;
    }
    return NULL;
}

/* Which listener of the current snapshot this address is now. */
static void match_listener(struct front_listener *l)
{
    const struct snapshot *snapshot = l->front->snapshot;
    const struct listener *found = NULL;
    for (size_t i = 0; snapshot != NULL && i < snapshot->listener_count; i++)
        if (addr_eq(&snapshot->listeners[i].addr, &l->addr) && snapshot->listeners[i].tls == l->tls)
            found = &snapshot->listeners[i];
    l->listener = found;
    for (struct link *at = l->sockets.next; at != &l->sockets; at = at->next)
        watch_socket(LIST_OF(at, struct front_socket, link));
}

static struct front_listener *new_listener(struct front *front, const struct addr *addr, bool tls)
{
    struct front_listener *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->front = front;
    l->addr = *addr;
    l->tls = tls;
    list_init(&l->sockets);
    list_add(&front->listeners, &l->link);
    return l;
}

bool front_listen(struct front *front, const struct addr *addr, bool tls, int fd)
{
    struct front_listener *l = find_listener(front, addr);
    if (l == NULL)
        l = new_listener(front, addr, tls);
    struct front_socket *socket = l ? calloc(1, sizeof *socket) : NULL;
    if (socket == NULL) {
        close(fd);
        return false;
    }
    l->tls = tls;
    socket->listener = l;
    socket->io = (struct loop_io){.fd = fd, .on_event = on_acceptable};
    socket->rest_timer.on_fire = on_rested;
    list_add(&l->sockets, &socket->link);
    match_listener(l);
    return true;
}

void front_unlisten(struct front *front, const struct addr *addr)
{
    struct front_listener *l = find_listener(front, addr);
    if (l == NULL)
        return;
    while (!list_empty(&l->sockets)) {
        struct front_socket *socket = LIST_OF(l->sockets.next, struct front_socket, link);
        while (l->listener != NULL && accept_one(socket))
            ;
        close_socket(socket);
    }
    /* Sessions point to the struct, which stays. While the configuration has the address, as when
     * this worker is about to be drained, requests that come on them are answered. */
    match_listener(l);
}

/* ---- snapshots ---- */

void front_use(struct front *front, struct snapshot *snapshot)
{
    front->snapshot = snapshot;
    front->head_limits = snapshot->head_limits;
    for (struct link *at = front->listeners.next; at != &front->listeners; at = at->next)
        match_listener(LIST_OF(at, struct front_listener, link));
}

void front_set_logs(struct front *front, const struct front_log *logs, size_t count)
{
    if (count > sizeof front->logs / sizeof *front->logs)
        count = sizeof front->logs / sizeof *front->logs;
    for (size_t i = 0; i < count; i++)
        front->logs[i] = logs[i];
    front->log_count = count;
}

/* ---- life ---- */

static bool make_room(void *user)
{
    return room_make(user);
}

struct front *front_new(const struct front_conf *conf)
{
    const char *error = NULL;
    struct front *front = calloc(1, sizeof *front);
    if (front == NULL)
        return NULL;
    front->loop = conf->loop;
    front->thread = conf->thread;
    front->log = conf->log;
    front->metrics = conf->metrics;
    front->recall = recall_new(conf->threads);
    list_init(&front->listeners);
    list_init(&front->sessions);
    /* Connection ids are unique in the life of the worker: threads count in ranges of their own. */
    front->next_connection = (uint64_t)conf->thread << 48;
    front->upstreams = upstreams_new(conf->loop, conf->resolver, conf->origins);
    front->tls = tls_server_new(conf->tickets, &error);
    front->open_files = open_files_new(conf->loop);
    front->limiter = conn_limiter_new(conf->threads);
    if (front->upstreams != NULL)
        upstreams_when_tight(front->upstreams, make_room, front);
    record_log_start(front);
    if (front->upstreams != NULL && front->open_files != NULL && front->tls != NULL &&
        front->limiter != NULL && front->recall != NULL)
        return front;
    if (error != NULL)
        log_error("TLS cannot start: %s", error);
    front_end(front);
    return NULL;
}

static void cut_sessions(struct front *front)
{
    while (!list_empty(&front->sessions))
        serve_cut((struct session *)(void *)front->sessions.next);
}

void front_drain(struct front *front, bool now)
{
    front->draining = true;
    for (struct link *at = front->listeners.next; at != &front->listeners; at = at->next)
        match_listener(LIST_OF(at, struct front_listener, link));
    if (now) {
        cut_sessions(front);
        return;
    }
    struct link *next;
    for (struct link *at = front->sessions.next; at != &front->sessions; at = next) {
        next = at->next; /* an idle session ends, and takes only itself out */
        serve_drain((struct session *)(void *)at);
    }
}

bool front_idle(const struct front *front)
{
    return list_empty(&front->sessions);
}

const struct front_counters *front_counters(const struct front *front)
{
    return &front->counters;
}

struct upstreams *front_upstreams(struct front *front)
{
    return front->upstreams;
}

const struct recall *front_recall(const struct front *front)
{
    return front->recall;
}

bool front_tail_add(struct front *front, struct tail *tail)
{
    if (front->tail_count == FRONT_TAILS_MAX)
        return false;
    front->tails[front->tail_count++] = tail;
    return true;
}

void front_tail_remove(struct front *front, const struct tail *tail)
{
    for (unsigned i = 0; i < front->tail_count; i++)
        if (front->tails[i] == tail) {
            front->tails[i] = front->tails[--front->tail_count];
            return;
        }
}

void front_end(struct front *front)
{
    if (front == NULL)
        return;
    cut_sessions(front);
    if (front->limiter != NULL)
        record_log_end(front);
    conn_limiter_end(front->limiter);
    recall_end(front->recall);
    while (!list_empty(&front->listeners)) {
        struct front_listener *l = LIST_OF(front->listeners.next, struct front_listener, link);
        while (!list_empty(&l->sockets))
            close_socket(LIST_OF(l->sockets.next, struct front_socket, link));
        list_remove(&l->link);
        free(l);
    }
    open_files_end(front->open_files);
    if (front->upstreams != NULL)
        upstreams_end(front->upstreams);
    if (front->tls != NULL)
        tls_server_end(front->tls);
    free(front);
}
