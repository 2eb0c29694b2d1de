/*
 * Drives a client connection from accept to close: TLS, codec, the timers between requests. Each
 * request goes to an exchange of its own, and that to the pipeline.
 */
#ifndef PC_PROXY_SERVE_H
#define PC_PROXY_SERVE_H

#include "net/addr.h"
#include "tls/tls_accept.h"

struct front_listener;
struct session;

/* So long must a connection have been quiet to make way for others: an honest handshake or head,
 * and the next request of somebody who has more, mostly take less. */
enum { SERVE_QUIET_MS = 1000 };

/* Takes over an accepted descriptor. False: without memory it is closed and the client gets a
 * reset. */
bool serve_connection(struct front_listener *listener, int fd, const struct addr *peer)
    __attribute__((warn_unused_result));
/* What a handshake on it gets: the certificates of the site of that name; without a name those of
 * the default site. `name` is in lower case. */
enum tls_chosen serve_choose(const struct session *session, struct str name,
                             struct tls_choice *choice);
/* The next answer is the last; a session that idles gets a moment for one. */
void serve_drain(struct session *session);
/* Descriptors or memory are needed: ends the session if it is between two requests, or its
 * handshake or head stands still (room.h). */
bool serve_make_way(struct session *session);
/* At once. */
void serve_cut(struct session *session);

#endif
