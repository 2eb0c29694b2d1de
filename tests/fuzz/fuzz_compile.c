/*
 * A configuration compiled from a pack, so that no file is opened: whatever it says, it is compiled
 * or told wrong, and a second load of the same shares every site.
 */
#include "base/arena.h"
#include "config/compile.h"

#include <stdlib.h>
#include <unistd.h>

static struct source_set *pack_of(struct str bytes)
{
    struct source_set *disk = source_set_disk();
    int fd = -1, keys = -1;
    if (disk == NULL || !source_put(disk, SOURCE_CONF, STR("/x.conf"), bytes) ||
        !source_put(disk, SOURCE_DATA, STR("/moved"), STR("/a /b\n/c https://d.example/ 301\n")) ||
        !source_set_pack(disk, &fd, &keys))
        abort();
    struct source_set *set = source_set_unpack(fd, keys);
    source_set_end(disk);
    close(fd);
    close(keys);
    return set;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new((size_t)256 << 20, 4096);
    struct source_set *set = pack_of(str_from(data, size));
    struct diag diag;
    diag_init(&diag, arena);
    struct snapshot *first = compile_snapshot(set, STR("/x.conf"), NULL, NULL, &diag);
    if ((first == NULL) != (diag.errors != 0))
        abort();
    struct snapshot *second =
        first ? compile_snapshot(set, STR("/x.conf"), first, NULL, &diag) : NULL;
    for (size_t i = 0; first != NULL && i < first->site_count; i++)
        if (second == NULL || second->sites[i] != first->sites[i])
            abort();
    snapshot_end(second);
    snapshot_end(first);
    source_set_end(set);
    arena_end(arena);
    return 0;
}
