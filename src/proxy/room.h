/*
 * Room for what is needed now, when descriptors or memory run out: taken from what is merely kept.
 * Files nobody reads are closed, then connections to origins that have idled for ROOM_COLD_MS, and
 * the client connections that have been quiet for longest, SERVE_QUIET_MS at least: between two
 * requests, in a handshake or in a head. Requests under way are never touched.
 */
#ifndef PC_PROXY_ROOM_H
#define PC_PROXY_ROOM_H

#include <stdbool.h>

struct front;

enum {
    ROOM_SESSIONS = 16, /* closed at once at most: looking for them may take a long walk */
    ROOM_COLD_MS = 1000 /* a pool in use is not emptied only to be filled again */
};
/*
 * The last descriptors are not for new clients: connections to origins, questions to name servers,
 * files, and what the supervisor sends need some. Of a low limit an eighth.
 */
enum { ROOM_RESERVE = 32 };

/* True when something was closed that held a descriptor. */
bool room_make(struct front *front);
/* May one more connection be accepted? It makes room where that is needed. `fd` is any open one. */
bool room_for_one(struct front *front, int fd) __attribute__((warn_unused_result));
/* An accepted connection got this descriptor; -1: none was to be had. */
void room_taken(struct front *front, int fd);

#endif
