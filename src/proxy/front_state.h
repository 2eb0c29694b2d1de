/*
 * The members of a thread's share (front.h), for those who drive sessions and exchanges. A noun:
 * front.c fills it in, nobody else writes to it but where a member says so.
 */
#ifndef PC_PROXY_FRONT_STATE_H
#define PC_PROXY_FRONT_STATE_H

#include "net/loop.h"
#include "observe/conn_limiter.h"
#include "proxy/front.h"
#include "proxy/snapshot.h"

struct tls_server;
struct upstreams;

/* One accepted address: its sockets, and which listener of the current snapshot it is. */
struct front_listener {
    struct link link;
    struct front *front;
    struct addr addr;
    bool tls;
    const struct listener *listener; /* of front.snapshot; NULL: not in the configuration */
    struct link sockets;             /* of struct front_socket */
};

struct front {
    struct loop *loop;
    unsigned thread;
    struct snapshot *snapshot; /* current; NULL before the first */
    struct upstreams *upstreams;
    struct tls_server *tls;
    struct log_ring *log;
    struct front_log logs[64];
    size_t log_count;
    struct link listeners; /* of struct front_listener */
    struct link sessions;  /* of struct session; sessions add and remove themselves */
    struct conn_limiter *limiter;
    struct loop_timer summary_timer; /* of the connections that got no record of their own */
    uint64_t next_connection;
    _Atomic uint64_t generation;
    bool draining;
    struct front_counters counters;
};

static inline void front_count(_Atomic uint64_t *counter, uint64_t n)
{
    /* One writer: a plain load and store are enough, readers only want no torn value. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* One record to its log target, or to nothing. */
struct access_record;
void front_log_record(struct front *front, const struct log_conf *conf,
                      struct access_record *record);
/* The same of a connection that never became a request: at most 10 a second and address. */
void front_log_connection(struct front *front, const struct log_conf *conf,
                          struct access_record *record);

#endif
