/*
 * What a path below a root leads to: a regular file or a folder that is open for reading, or a
 * status that says why not. What is not there and what leads out of the root are the same: 404.
 */
#ifndef PC_FILES_FILES_FIND_H
#define PC_FILES_FILES_FIND_H

#include "files/coding.h"

#include <sys/stat.h>

struct open_file;
struct open_files;

/* Where a search begins. The root is opened when it is needed first: a file that is still open from
 * before needs none. */
struct files_root {
    struct str path;          /* absolute */
    struct open_files *files; /* of this thread; NULL: nothing is kept open */
    int fd;                   /* of beneath_root(); -1: not opened yet */
};

struct files_found {
    int fd;                   /* -1: nothing. To be ended by files_find_end() */
    struct open_file *shared; /* whose `fd` is, or NULL: the caller's own */
    unsigned status;          /* of nothing: 403, 404, 500, 503 */
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

void files_root_close(struct files_root *root);

/* Closes what was found, or gives it back. */
void files_find_end(struct files_found *found);

/* A file or a folder; 403 for everything else. */
struct files_found files_find(struct files_root *root, struct str path);
/* A file only. */
struct files_found files_find_file(struct files_root *root, struct str path);
/* The first of these names in a folder whose path ends with a slash. */
struct files_found files_find_index(struct files_root *root, struct arena *arena, struct str folder,
                                    const struct str *names, unsigned count);
/* Puts the compressed sibling in place of the file, if there is one that the client takes and that
 * is not older. */
void files_find_sibling(struct files_root *root, struct arena *arena, const struct message *request,
                        struct files_found *found);

#endif
