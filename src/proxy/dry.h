/*
 * A request that nobody sent, run through the pipeline up to the point where an origin would be
 * asked: what `explain` shows and `expect` checks is what the serving code itself decides. It reads
 * what serving would read (files below the roots of `files`), sends nothing and changes nothing:
 * session, front and codec are empty shells of its own, and the answer's head goes nowhere.
 *
 * May run on any thread while the snapshot stays.
 */
#ifndef PC_PROXY_DRY_H
#define PC_PROXY_DRY_H

#include "proxy/exchange.h"
#include "proxy/front_state.h"
#include "proxy/session.h"
#include "proxy/trace.h"
#include "proxy/verdict.h"
#include "tls/tls_accept.h"

struct dry_request {
    struct snapshot *snapshot;
    const struct listener *listener; /* one of the snapshot */
    struct addr peer, local;         /* of the connection */
    struct str sni;                  /* lower case; empty: none */
    struct str head;                 /* as it would come, with its last empty line */
    uint64_t body_bytes;             /* that would follow it */
};

struct dry {
    struct exchange *x; /* NULL: the handshake would fail, and no request comes */
    enum verdict verdict;
    enum tls_chosen chosen; /* of a TLS listener */
    struct tls_choice choice;
    struct trace trace;
    /* The shells. */
    struct front front;
    struct front_listener listener;
    struct session_dry session;
    struct codec codec;
};

/* In the arena, where the request's strings must stay too. NULL without memory. */
struct dry *dry_run(struct arena *arena, const struct dry_request *request)
    __attribute__((warn_unused_result));
/* Lets go of what it holds of the snapshot; the strings of the exchange go with it. */
void dry_end(struct dry *dry);

/* Of an answer of ours (verdict ANSWER): its head as it would go out, in dry->x->answer. */
void dry_answer(struct dry *dry);
/*
 * What would be done to an origin's answer: dry->x->answer is one with the fields that origins are
 * known to send, edited.
 */
void dry_origin_answer(struct dry *dry, const struct message *sample);

#endif
