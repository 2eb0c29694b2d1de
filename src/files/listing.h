/*
 * The listing of a directory, as a page or as JSON: folders first, then files, each by name; what
 * the server would not hand out (dotfiles, FIFOs, devices, links that leave the root) is not shown.
 */
#ifndef PC_FILES_LISTING_H
#define PC_FILES_LISTING_H

#include "base/text.h"

/* Entries above this are left out and the listing says so: a page longer than this helps nobody,
 * and each entry costs a system call on the loop's thread. */
#define LISTING_ENTRIES_MAX 2000
/* Room for that many names of the longest kind, escaped. */
#define LISTING_BYTES_MAX ((size_t)8 * 1024 * 1024)

enum listing_form { LISTING_HTML, LISTING_JSON };

/*
 * Reads the directory `fd` (which stays open), known to the client as `path` below `root`, and
 * writes it into the arena. False at the arena's cap or when the directory cannot be read.
 *
 * JSON: {"path":…,"entries":[{"name":…,"type":"folder"|"file","bytes":…,"modified":RFC 3339}…],
 * "more":true|false}; folders have no bytes.
 */
bool listing_write(struct arena *arena, int root, int fd, struct str path, enum listing_form form,
                   struct str *written) __attribute__((warn_unused_result));

#endif
