/*
 * What a path below a root leads to: a regular file or a folder that is open for reading, or a
 * status that says why not. What is not there and what leads out of the root are the same: 404.
 */
#ifndef PC_FILES_FILES_FIND_H
#define PC_FILES_FILES_FIND_H

#include "files/coding.h"

#include <sys/stat.h>

struct files_found {
    int fd;          /* the caller's to close; -1: nothing */
    unsigned status; /* of nothing: 403, 404, 500, 503 */
    struct stat st;
    struct str path; /* of what was opened */
    enum coding coding;
    bool fallback; /* for the caller */
};

static inline struct files_found files_find_nothing(unsigned status)
{
    return (struct files_found){.fd = -1, .status = status};
}
/* The status of an errno of opening or reading. */
unsigned files_find_status(int error);
static inline bool files_find_is_folder(const struct files_found *found)
{
    return found->fd >= 0 && S_ISDIR(found->st.st_mode);
}

/* A file or a folder; 403 for everything else. `root` is of beneath_root(). */
struct files_found files_find(int root, struct str path);
/* A file only. */
struct files_found files_find_file(int root, struct str path);
/* The first of these names in a folder whose path ends with a slash. */
struct files_found files_find_index(int root, struct arena *arena, struct str folder,
                                    const struct str *names, unsigned count);
/* Puts the compressed sibling in place of the file, if there is one that the client takes and that
 * is not older. */
void files_find_sibling(int root, struct arena *arena, const struct message *request,
                        struct files_found *found);

#endif
