#include "observe/log_rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* NULL when the open file may be written as a log. */
static const char *file_trouble(int fd)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return strerror(errno);
    if (!S_ISREG(info.st_mode))
        return "it is not a regular file";
    if (info.st_nlink > 1)
        return "it has more than one name (hard links)";
    return NULL;
}

int log_open_file(const char *path, const char **why)
{
    /* O_NONBLOCK: a FIFO without a reader must not hold us up. */
    int fd =
        open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
             LOG_FILE_MODE);
    if (fd < 0) {
        *why = errno == ELOOP   ? "it is a symbolic link"
               : errno == ENXIO ? "it is not a regular file"
                                : strerror(errno);
        return -1;
    }
    *why = file_trouble(fd);
    if (*why != NULL) {
        close(fd);
        return -1;
    }
    return fd;
}

bool log_rotate_due(const char *path, uint64_t rotate_bytes)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISREG(info.st_mode) &&
           (uint64_t)info.st_size >= rotate_bytes;
}

/* "path.n"; false when that is too long. */
static bool numbered(char out[PATH_MAX], const char *path, unsigned n)
{
    int len =
        n == 0 ? snprintf(out, PATH_MAX, "%s", path) : snprintf(out, PATH_MAX, "%s.%u", path, n);
    return len > 0 && len < PATH_MAX;
}

bool log_rotate_files(const char *path, unsigned keep)
{
    char from[PATH_MAX], to[PATH_MAX];
    if (keep == 0)
        return unlink(path) == 0;
    for (unsigned n = keep > LOG_KEEP_MAX ? LOG_KEEP_MAX : keep; n > 0; n--) {
        if (!numbered(from, path, n - 1) || !numbered(to, path, n)) {
            errno = ENAMETOOLONG;
            return false;
        }
        /* Of the older ones some may not exist; only the file itself matters. */
        if (rename(from, to) != 0 && n == 1)
            return false;
    }
    return true;
}
