/* Sites: hosts, where they are served, sharing with the old snapshot. */
#ifndef PC_CONFIG_COMPILE_SITE_H
#define PC_CONFIG_COMPILE_SITE_H

#include "config/compile_state.h"

void compile_site(struct compile *c, const struct statement *s);
/* Files that worker and supervisor must know of, of all sites; into the snapshot. */
void compile_site_collect(struct compile *c);

#endif
