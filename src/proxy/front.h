/*
 * One thread's share of the proxy: the snapshot it serves by, the sockets it accepts from, its
 * sessions, pools and counters. The worker makes one per event loop. All functions are called on
 * the loop's thread (from elsewhere through loop_post()).
 */
#ifndef PC_PROXY_FRONT_H
#define PC_PROXY_FRONT_H

#include "net/addr.h"
#include "proxy/share.h"

struct loop;
struct origin_registry; /* upstream/origin_shared.h */
struct log_ring;        /* observe/log_thread.h */
struct metrics_thread;  /* observe/metrics.h */
struct recall;          /* observe/recall.h */
struct tail;            /* observe/tail.h */
struct resolver;        /* net/resolver.h */
struct snapshot;        /* proxy/snapshot.h */
struct tls_tickets;     /* tls/tls_tickets.h */
struct upstreams;       /* upstream/upstream.h */
struct front;

struct front_conf {
    struct loop *loop;
    unsigned thread;  /* below SNAPSHOT_THREADS_MAX */
    unsigned threads; /* how many there are */
    struct resolver *resolver;
    struct log_ring *log;
    struct metrics_thread *metrics;  /* or NULL: nothing is counted by site and route */
    struct tls_tickets *tickets;     /* shared by all threads */
    struct origin_registry *origins; /* likewise */
};

struct front *front_new(const struct front_conf *conf) __attribute__((warn_unused_result));
/* After front_drain() and when front_idle(), or at the process's end: closes what is left. */
void front_end(struct front *front);

/*
 * Which slot of the log ring a log target (snapshot.h: log_target.id) writes to. Before
 * front_use(), and again whenever a load brings new ones; slots of open exchanges' targets must
 * stay.
 */
void front_set_logs(struct front *front, const struct front_log *logs, size_t count);

/* From now on new exchanges go by this snapshot. The first call starts service. */
void front_use(struct front *front, struct snapshot *snapshot);

/*
 * Accepts from a listening socket; the descriptor now belongs to the front. `addr` and `tls` tell
 * which listener of the snapshot it is (sockets of one address are one listener). Sockets whose
 * listener the current snapshot does not have are left alone until it does.
 */
bool front_listen(struct front *front, const struct addr *addr, bool tls, int fd)
    __attribute__((warn_unused_result));
/* Takes what waits in the sockets' queues, then closes them: the address has left the file. */
void front_unlisten(struct front *front, const struct addr *addr);

/*
 * Stops accepting (the sockets stay with the supervisor) and answers what is open and what comes
 * with `Connection: close`; connections that stay idle end soon. With `now` everything is cut.
 */
void front_drain(struct front *front, bool now);
bool front_idle(const struct front *front);

const struct front_counters *front_counters(const struct front *front);
/* What this thread remembers of origins. */
struct upstreams *front_upstreams(struct front *front);

/* The last records of this thread (observe/recall.h). */
const struct recall *front_recall(const struct front *front);
/* From now on the reader gets this thread's records as they end, until it is taken out. False when
 * there are FRONT_TAILS_MAX. */
bool front_tail_add(struct front *front, struct tail *tail) __attribute__((warn_unused_result));
void front_tail_remove(struct front *front, const struct tail *tail);

#endif
