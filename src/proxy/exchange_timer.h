/*
 * The timeouts of an exchange. Whoever begins or ends a wait says so here; progress is noticed when
 * the timer fires, so that a moving exchange costs no timer operation.
 */
#ifndef PC_PROXY_EXCHANGE_TIMER_H
#define PC_PROXY_EXCHANGE_TIMER_H

#include <stdbool.h>

struct exchange;

void exchange_wait_body(struct exchange *x);   /* the client is to send its body */
void exchange_wait_send(struct exchange *x);   /* the client is to take what waits */
void exchange_wait_answer(struct exchange *x); /* the request went out entirely */
void exchange_wait_stream(struct exchange *x); /* bytes of an answer came: await the next ones */
void exchange_wait_quiet(struct exchange *x);  /* a byte went over a tunnel or event stream */

/* Told by exchange_timer when a wait was too long; pipeline.c gives it. */
enum exchange_timeout {
    EXCHANGE_BODY_TIMEOUT,
    EXCHANGE_SEND_TIMEOUT,
    EXCHANGE_ANSWER_TIMEOUT,
    EXCHANGE_STREAM_TIMEOUT,
    EXCHANGE_QUIET_TIMEOUT,
};
void exchange_timer_init(struct exchange *x,
                         void (*on_timeout)(struct exchange *x, enum exchange_timeout which));

#endif
