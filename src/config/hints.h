/* What people who come from other servers type, and how it is said here. */
#ifndef PC_CONFIG_HINTS_H
#define PC_CONFIG_HINTS_H

#include "base/text.h"
#include "config/statement.h"

struct hint {
    struct str word; /* of nginx, HAProxy, Caddy, Apache, Traefik …; compared without case */
    const char *said_here;
    const char *with_words; /* the same with $1 and $2 for the words that follow; or NULL */
};

/* Appends what to say of a statement whose first word is no directive of ours; false: nothing. */
bool hints_for(const struct statement *statement, struct text *hint);

#endif
