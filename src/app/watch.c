#include "app/watch.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_MS 1000
/* A look may take this part of the time between two looks. */
#define LOOK_SHARE 100
/* ctime runs on the kernel's tick, up to 10 ms behind the clock. */
#define TICK_US 20000

void watch_init(struct watch *watch)
{
    memset(watch, 0, sizeof *watch);
}

void watch_fini(struct watch *watch)
{
    for (size_t i = 0; i < watch->count; i++)
        free(watch->files[i].path);
    free(watch->files);
    watch_init(watch);
}

static bool take_signature(struct watch_file *file)
{
    struct stat st;
    if (stat(file->path, &st) != 0)
        memset(&st, 0, sizeof st);
    bool same = file->changed.tv_sec == st.st_ctim.tv_sec &&
                file->changed.tv_nsec == st.st_ctim.tv_nsec && file->device == st.st_dev &&
                file->inode == st.st_ino && file->size == st.st_size;
    file->changed = st.st_ctim;
    file->device = st.st_dev;
    file->inode = st.st_ino;
    file->size = st.st_size;
    return !same;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct watch_file *)a)->path, ((const struct watch_file *)b)->path);
}

void watch_begin(struct watch *watch)
{
    watch->round++;
    watch->sorted = watch->count;
}

static struct watch_file *find(struct watch *watch, const char *path)
{
    struct watch_file key = {.path = (char *)(uintptr_t)path}; /* @UNSAFE: only compared */
    if (watch->sorted == 0)
        return NULL;
    return bsearch(&key, watch->files, watch->sorted, sizeof key, by_path);
}

void watch_add(struct watch *watch, const char *path)
{
    struct watch_file *known = find(watch, path);
    if (known != NULL) {
        known->round = watch->round;
        return;
    }
    if (watch->count == watch->capacity) {
        size_t capacity = watch->capacity == 0 ? 64 : 2 * watch->capacity;
        struct watch_file *files = realloc(watch->files, capacity * sizeof *files);
        if (files == NULL)
            return; /* it is not watched; `reload` still works */
        watch->files = files;
        watch->capacity = capacity;
    }
    char *copy = strdup(path);
    if (copy == NULL)
        return;
    watch->files[watch->count++] = (struct watch_file){.path = copy, .round = watch->round};
}

/* In the last `ms` milliseconds? What lies in the future was written before the clock was set back,
 * or by another machine's clock: taken for a change it would be one again at each look. */
static bool changed_within(const struct timespec *changed, uint64_t ms)
{
    uint64_t now_us = clock_wall_us();
    uint64_t changed_us = (uint64_t)changed->tv_sec * 1000000 + (uint64_t)changed->tv_nsec / 1000;
    return changed_us <= now_us && now_us - changed_us <= ms * 1000 + TICK_US;
}

void watch_end(struct watch *watch, bool keep, uint64_t load_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < watch->count; i++) {
        struct watch_file *file = &watch->files[i];
        if (!keep && file->round != watch->round) {
            free(file->path);
            continue;
        }
        take_signature(file);
        /* Changed while it was read: perhaps what was read is neither old nor new. */
        if (changed_within(&file->changed, load_ms))
            file->inode = 0;
        watch->files[kept++] = *file;
    }
    watch->count = kept;
    if (kept > 0)
        qsort(watch->files, kept, sizeof *watch->files, by_path);
    watch->unsettled = false;
    watch->next_ms = clock_mono_ms() + LOOK_EVERY_MS;
}

bool watch_look(struct watch *watch, uint64_t now_ms)
{
    if (watch->count == 0 || now_ms < watch->next_ms)
        return false;
    uint64_t began_us = clock_mono_us();
    bool changed = false;
    for (size_t i = 0; i < watch->count; i++) {
        if (!take_signature(&watch->files[i]))
            continue;
        if (!changed && !watch->unsettled)
            snprintf(watch->what, sizeof watch->what, "%s", watch->files[i].path);
        changed = true;
    }
    uint64_t pause_ms = (clock_mono_us() - began_us) * LOOK_SHARE / 1000;
    watch->next_ms = now_ms + (pause_ms > LOOK_EVERY_MS ? pause_ms : LOOK_EVERY_MS);
    bool settled = watch->unsettled && !changed;
    watch->unsettled = changed;
    return settled;
}
