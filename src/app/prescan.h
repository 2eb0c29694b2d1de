/*
 * What must be known of a configuration before it is compiled, or although it has errors: where the
 * state lies, where the control socket is, which hosts the file names. Only these lines are read.
 */
#ifndef PC_APP_PRESCAN_H
#define PC_APP_PRESCAN_H

#include "config/source.h"

struct prescan {
    struct str state_dir;    /* absolute; the default where the file says none */
    struct str control_path; /* absolute */
    struct str *hosts;       /* of the sites with `tls internal`; `*` is one */
    size_t host_count;
};

/* Everything is in the arena. What cannot be read counts as not said. */
void prescan_read(struct prescan *out, struct arena *arena, struct source_set *sources,
                  const char *path);

#endif
