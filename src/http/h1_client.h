/*
 * HTTP/1.1 towards an origin: one exchange over a connection that was taken for it. The answer is
 * held to the same strictness as requests are; an origin that answers before the request was sent
 * entirely, or sends bytes behind its answer, has `reusable` false.
 */
#ifndef PC_HTTP_H1_CLIENT_H
#define PC_HTTP_H1_CLIENT_H

#include "http/codec.h"
#include "http/h1_head.h"

/* 1xx answers of one exchange; more is an attack or a loop. */
enum { H1_INFORMATIONAL_MAX = 16 };

/*
 * In the arena; takes the stream's callbacks over until client_end(). `request` has its user,
 * answer and method set. NULL at the arena's cap.
 */
struct client_codec *h1_client_new(struct arena *arena, struct stream *stream,
                                   struct client_request *request, const struct head_limits *limits)
    __attribute__((warn_unused_result));

#endif
