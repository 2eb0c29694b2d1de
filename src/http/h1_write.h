/*
 * The one place where a head becomes bytes of HTTP/1.1. Nothing is trusted because it was parsed
 * once: method, target, status, reason, names and values are held against the grammar again, and
 * what could not have been received is never written.
 *
 * The message's own members say how the body ends, not its fields: live Content-Length,
 * Transfer-Encoding, Keep-Alive and Proxy-Connection entries are never written, received
 * Connection, Upgrade, HTTP2-Settings, TE and Trailer entries neither; one that we added is
 * (`Connection: Upgrade` of a 101). Expect is written while `expect_continue` is set. Then:
 *
 *     BODY_LENGTH   Content-Length: content_length
 *     BODY_CHUNKED  Transfer-Encoding: chunked      (refused to a client of HTTP/1.0)
 *     BODY_TO_END   nothing; an answer with `close` only
 *     BODY_NONE     request: `Content-Length: 0` where one was received or the method has bodies
 *                   answer: `Content-Length: 0`; to HEAD and in a 304 the declared length, if there
 *                   is one; nothing in 1xx and 204
 *
 * `close` of an answer writes `Connection: close`; an answer whose `version` is 10 and that
 * does not close says `Connection: keep-alive`. So `version` of an answer is the client's, and the
 * line always says HTTP/1.1 (RFC 9110 2.5).
 */
#ifndef PC_HTTP_H1_WRITE_H
#define PC_HTTP_H1_WRITE_H

#include "base/text.h"
#include "http/message.h"

/*
 * False when something must not be written or does not fit; then `out` is as it was. `target` is
 * origin-form, or `*` with OPTIONS. A request needs one live Host; CONNECT is never written.
 */
bool h1_write_request(struct text *out, const struct message *message, struct str target)
    __attribute__((warn_unused_result));
bool h1_write_response(struct text *out, const struct message *message)
    __attribute__((warn_unused_result));

#endif
