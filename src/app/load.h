/*
 * A load under way, as the supervisor sees it: the loader's process, what it has said so far, and
 * at the end the form and the packs of sources.
 */
#ifndef PC_APP_LOAD_H
#define PC_APP_LOAD_H

#include "app/load_form.h"
#include "app/loader.h"
#include "app/watch.h"

#include <sys/types.h>

/* Reading and checking takes far less; a file system that hangs ends here. */
#define LOAD_MS_MAX 60000
/* Of what there is to say about a load. */
#define LOAD_REPORT_BYTES ((size_t)512 * 1024)

struct load {
    pid_t pid; /* 0: none is under way */
    int channel;
    uint64_t deadline_ms;
    uint64_t began_ms; /* monotonic */
    struct load_form form;
    char *report; /* rendered errors, warnings and notices */
    size_t report_len;
    int pack, keys; /* sealed memfds or -1 */
};

enum load_state {
    LOAD_GOES_ON,
    LOAD_OK,     /* form and pack are complete */
    LOAD_FAILED, /* `report` says why */
};

void load_init(struct load *load);
/* False with a report when no process can be had. */
bool load_start(struct load *load, struct loader_conf *conf, struct watch *watch)
    __attribute__((warn_unused_result));
/* The channel has something, or time has passed. After the end the process is gone. */
enum load_state load_continue(struct load *load, struct watch *watch, uint64_t now_ms)
    __attribute__((warn_unused_result));
/* Adds a line to the report. */
__attribute__((format(printf, 2, 3))) void load_say(struct load *load, const char *format, ...);
/* Ends what is under way and forgets all. */
void load_fini(struct load *load);

/* Do two packs hold the same bytes? */
bool load_same_pack(int a, int b);

#endif
