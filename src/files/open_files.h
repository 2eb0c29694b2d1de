/*
 * Regular files that were opened lately, kept open: one table per thread, so that a file asked for
 * again costs one stat() where opening it safely takes six calls.
 *
 * Nobody sees an old file: once in each turn of the loop a look-up asks the system what the whole
 * path, root included, means now, and takes the kept descriptor only where that is the very file it
 * stands for, unchanged (device, inode, size, times of change and of status). A file changed within
 * the last OPEN_FILES_SETTLED_S is not kept, since a second change could bear the same time. What
 * is kept was opened by beneath_open(): it lies below its root.
 *
 * Of small files the bytes are kept too: those of the very file that the look-up has found.
 *
 * At most OPEN_FILES_MAX are kept. A file not asked for within OPEN_FILES_IDLE_MS is closed, so
 * that deleted ones give their room back.
 */
#ifndef PC_FILES_OPEN_FILES_H
#define PC_FILES_OPEN_FILES_H

#include "base/str.h"

#include <sys/stat.h>

struct loop;
struct open_files;

enum { OPEN_FILES_MAX = 256, OPEN_FILES_SETTLED_S = 2, OPEN_FILES_IDLE_MS = 30 * 1000 };
/* Icons, small scripts and pages: all of them together take at most 4 MiB of a thread. */
#define OPEN_FILES_BYTES_MAX ((size_t)16 * 1024)

/* Shared by the table and those who send it; read-only but for them. */
struct open_file {
    int fd; /* read it with pread(): its offset is everybody's */
    unsigned users;
    struct stat st;
    /* All its bytes, st_size of them, or NULL: it is longer than OPEN_FILES_BYTES_MAX, empty, or
     * was not asked for yet. */
    char *bytes;
};

/* NULL without memory. */
struct open_files *open_files_new(struct loop *loop) __attribute__((warn_unused_result));
/* NULL is allowed. Files in use stay open for their users. */
void open_files_end(struct open_files *files);
/* Closes what nobody has asked for within OPEN_FILES_IDLE_MS of `now_ms`, the loop's time; answers
 * how many are left. Called by a timer of the loop. */
unsigned open_files_sweep(struct open_files *files, uint64_t now_ms);
/* Closes what nobody uses: descriptors are needed elsewhere. */
void open_files_drop(struct open_files *files);

/* The file that `path` below `root` means at this moment, to be released; NULL: open it. */
struct open_file *open_files_find(struct open_files *files, struct str root, struct str path)
    __attribute__((warn_unused_result));
/*
 * Keeps a regular file that has just been opened. It takes the descriptor over and answers the
 * file, to be released; NULL: it is not to be kept, the descriptor is still the caller's.
 */
struct open_file *open_files_keep(struct open_files *files, struct str root, struct str path,
                                  int fd, const struct stat *st)
    __attribute__((warn_unused_result));
/* Its bytes, read when they are asked for first; NULL where there are none, or no memory. */
const char *open_file_bytes(struct open_file *file);
void open_file_release(struct open_file *file);

#endif
