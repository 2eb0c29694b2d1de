/*
 * One client connection, from accept to close: stream, TLS, codec, and the timers between requests.
 * It hands each request to an exchange of its own.
 */
#ifndef PC_PROXY_SESSION_H
#define PC_PROXY_SESSION_H

#include "net/addr.h"
#include "net/stream.h"

struct bound_conn;
struct codec;
struct front;
struct front_listener;
struct session;
struct tls_info;

/* Takes over an accepted descriptor. Without memory it is closed and the client gets a reset. */
void session_accept(struct front_listener *listener, int fd, const struct addr *peer);
/* No further requests; an idle session ends now. */
void session_drain(struct session *session);
/* At once. */
void session_cut(struct session *session);

const struct addr *session_peer(const struct session *session);
const struct addr *session_local(const struct session *session);
struct front_listener *session_listener(const struct session *session);
bool session_is_tls(const struct session *session);
/* The name the client asked for in TLS; empty where there was none. */
struct str session_sni(const struct session *session);
uint64_t session_id(const struct session *session);
struct bound_conn **session_bound(struct session *session);
void session_tls_info(const struct session *session, struct tls_info *info);
/* Counts a request; the first is 1. */
uint32_t session_next_request(struct session *session);

#endif
