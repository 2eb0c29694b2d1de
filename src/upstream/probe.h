/*
 * One look at one origin: connect, and unless the check is of `tcp` alone send a GET and read the
 * answer, held to the same strictness as every origin's (http/h1_client.h). Well is: the status is
 * one of those expected and the body ends within the time, or is longer than PROBE_BODY_MAX, behind
 * which nobody listens. A connection of its own, closed at the end.
 *
 * The owner fills in the first block and keeps what it points to until the probe is done.
 */
#ifndef PC_UPSTREAM_PROBE_H
#define PC_UPSTREAM_PROBE_H

#include "http/codec.h"
#include "upstream/check_conf.h"
#include "upstream/dial.h"

enum { PROBE_BODY_MAX = 64 * 1024 };

enum probe_result {
    PROBE_WELL,
    PROBE_ILL,
    PROBE_UNKNOWN, /* sockets or memory ran out here: says nothing about the origin */
};

struct probe {
    struct loop *loop;
    struct resolver *resolver;
    struct tls_client *tls;
    const struct upstream_conf *conf;
    const struct origin_conf *to;
    const struct check_conf *check;
    _Atomic uint64_t *ports_out; /* as in dial.h */
    /* Never from inside probe_start(). The probe may be started again in there. */
    void (*on_done)(struct probe *probe, enum probe_result result);
    /* out: why it is not well, escaped */
    char why[200];
    /* the probe's own */
    struct upstream_conf dial_conf;
    struct dial dial;
    struct addr good;
    struct stream *stream;
    struct arena *arena;
    struct client_request client;
    struct message answer;
    size_t body_bytes;
    bool running, asked;
    enum probe_result result;
    struct loop_timer timer;
};

void probe_start(struct probe *probe);
/* Gives up without an answer; in any state, also before the first start. */
void probe_stop(struct probe *probe);

#endif
