/*
 * The timeouts of an exchange. Whoever begins or ends a wait says so here; progress is noticed when
 * the timer fires, so that a moving exchange costs no timer operation.
 */
#ifndef PC_PROXY_EXCHANGE_TIMER_H
#define PC_PROXY_EXCHANGE_TIMER_H

#include "proxy/exchange.h"

void exchange_wait_body(struct exchange *x); /* the client is to send its body */
void exchange_wait_send(struct exchange *x); /* the client is to take what waits */
/* The request went out entirely. EXCHANGE_REACH_TIMEOUT comes each `reach_every_ms`. */
void exchange_wait_answer(struct exchange *x, uint32_t reach_every_ms);
/* EXCHANGE_REACH_TIMEOUT was told and nothing is wrong. */
void exchange_look_later(struct exchange *x);
void exchange_wait_stream(struct exchange *x); /* bytes of an answer came: await the next ones */
void exchange_wait_quiet(struct exchange *x);  /* a byte went over a tunnel or event stream */

/* `on_timeout` is told when a wait was too long. */
void exchange_timer_init(struct exchange *x,
                         void (*on_timeout)(struct exchange *x, enum exchange_timeout which));

#endif
