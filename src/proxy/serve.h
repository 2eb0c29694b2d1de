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

/* Takes over an accepted descriptor. Without memory it is closed and the client gets a reset. */
void serve_connection(struct front_listener *listener, int fd, const struct addr *peer);
/* What a handshake on it gets: the certificates of the site of that name; without a name those of
 * the default site. `name` is in lower case. */
enum tls_chosen serve_choose(const struct session *session, struct str name,
                             struct tls_choice *choice);
/* The next answer is the last; a session that idles gets a moment for one. */
void serve_drain(struct session *session);
/* At once. */
void serve_cut(struct session *session);

#endif
