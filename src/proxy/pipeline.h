/*
 * The order of the phases an exchange goes through: the security policy, visible in one place, the
 * table in pipeline.c, and nowhere else. A phase does one thing and answers with a verdict; it
 * never calls the next one.
 */
#ifndef PC_PROXY_PIPELINE_H
#define PC_PROXY_PIPELINE_H

#include "base/str.h"
#include "proxy/verdict.h"

struct exchange;
struct parse_error;

/* What happens to an exchange; the codec's callbacks, by way of the session. */
void pipeline_head(struct exchange *x, const struct parse_error *bad); /* NULL: it parsed */
void pipeline_bad_body(struct exchange *x, const struct parse_error *error);
void pipeline_body(struct exchange *x, struct str piece);
void pipeline_body_end(struct exchange *x);
void pipeline_drained(struct exchange *x);
void pipeline_gone(struct exchange *x);
/* A stream of events ends with its client's FIN: nobody half-closes one, and the next event, which
 * would tell, may be minutes away. Other answers go on. */
void pipeline_half_closed(struct exchange *x);
/*
 * For explanations: the phases before `forward`, on an exchange of no connection. NEXT: it would be
 * forwarded now; ANSWER: x->answer is ready; CLOSE: nobody answers. `x->request.body_in` says
 * beforehand how long the body is that would follow.
 */
enum verdict pipeline_decide(struct exchange *x, const struct parse_error *bad);
/* After it: whether `route` and whether `admit` let the request go on. */
bool pipeline_routed(const struct exchange *x);
bool pipeline_admitted(const struct exchange *x);

/* The codec has forgotten it: writes the record and ends the exchange. */
void pipeline_done(struct exchange *x);

#endif
