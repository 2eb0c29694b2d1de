/*
 * Towards the origins. An `upstream_conf` says what a route forwards to; what has a memory of its
 * own (pools of kept-alive connections, which origin rests, the round-robin place) lives in `struct
 * upstreams`, one per thread, in registries keyed by identity, and no reload resets it.
 *
 * A caller asks for a connection with upstream_take(): round robin picks an origin, an idle
 * connection of it comes first, then a fresh one; an origin whose connect fails rests and the next
 * is tried. When the exchange is over the connection goes back with upstream_give(), or ends with
 * upstream_discard().
 */
#ifndef PC_UPSTREAM_UPSTREAM_H
#define PC_UPSTREAM_UPSTREAM_H

#include "net/loop.h"
#include "upstream/upstream_conf.h"

struct origin_registry;
struct resolver;
struct upstreams;

/* Embedded in the exchange, zeroed at its start. Between take and its answer nothing in it may be
 * changed; then it may be used for another take of the same exchange. */
struct upstream_wait {
    /* in */
    const struct upstream_conf *conf;
    uint64_t tried; /* bit set of origins not to be taken again (if others exist) */
    bool fresh;     /* no pooled connection */
    uint32_t
        idle_ms_max; /* of a pooled one: 0 for any; 200 for requests that must not be repeated */
    uint64_t key;    /* hash of what `balance hash` looks at */
    /* Sets the user of the connection's stream before it returns; may give back or discard. */
    void (*on_ready)(struct upstream_wait *wait, struct origin_conn *conn);
    void (*on_failed)(struct upstream_wait *wait, enum upstream_failure failure);
    /* out */
    unsigned attempts;     /* origins to which a connect was tried; adds up over several takes */
    unsigned origin_index; /* the last one tried */
    uint64_t queued_ms;    /* waited for a free connection; adds up over several takes */
    bool over_budget;      /* a further origin was not tried: the retry budget is spent */
    char why[160];         /* of the failure: "connect to 127.0.0.1:3000: Connection refused" */
    /* upstream's own */
    bool counted;                  /* towards the retry budget */
    enum upstream_failure failure; /* for on_failed, where there is no attempt */
    void *pending;
    struct upstreams *upstreams;
    struct loop_timer timer;
};

/* `resolver` may be NULL when no origin is a name. The registry is that of all threads. */
struct upstreams *upstreams_new(struct loop *loop, struct resolver *resolver,
                                struct origin_registry *registry)
    __attribute__((warn_unused_result));
/* When a connect fails for want of descriptors or memory, `make_room` is called; where it says that
 * there is some now, the connect is tried once more. */
void upstreams_when_tight(struct upstreams *upstreams, bool (*make_room)(void *user), void *user);
/* Closes connections that have idled for so long at least; answers how many. */
unsigned upstreams_close_idle(struct upstreams *upstreams, uint32_t idle_ms_min);
/* Closes all idle connections. Connections taken must have come back, waits must be cancelled. The
 * memory goes at the end of the loop's turn, or with loop_end(). */
void upstreams_end(struct upstreams *upstreams);

/*
 * Asks for a connection. Answers by exactly one of the two callbacks unless cancelled: on_ready
 * perhaps before upstream_take() returns (a pooled connection was at hand), on_failed always later.
 * At most 1 + retry_max origins are tried over all takes of one wait (but at least one in each),
 * and in one take no origin twice. Each further origin of a take is paid for from the retry budget
 * (retry_budget.h).
 */
void upstream_take(struct upstreams *upstreams, struct upstream_wait *wait);
/* Before a take that sends the request of this wait again: may it? There is another origin, and the
 * budget had one left, which is spent now. */
bool upstream_may_retry(struct upstreams *upstreams, struct upstream_wait *wait)
    __attribute__((warn_unused_result));
/* No callback will come; a connect under way is given up. Nothing happens when none is awaited. */
void upstream_cancel(struct upstream_wait *wait);

/* The answer is complete and the connection fit for another request. */
void upstream_give(struct upstreams *upstreams, struct origin_conn *conn,
                   const struct upstream_conf *conf);
/* Closes the connection. */
void upstream_discard(struct upstreams *upstreams, struct origin_conn *conn);
/* The origin answered properly (`failure` is NULL), or failed after connecting (reset, bad answer,
 * timed out): why, for `status` and `explain`. */
void upstream_report(struct upstreams *upstreams, const struct upstream_conf *conf,
                     unsigned origin_index, const char *failure);

/* What a request would meet now, as far as this thread decides it; nothing is changed. */
enum upstream_choice {
    UPSTREAM_WOULD_ASK,   /* that origin */
    UPSTREAM_WOULD_QUEUE, /* all have their `connections`: it would wait for that one */
    UPSTREAM_ALL_DRAINED,
    UPSTREAM_NOBODY, /* no memory to look */
};
enum upstream_choice upstream_peek(struct upstreams *upstreams, const struct upstream_conf *conf,
                                   uint64_t key, unsigned *index);

struct origin_status {
    struct str text;
    bool resting;
    uint32_t failures;     /* in a row, of all threads */
    uint32_t idle, in_use; /* connections of this thread; in use: also those being connected */
};
/* For `status`: calls `each` for every origin this thread has met. */
void upstreams_status(const struct upstreams *upstreams,
                      void (*each)(void *user, const struct origin_status *status), void *user);

#endif
