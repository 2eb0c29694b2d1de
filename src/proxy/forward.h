/*
 * One exchange with an origin: take a connection, send the request, hand its answer on, and, where
 * it is safe, try again. Safe is: nothing was sent; or the method is idempotent, all of the body
 * that was sent is still kept, and no whole head of an answer has come (RFC 9110 9.2.2). A POST is
 * never sent twice.
 */
#ifndef PC_PROXY_FORWARD_H
#define PC_PROXY_FORWARD_H

#include "http/codec.h"
#include "proxy/verdict.h"

#include <stdint.h>

struct exchange;
struct front;
struct session;

/* What decides between origins under `balance hash`; 0 under the others. The target is known. */
uint64_t forward_key(const struct exchange *x);
/* Starts; x->resume() follows when x->answer is ready, an origin's or a refusal. */
enum verdict forward_start(struct exchange *x);
/* From the client: its body, the end of it, and its having taken what was sent. */
void forward_body(struct exchange *x, struct str piece);
void forward_body_end(struct exchange *x);
void forward_drained(struct exchange *x);
/* The origin was silent for too long: a failure of its own. True when another one is asked (once,
 * and where that is safe); else the exchange is to be answered. */
bool forward_timed_out(struct exchange *x);
/* The answer is still awaited: is the origin's machine there at all? False when not, and nobody
 * else is asked: then the exchange is to be answered. */
bool forward_look(struct exchange *x);
/* Gives up: the connection is closed. Harmless when there is none. */
void forward_end(struct exchange *x);

/*
 * A connection that an origin has authenticated (NTLM, Negotiate) belongs to one client connection
 * alone: it is kept here between that client's requests and never goes to the pool.
 */
struct bound_conn;
void forward_end_bound(struct bound_conn *bound);

#endif
