#include "files/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A path with ".." in a link target may have to be resolved anew when something is renamed. */
#define TRIES 4

/* A NUL-terminated copy, or false with the reason in errno. */
static bool to_z(struct str path, char z[PATH_MAX])
{
    if (path.len >= PATH_MAX || str_find_byte(path, '\0') != SIZE_MAX) {
        errno = path.len >= PATH_MAX ? ENAMETOOLONG : ENOENT;
        return false;
    }
    if (path.len > 0)
        memcpy(z, path.at, path.len);
    z[path.len] = '\0';
    return true;
}

int beneath_root(struct str root)
{
    char z[PATH_MAX];
    if (!to_z(root, z))
        return -errno;
    int fd = open(z, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

int beneath_open(int root, struct str path)
{
    char z[PATH_MAX];
    while (path.len > 0 && path.at[0] == '/')
        path = str_skip(path, 1);
    if (!to_z(path.len > 0 ? path : STR("."), z))
        return -errno;
    struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    for (int tries = 0;; tries++) {
        long fd = syscall(SYS_openat2, root, z, &how, sizeof how);
        if (fd >= 0)
            return (int)fd;
        if ((errno != EAGAIN && errno != EINTR) || tries == TRIES)
            return -errno;
    }
}

bool beneath_is_hidden(struct str path)
{
    struct str segment;
    bool first = true;
    while (str_split(&path, '/', &segment)) {
        if (segment.len == 0)
            continue;
        if (segment.at[0] == '.' && !(first && str_eq(segment, STR(".well-known"))))
            return true;
        first = false;
    }
    return false;
}
