/* The heads of an explanation: what would go to the origin, and what comes of an answer. */
#ifndef PC_PROXY_EXPLAIN_HEAD_H
#define PC_PROXY_EXPLAIN_HEAD_H

struct explain;

/* Of a request that would be forwarded; the origin has been chosen. */
void explain_prepare(struct explain *e);
/* What would be done to an origin's answer, shown on one with the fields that origins send. */
void explain_origins_answer(struct explain *e);
/* Of one that the proxy answers itself. */
void explain_own_answer(struct explain *e);

#endif
