/*
 * The members of a thread's share (front.h), for those who drive sessions and exchanges. A noun:
 * front.c fills it in, nobody else writes to it but where a member says so.
 */
#ifndef PC_PROXY_FRONT_STATE_H
#define PC_PROXY_FRONT_STATE_H

#include "net/loop.h"
#include "observe/conn_limiter.h"
#include "proxy/share.h"
#include "proxy/snapshot.h"

struct metrics_thread;
struct open_files;
struct recall;
struct tail;
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

/* What is known of the limit of descriptors (room.h). */
struct front_room {
    uint64_t looked_ms, told_ms;
    int ceiling; /* for new clients */
    int newest;  /* the last one that a client got */
};

struct front {
    struct loop *loop;
    unsigned thread;
    struct snapshot *snapshot; /* current; NULL before the first */
    struct head_limits
        head_limits; /* its own copy: connections outlive the snapshot they began in */
    struct upstreams *upstreams;
    struct open_files *open_files; /* NULL: none are kept open */
    struct tls_server *tls;
    struct log_ring *log;
    struct metrics_thread *metrics;
    struct recall *recall; /* its last records */
    struct tail *tails[FRONT_TAILS_MAX];
    unsigned tail_count;
    struct front_log logs[64];
    size_t log_count;
    struct link listeners; /* of struct front_listener */
    struct link sessions;  /* of struct session, which add and remove themselves: those quiet for
                              longest first, with busy ones between them */
    struct front_room room;
    struct conn_limiter *limiter;
    struct loop_timer summary_timer; /* of the connections that got no record of their own */
    uint64_t next_connection;
    bool draining;
    uint64_t rested_ms; /* when accepting last began to rest; 0: never */
    struct front_counters counters;
};

#endif
