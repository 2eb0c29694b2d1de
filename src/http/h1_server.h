/*
 * HTTP/1.1 towards clients: one connection as a codec (http/codec.h). Requests are answered in
 * order; bytes that come while one is open wait, and reading pauses. A connection whose answer ends
 * before its request was read is closed in a way that the client gets the answer (RFC 9112 9.6):
 * FIN, then reading goes on into nothing until the user's timer or the client ends it.
 */
#ifndef PC_HTTP_H1_SERVER_H
#define PC_HTTP_H1_SERVER_H

#include "http/codec.h"
#include "http/h1_head.h"

/* Takes over the open stream. `limits` must live as long. NULL without memory: stream untouched. */
struct codec *h1_server_new(struct stream *stream, const struct codec_user *user, void *user_data,
                            const struct head_limits *limits) __attribute__((warn_unused_result));

/* A head that has begun is refused (408): as if it had been malformed. */
void h1_server_refuse(struct codec *codec, const struct parse_error *error);

#endif
