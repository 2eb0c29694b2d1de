#include "proxy/room.h"

#include "base/log.h"
#include "files/open_files.h"
#include "proxy/front_state.h"
#include "proxy/serve.h"
#include "proxy/session.h"
#include "upstream/upstream.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

/* The limit may be changed from outside; and one such line in so long is enough. */
enum { LOOK_MS = 1000, TELL_MS = 10 * 1000 };

/* Sessions stand in the order in which they became quiet (serve.c). */
static unsigned end_quiet_sessions(struct front *front)
{
    unsigned ended = 0;
    struct link *next;
    for (struct link *at = front->sessions.next; at != &front->sessions && ended < ROOM_SESSIONS;
         at = next) {
        next = at->next;
        ended += serve_make_way(LIST_OF(at, struct session, link));
    }
    return ended;
}

static void tell(struct front *front, unsigned cold, unsigned quiet)
{
    uint64_t now_ms = loop_now_ms(front->loop);
    if (front->room.told_ms != 0 && now_ms - front->room.told_ms < TELL_MS)
        return;
    front->room.told_ms = now_ms;
    log_warning("descriptors or memory run out: the connections idle for longest are closed "
                "(now %u of clients, %u to origins)",
                quiet, cold);
}

bool room_make(struct front *front)
{
    open_files_drop(front->open_files);
    unsigned cold = upstreams_close_idle(front->upstreams, ROOM_COLD_MS);
    unsigned quiet = end_quiet_sessions(front);
    if (cold + quiet == 0)
        return false;
    tell(front, cold, quiet);
    return true;
}

static void look_at_limit(struct front_room *room, uint64_t now_ms)
{
    struct rlimit limit;
    if (room->looked_ms != 0 && now_ms - room->looked_ms < LOOK_MS)
        return;
    room->looked_ms = now_ms;
    room->ceiling = INT_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= INT_MAX)
        return;
    int most = (int)limit.rlim_cur;
    room->ceiling = most - (most / 8 < ROOM_RESERVE ? most / 8 : ROOM_RESERVE);
}

/* The kernel gives the lowest that is free (open(2)), so its number tells how many are taken. */
static bool is_below_ceiling(struct front_room *room, int like)
{
    if (room->newest < room->ceiling)
        return true;
    int fd = fcntl(like, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return false;
    close(fd);
    room->newest = fd;
    return fd < room->ceiling;
}

bool room_for_one(struct front *front, int fd)
{
    look_at_limit(&front->room, loop_now_ms(front->loop));
    return is_below_ceiling(&front->room, fd) || room_make(front);
}

void room_taken(struct front *front, int fd)
{
    if (fd >= 0)
        front->room.newest = fd;
    else
        front->room.looked_ms = 0; /* the limit is not what it was */
}
