/* A pack of texts as a damaged or hostile loader might hand it over. */
#include "config/source.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static int sealed(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && write(fd, data, size) == (ssize_t)size)
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t cut = 1 + data[0] * (size - 1) / 255; /* the first byte says where the keys begin */
    int fd = sealed(data + 1, cut - 1);
    int keys = sealed(data + cut, size - cut);
    struct source_set *set = source_set_unpack(fd, keys);
    for (const struct source *s = set ? source_first(set) : NULL; s; s = s->next)
        if (source_get(set, s->kind, s->name) != s)
            __builtin_trap();
    source_set_end(set);
    close(fd);
    close(keys);
    return 0;
}
