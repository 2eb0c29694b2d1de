/* What people who come from other servers type, and how it is said here. */
#ifndef PC_CONFIG_HINTS_H
#define PC_CONFIG_HINTS_H

#include "config/statement.h"

struct hint {
    struct str word; /* of nginx, HAProxy, Caddy, Apache, Traefik …; compared without case */
    const char *said_here;
};

/* What to say of a statement whose first word is no directive of ours; NULL: nothing. */
const char *hints_for(const struct statement *statement);

#endif
