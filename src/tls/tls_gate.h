/*
 * How many handshakes go on in one turn of a loop. Each costs as much as a dozen requests: a burst
 * of them would make those who are connected wait for as long as it lasts. Those beyond the limit
 * wait their turn, first come first served, with what they have sent; nothing is refused here. One
 * gate for all streams of a loop.
 */
#ifndef PC_TLS_TLS_GATE_H
#define PC_TLS_TLS_GATE_H

#include "base/list.h"
#include "net/loop.h"

/* A full handshake takes about 0.2 ms, so that others wait 2 ms at most; more would hardly save any
 * turns. */
enum { TLS_HANDSHAKES_PER_TURN = 8 };

/* Embedded in what a handshake needs; zero at first. */
struct tls_gate_place {
    struct link link;
    void (*go_on)(struct tls_gate_place *place);
    bool called; /* its turn has come */
};

struct tls_gate;

struct tls_gate *tls_gate_new(void) __attribute__((warn_unused_result));
/* Those who still wait are forgotten. */
void tls_gate_end(struct tls_gate *gate);

/* May this one go on now? If not, go_on() is called in a later turn, and asks again. */
bool tls_gate_pass(struct tls_gate *gate, struct loop *loop, struct tls_gate_place *place);
/* For whoever gives up; no harm where it does not wait. */
void tls_gate_leave(struct tls_gate_place *place);

#endif
