/* The line of the configuration that decided something; every record and explanation names it. */
#ifndef PC_BASE_WHERE_H
#define PC_BASE_WHERE_H

#include "base/str.h"

struct where {
    struct str file; /* as the user named it; empty: built in */
    uint32_t line;   /* from 1 */
};

#endif
