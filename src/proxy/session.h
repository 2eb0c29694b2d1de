/*
 * One client connection, from accept to close: a noun; serve.c drives it. Exchanges ask it who the
 * client is and how it came.
 */
#ifndef PC_PROXY_SESSION_H
#define PC_PROXY_SESSION_H

#include "net/addr.h"
#include "net/stream.h"
#include "net/timer.h"

struct bound_conn;
struct codec;
struct front;
struct front_listener;
struct tls_info;

enum session_wait {
    WAIT_HANDSHAKE,
    WAIT_IDLE,
    WAIT_HEAD,
    WAIT_BUSY,
    WAIT_DROPPING,
    WAIT_LINGER,
    WAIT_ALERT
};

struct session {
    struct link link; /* of front.sessions */
    struct front *front;
    struct front_listener *listener;
    struct stream *stream;
    struct codec *codec; /* NULL before the handshake is done */
    struct bound_conn *bound;
    struct loop_timer timer;
    struct addr peer, local;
    uint64_t id, start_wall_us;
    uint64_t head_began_us; /* when a head that did not come at once began; else 0 */
    uint32_t requests;
    bool tls;     /* as it came: the listener's may change with a reload */
    uint8_t wait; /* enum session_wait */
    uint8_t linger_rounds;
    bool ended;
};

/* Of no connection, for explanations: its stream is NULL, and the name it asked for stands here. */
struct session_dry {
    struct session session;
    struct str sni;
};

bool session_is_tls(const struct session *session);
/* The name the client asked for in TLS; empty where there was none. */
struct str session_sni(const struct session *session);
void session_tls_info(const struct session *session, struct tls_info *info);

#endif
