/*
 * Answers: our own (refusals, redirects, texts, files) are built here, and every answer, ours or an
 * origin's, goes out through answer_begin() and answer_piece(), with compression and backpressure.
 */
#ifndef PC_PROXY_ANSWER_H
#define PC_PROXY_ANSWER_H

#include "observe/access_record.h"
#include "proxy/verdict.h"

struct exchange;

/*
 * Refuses: notes who and why in the record and readies the page of this status, as HTML or JSON,
 * with the reference and nothing of a backend. When an answer has begun already it is cut instead
 * (VERDICT_CLOSE). `where` may be NULL.
 */
enum verdict answer_refuse(struct exchange *x, unsigned status, enum access_layer layer,
                           struct str by, struct str why, const struct where *where);
/* `location` is safe already. */
enum verdict answer_redirect(struct exchange *x, unsigned status, struct str location);
enum verdict answer_text(struct exchange *x, unsigned status, struct str content_type,
                         struct str text);

/* Sends the head in x->answer, edited, and begins the body. */
void answer_begin(struct exchange *x);
/* A piece of the body. True when the source should pause until answer_drained(). */
bool answer_piece(struct exchange *x, struct str piece, bool last);
/* The client has taken everything: goes on with a file. */
void answer_drained(struct exchange *x);
/* Cuts an answer that has begun; the record says how it ended. */
void answer_cut(struct exchange *x, enum access_end end);

#endif
