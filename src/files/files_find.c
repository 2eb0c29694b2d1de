#include "files/files_find.h"

#include "files/beneath.h"

#include <errno.h>
#include <unistd.h>

unsigned files_find_status(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
    case ENXIO: /* a socket */
    case ENODEV:
        return 403;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV:
    case ENAMETOOLONG:
    case EINVAL:
        return 404;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
        return 503;
    default:
        return 500;
    }
}

struct files_found files_find(int root, struct str path)
{
    int fd = beneath_open(root, path);
    if (fd < 0)
        return files_find_nothing(files_find_status(-fd));
    struct files_found found = {.fd = fd, .path = path};
    int error = fstat(fd, &found.st) == 0 ? 0 : errno;
    if (error == 0 && (S_ISREG(found.st.st_mode) || S_ISDIR(found.st.st_mode)))
        return found;
    close(fd);
    return files_find_nothing(error == 0 ? 403 : files_find_status(error));
}

struct files_found files_find_file(int root, struct str path)
{
    struct files_found found = files_find(root, path);
    if (!files_find_is_folder(&found))
        return found;
    close(found.fd);
    return files_find_nothing(404);
}

struct files_found files_find_index(int root, struct arena *arena, struct str folder,
                                    const struct str *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct str path = str_printf(arena, "%.*s%.*s", STR_ARG(folder), STR_ARG(names[i]));
        if (path.at == NULL)
            return files_find_nothing(503);
        struct files_found found = files_find_file(root, path);
        if (found.fd >= 0 || found.status != 404)
            return found;
    }
    return files_find_nothing(404);
}

void files_find_sibling(int root, struct arena *arena, const struct message *request,
                        struct files_found *found)
{
    /* smallest first: these were made beforehand, at the highest level */
    static const enum coding order[CODING_COUNT - 1] = {CODING_BROTLI, CODING_ZSTD, CODING_GZIP};
    struct coding_wish wish = coding_wished(request);
    unsigned offered = 1U << CODING_BROTLI | 1U << CODING_ZSTD | 1U << CODING_GZIP;
    enum coding coding;
    while ((coding = coding_best(&wish, offered, order)) != CODING_IDENTITY) {
        offered &= ~(1U << coding);
        struct str path =
            str_printf(arena, "%.*s%.*s", STR_ARG(found->path), STR_ARG(coding_extension(coding)));
        struct files_found sibling =
            path.at != NULL ? files_find_file(root, path) : files_find_nothing(503);
        if (sibling.fd < 0)
            continue;
        const struct timespec *a = &found->st.st_mtim, *b = &sibling.st.st_mtim;
        if (b->tv_sec > a->tv_sec || (b->tv_sec == a->tv_sec && b->tv_nsec >= a->tv_nsec)) {
            close(found->fd);
            found->fd = sibling.fd;
            found->st = sibling.st;
            found->coding = coding;
            return;
        }
        close(sibling.fd);
    }
}
