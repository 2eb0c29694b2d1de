#include "files/files_find.h"

#include "files/beneath.h"
#include "files/open_files.h"

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

void files_root_close(struct files_root *root)
{
    if (root->fd >= 0)
        close(root->fd);
    root->fd = -1;
}

void files_find_end(struct files_found *found)
{
    if (found->shared != NULL)
        open_file_release(found->shared);
    else if (found->fd >= 0)
        close(found->fd);
    found->shared = NULL;
    found->fd = -1;
}

static struct files_found share(struct open_file *file, struct str path)
{
    return (struct files_found){.fd = file->fd, .shared = file, .st = file->st, .path = path};
}

static int open_beneath(struct files_root *root, struct str path)
{
    if (root->fd < 0)
        root->fd = beneath_root(root->path);
    return root->fd < 0 ? root->fd : beneath_open(root->fd, path);
}

/* What has just been opened, kept open where that is allowed. */
static struct files_found keep(struct files_root *root, struct files_found found)
{
    struct open_file *file = NULL;
    if (root->files != NULL)
        file = open_files_keep(root->files, root->path, found.path, found.fd, &found.st);
    return file != NULL ? share(file, found.path) : found;
}

struct files_found files_find(struct files_root *root, struct str path)
{
    struct open_file *file =
        root->files != NULL ? open_files_find(root->files, root->path, path) : NULL;
    if (file != NULL)
        return share(file, path);
    int fd = open_beneath(root, path);
    if (fd < 0)
        return files_find_nothing(files_find_status(-fd));
    struct files_found found = {.fd = fd, .path = path};
    int error = fstat(fd, &found.st) == 0 ? 0 : errno;
    if (error == 0 && (S_ISREG(found.st.st_mode) || S_ISDIR(found.st.st_mode)))
        return keep(root, found);
    close(fd);
    return files_find_nothing(error == 0 ? 403 : files_find_status(error));
}

struct files_found files_find_file(struct files_root *root, struct str path)
{
    struct files_found found = files_find(root, path);
    if (!files_find_is_folder(&found))
        return found;
    files_find_end(&found);
    return files_find_nothing(404);
}

struct files_found files_find_index(struct files_root *root, struct arena *arena, struct str folder,
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

void files_find_sibling(struct files_root *root, struct arena *arena, const struct message *request,
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
            files_find_end(found);
            found->fd = sibling.fd;
            found->shared = sibling.shared;
            found->st = sibling.st;
            found->coding = coding;
            return;
        }
        files_find_end(&sibling);
    }
}
