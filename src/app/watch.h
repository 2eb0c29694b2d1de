/*
 * The files of the last load: noticed when they change. They are looked at by stat() once a second,
 * following links, which sees every way of replacing a file (rename, swapped symlinks of a file or
 * of a folder above it, network file systems) alike; with very many files less often, so that
 * looking costs no more than a hundredth of a core. A change counts when a whole look went by
 * without a further one: who copies two files is given the time.
 */
#ifndef PC_APP_WATCH_H
#define PC_APP_WATCH_H

#include "base/str.h"

#include <sys/stat.h>

struct watch_file {
    char *path;
    struct timespec changed; /* ctime; of a missing file zero */
    dev_t device;
    ino_t inode;
    off_t size;
    unsigned round; /* of the last load that named it */
};

struct watch {
    struct watch_file *files;
    size_t count, capacity;
    size_t sorted; /* so many at the front are in order of path */
    unsigned round;
    uint64_t next_ms; /* the next look, monotonic */
    bool unsettled;   /* the last look saw a change */
    char what[256];   /* the file that was seen to change first */
};

void watch_init(struct watch *watch);
void watch_fini(struct watch *watch);

/*
 * A load: watch_begin() before its files are read, watch_add() for each, watch_end() after. What
 * changed within the `load_ms` that it took counts as changed. With `keep` the files of earlier
 * loads stay (a load that failed early names only some).
 */
void watch_begin(struct watch *watch);
void watch_add(struct watch *watch, const char *path);
void watch_end(struct watch *watch, bool keep, uint64_t load_ms);

/* True once for each change that has settled; `watch->what` names a file. */
bool watch_look(struct watch *watch, uint64_t now_ms);

#endif
