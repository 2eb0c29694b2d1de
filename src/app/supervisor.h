/*
 * The supervisor: privileged and tiny. It holds the listeners, the log files, the control socket
 * and the ticket secrets; it starts loader and worker, watches the files of the last load, and
 * turns signals and commands into reload, reopen and stop. It reads no configuration, no
 * certificate and no byte of traffic.
 */
#ifndef PC_APP_SUPERVISOR_H
#define PC_APP_SUPERVISOR_H

#include "base/str.h"

struct supervisor_conf {
    const char *path;   /* of the configuration */
    struct str text;    /* its text when it is no file, else empty */
    const char *banner; /* printed to stdout when it serves, or NULL */
};

/* Serves until it is told to stop. The exit status: 0 stopped, 1 failed, 2 wrong configuration. */
int supervisor_run(const struct supervisor_conf *conf);

#endif
