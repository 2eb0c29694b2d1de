/*
 * Which locks a worker is behind, measured: what /proc/PID/status says of it, read by the
 * supervisor, and, of Landlock, which /proc does not show, what the worker said before it had read
 * a byte from a stranger. For `status` and for the warning at start.
 */
#ifndef PC_APP_LOCKS_H
#define PC_APP_LOCKS_H

#include "app/channel.h"

#include <sys/types.h>

struct text;

/* Of /proc/PID/status. */
struct locks_seen {
    bool known; /* false: it could not be read */
    uint32_t uid;
    bool no_new_privs;
    bool filtered;         /* by seccomp */
    uint64_t capabilities; /* all sets but the bounding one, joined */
    uint64_t bounding;
};

/* Pure, for tests. */
struct locks_seen locks_parse(struct str status);
struct locks_seen locks_look(pid_t pid);

/* What does not hold, as one line; empty when all of it does. `said` may be NULL: nothing came. */
void locks_add_missing(struct text *out, const struct locks_seen *seen,
                       const struct letter_locks *said);
/* {"sandbox":…} for status. */
void locks_add_json(struct text *out, const struct locks_seen *seen,
                    const struct letter_locks *said);

#endif
