/* What a thread's share of the proxy shows to others: its counters, and how it names log targets.
 */
#ifndef PC_PROXY_SHARE_H
#define PC_PROXY_SHARE_H

#include <stdatomic.h>
#include <stdint.h>

/* Read by other threads at any time; each only grows but `sessions`, `idle` and `exchanges`. */
struct front_counters {
    _Atomic uint64_t accepted, handshakes, handshakes_resumed, handshakes_failed, requests, refused,
        bytes_in, bytes_out;
    _Atomic uint64_t sessions, idle, exchanges; /* now */
};

static inline void front_count(_Atomic uint64_t *counter, uint64_t n)
{
    /* One writer: a plain load and store are enough, readers only want no torn value. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Readers of `tail`: each costs the loops a line more per record. */
enum { FRONT_TAILS_MAX = 4 };

/* Which slot of the log ring a log target (snapshot.h: log_target.id) writes to. */
struct front_log {
    uint64_t id;
    unsigned slot;
};

#endif
