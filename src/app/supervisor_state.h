/*
 * What the supervisor knows: the noun that supervisor.c (its turn, signals, the worker's end) and
 * change.c (from a wish to a served configuration) share. Nobody else includes this.
 */
#ifndef PC_APP_SUPERVISOR_STATE_H
#define PC_APP_SUPERVISOR_STATE_H

#include "app/control.h"
#include "app/crew.h"
#include "app/load.h"
#include "app/log_files.h"
#include "app/status.h"
#include "app/systemd.h"
#include "app/upgrade.h"

enum phase {
    PHASE_IDLE,
    PHASE_LOADING, /* the loader reads and checks */
    PHASE_TAKING,  /* the worker compiles */
};

enum change_reason {
    CHANGE_FIRST,
    CHANGE_ASKED,    /* by signal or command */
    CHANGE_FILE,     /* a file of the last load has changed */
    CHANGE_PERIODIC, /* certificates may be due: issued ones to be renewed, others to be warned of
                      */
};

struct supervisor {
    const char *path;   /* of the configuration */
    const char *banner; /* printed when it serves, or NULL */
    struct loader_conf loader_conf;
    struct systemd systemd;
    struct listeners listeners;
    struct log_files logs;
    struct control control;
    struct watch watch;
    struct secrets secrets;
    struct crew crew;
    struct drains drains;
    struct status status;
    struct upgrade upgrade;
    int signals;
    uint64_t now_ms;

    /* What is served: form and packs of the last good load. Generation 0: nothing yet. */
    struct load_form form;
    int pack, keys;
    uint64_t generation;

    /* The change under way. */
    enum phase phase;
    struct load load;
    struct hand *taking; /* the worker that compiles; perhaps a fresh one */
    uint64_t taking_until_ms;
    uint64_t last_generation; /* ever given out */
    bool reload_wanted;       /* asked for while another was under way */
    enum change_reason reason;

    uint64_t periodic_ms; /* when the files are read again in any case */

    unsigned restarts;   /* in a row */
    uint64_t restart_ms; /* when the worker is to be started again; 0: no */

    bool stop_wanted; /* the first load failed */
    bool stopping;
    uint64_t leave_ms; /* while stopping: when the workers are told; 0: they have been */
    bool upgraded;     /* another instance serves in our place */
    int exit_status;
    bool ended;
};

#endif
