/*
 * TCP and UNIX stream sockets as streams. One read per event, into a buffer of the thread; a write
 * is tried at once and only what the socket refuses waits in a backlog and arms EPOLLOUT. Nagle's
 * algorithm is off.
 */
#ifndef PC_NET_TCP_H
#define PC_NET_TCP_H

#include "net/stream.h"

/* Takes over a connected, non-blocking socket. NULL (and the socket closed) without memory. */
struct stream *tcp_open(struct loop *loop, int fd, const struct stream_user *user, void *user_data)
    __attribute__((warn_unused_result));
/*
 * Starts to connect; on_open or on_end(STREAM_REFUSED) follows, never before this returns. `source`
 * may be NULL. NULL when no socket can be had; errno says why.
 */
struct stream *tcp_connect(struct loop *loop, const struct addr *to, const struct addr *source,
                           const struct stream_user *user, void *user_data)
    __attribute__((warn_unused_result));

#endif
