/*
 * Log files, for the process that may open them. A log directory may belong to a less privileged
 * user, so opening follows no symbolic link and takes only regular files that have one name: a root
 * process must not be led to append to somebody else's file.
 */
#ifndef PC_OBSERVE_LOG_ROTATE_H
#define PC_OBSERVE_LOG_ROTATE_H

#include <stdbool.h>
#include <stdint.h>

/* Readable by the owner and its group, as logs hold addresses of people. */
enum { LOG_FILE_MODE = 0640, LOG_KEEP_MAX = 1000 };

/*
 * Opens for appending, creates with LOG_FILE_MODE (less the umask). -1 with `*why` set to a
 * phrase: "it is a symbolic link", "Permission denied".
 */
int log_open_file(const char *path, const char **why) __attribute__((warn_unused_result));

/* True when the file at `path` has reached this size: two writers may ask for one rotation. */
bool log_rotate_due(const char *path, uint64_t rotate_bytes);

/*
 * path.(keep-1) -> path.keep, … path.1 -> path.2, path -> path.1; with keep 0 the file is removed.
 * False with errno when the file itself could not be moved; then the caller goes on with it.
 */
bool log_rotate_files(const char *path, unsigned keep) __attribute__((warn_unused_result));

#endif
