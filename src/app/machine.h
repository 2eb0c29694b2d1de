/* Names and addresses under which this machine is known: what `tls internal` issues for `site *`.
 */
#ifndef PC_APP_MACHINE_H
#define PC_APP_MACHINE_H

#include "base/str.h"

struct arena;

/* Localhost, the host's name, loopback and lasting addresses of interfaces. At most `max`. */
size_t machine_names(struct arena *arena, struct str *names, size_t max);

#endif
