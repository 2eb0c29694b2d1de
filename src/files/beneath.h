/*
 * Opening files below a root, and nowhere else: openat2() with RESOLVE_BENEATH follows symbolic
 * links as long as they stay below the root (an absolute one leaves it, also where it points back),
 * and never those of /proc. All functions answer a descriptor or -errno.
 */
#ifndef PC_FILES_BENEATH_H
#define PC_FILES_BENEATH_H

#include "base/str.h"

/* Only good for being given to the next function. Opened anew for each request, since deployments
 * swap the symbolic link that a root often is. */
int beneath_root(struct str root);

/*
 * Opens for reading without ever waiting: the opener of a FIFO or a terminal is not held up.
 * Slashes at the beginning of `path` and runs of them count as one; an empty path is the root.
 * Fails with ENAMETOOLONG above the system's limits and with ENOENT for a path with a NUL.
 */
int beneath_open(int root, struct str path);

/* True when a segment begins with a dot, dot segments included; only a first segment ".well-known"
 * (RFC 8615) may. */
bool beneath_is_hidden(struct str path);

#endif
