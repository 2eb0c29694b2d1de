/*
 * The workers, as the supervisor sees them: normally one that serves; beside it, after a change
 * that a running worker cannot follow, older ones that drain. A worker that ends unasked is started
 * again by the supervisor, at once the first time, then with growing pauses.
 */
#ifndef PC_APP_CREW_H
#define PC_APP_CREW_H

#include "app/conduct.h"
#include "app/drains.h"
#include "app/listeners.h"
#include "app/load_form.h"
#include "app/secrets.h"

#include <sys/types.h>

struct log_files;

/* Drained ones may linger for as long as `drain` says; more reloads than that wait for none. */
enum { CREW_MAX = 8 };
/* What a worker may take to compile what the loader has found good. */
#define CREW_READY_MS_MAX 60000
/* Past its own deadline a draining worker is killed. */
#define CREW_GRACE_MS 2000

struct hand {
    pid_t pid; /* 0: free */
    int channel;
    unsigned threads;
    struct conduct conduct;
    struct letter_locks locks; /* once conduct.locked */
    bool offended;             /* it was ended for what it did: nothing it says counts */
    bool draining;
    uint64_t kill_at_ms; /* while draining */
    uint64_t started_ms;
    struct letter_addr known[2 * ADDRS_MAX]; /* listeners it was given */
    unsigned known_count;
};

/* Pids of workers that have ended lately: what they did in their last moment may be looked at after
 * their end. Longer than anybody waits at the control socket. */
enum { CREW_ENDED_MAX = 32 };
#define CREW_ENDED_MS 60000

struct crew {
    struct {
        pid_t pid;
        uint64_t until_ms;
    } ended[CREW_ENDED_MAX];
    unsigned ended_next;
    struct hand hands[CREW_MAX];
    struct hand *serving; /* or NULL */
    uint64_t starts;      /* of workers, ever */
};

/* What a worker is to serve. */
struct crew_order {
    const struct load_form *form;
    const char *path;
    uint64_t generation;
    int pack, keys;
    const struct listeners *listeners;
    const struct log_files *logs;
    const struct secrets *secrets;
    const struct drains *drains;
};

void crew_init(struct crew *crew);

/* A new process with everything it needs; NULL when there can be none (errno). */
struct hand *crew_start(struct crew *crew, const struct crew_order *order)
    __attribute__((warn_unused_result));
/* Another generation for a running one. False when it is gone or stuck. */
bool crew_order(struct hand *hand, const struct crew_order *order)
    __attribute__((warn_unused_result));
bool crew_send_secrets(struct hand *hand, const struct secrets *secrets)
    __attribute__((warn_unused_result));
bool crew_send_log(struct hand *hand, const struct log_files *logs, unsigned slot)
    __attribute__((warn_unused_result));
/* The sockets of a group from number `first` on. */
bool crew_listen(struct hand *hand, const struct listener_group *group, unsigned first)
    __attribute__((warn_unused_result));
void crew_unlisten(struct hand *hand, const struct letter_addr *addr);
bool crew_tell(struct hand *hand, const struct letter_history *history)
    __attribute__((warn_unused_result));
/* `text` is that of an origin that is drained, or is so no more. */
bool crew_drain_origin(struct hand *hand, struct str text, bool on)
    __attribute__((warn_unused_result));
bool crew_ask(struct hand *hand) __attribute__((warn_unused_result));
/* Passes the connection of somebody with a question on; the descriptor stays the caller's. */
bool crew_pass(struct hand *hand, int fd) __attribute__((warn_unused_result));

/* Takes what waits in the queues of all its listeners, finishes, ends. 0 ms: at once. */
void crew_drain(struct hand *hand, uint32_t deadline_ms);
void crew_kill(struct hand *hand);
/* It did what no worker does (`what` goes on "the worker …"): it is ended, and not heard again. */
void crew_offended(struct hand *hand, const char *what);
/* Is, or was until just now, this process a worker of ours? Then its hand is `*hand`, or NULL. */
bool crew_is_worker(struct crew *crew, pid_t pid, struct hand **hand);
/* Its process has ended. */
void crew_forget(struct crew *crew, struct hand *hand);

#endif
