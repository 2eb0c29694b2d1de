#include "base/arena.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "alloc_fail.h"
#undef malloc
#undef calloc
#undef realloc
#undef strdup
#undef arena_new
#include <setjmp.h>

#include <cmocka.h>
#undef malloc
#undef calloc
#undef realloc

static _Thread_local uint64_t countdown;
static _Thread_local bool fell;

void alloc_fail_at(uint64_t n)
{
    countdown = n;
    fell = false;
}

bool alloc_has_failed(void)
{
    return fell;
}

/* ---- what failed where ---- */

extern const char __executable_start[];

static void write_down(void)
{
    const char *folder = getenv("PC_ALLOC_SITES");
    if (folder == NULL)
        return;
    void *calls[48];
    int count = backtrace(calls, 48);
    char line[2048], path[512];
    size_t len = 0;
    for (int i = 1; i < count; i++)
        len += (size_t)snprintf(line + len, sizeof line - len, "%lx ",
                                (unsigned long)((const char *)calls[i] - __executable_start));
    line[len++] = '\n';
    snprintf(path, sizeof path, "%s/%s", folder, program_invocation_short_name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, line, len) < 0)
        fail_msg("%s cannot be written", path);
    close(fd);
}

static bool fails_now(void)
{
    if (countdown == 0 || --countdown != 0)
        return false;
    fell = true;
    write_down();
    errno = ENOMEM;
    return true;
}

/* ---- the functions that ld calls instead (-Wl,--wrap) ---- */

void *__real_aligned_alloc(size_t alignment, size_t bytes);
char *__real_strndup(const char *text, size_t len);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
struct arena *__real_arena_new(size_t cap_bytes, size_t chunk_bytes);
void *__real_arena_alloc(struct arena *arena, size_t bytes);
void *__real_arena_array(struct arena *arena, size_t count, size_t bytes_each);
bool __real_arena_defer(struct arena *arena, void (*function)(void *), void *argument);

void *__wrap_malloc(size_t bytes)
{
    return fails_now() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails_now() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return fails_now() ? NULL : __real_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return fails_now() ? NULL : __real_aligned_alloc(alignment, bytes);
}

char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
    return fails_now() ? NULL : __real_strndup(text, len);
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    return fails_now() ? MAP_FAILED : __real_mmap(at, len, prot, flags, fd, offset);
}

__attribute__((format(printf, 2, 0))) static int print(char **text, const char *format,
                                                       va_list args)
{
    if (!fails_now())
        return vasprintf(text, format, args);
    *text = NULL;
    return -1;
}

__attribute__((format(printf, 2, 3))) int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = print(text, format, args);
    va_end(args);
    return len;
}

/* What _FORTIFY_SOURCE makes of it. */
__attribute__((format(printf, 3, 4))) int __wrap___asprintf_chk(char **text, int flag,
                                                                const char *format, ...)
{
    (void)flag;
    va_list args;
    va_start(args, format);
    int len = print(text, format, args);
    va_end(args);
    return len;
}

/* An arena's own calls of malloc() are counted too, where a chunk is full: so each may fail twice.
 * What fails by arena_fail_at() or at a cap is written down as well. */
static void *told(void *got)
{
    if (got == NULL)
        write_down();
    return got;
}

struct arena *__wrap_arena_new(size_t cap_bytes, size_t chunk_bytes)
{
    return fails_now() ? NULL : told(__real_arena_new(cap_bytes, chunk_bytes));
}

void *__wrap_arena_alloc(struct arena *arena, size_t bytes)
{
    return fails_now() ? NULL : told(__real_arena_alloc(arena, bytes));
}

void *__wrap_arena_array(struct arena *arena, size_t count, size_t bytes_each)
{
    return fails_now() ? NULL : told(__real_arena_array(arena, count, bytes_each));
}

bool __wrap_arena_defer(struct arena *arena, void (*function)(void *), void *argument)
{
    if (fails_now())
        return false;
    bool registered = __real_arena_defer(arena, function, argument);
    if (!registered)
        write_down();
    return registered;
}

struct arena *alloc_spared_arena(size_t cap_bytes, size_t chunk_bytes)
{
    uint64_t left = countdown;
    countdown = 0;
    struct arena *arena = __real_arena_new(cap_bytes, chunk_bytes);
    assert_non_null(arena);
    countdown = left;
    return arena;
}

/* ---- walking ---- */

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* More than any attempt asks for: it would not end otherwise. */
enum { ATTEMPTS_MAX = 20000 };

unsigned alloc_walk(void (*attempt)(void *state), void *state)
{
    attempt(state);
    unsigned open = open_descriptors();
    for (unsigned n = 1; n < ATTEMPTS_MAX; n++) {
        alloc_fail_at(n);
        attempt(state);
        bool failed = alloc_has_failed();
        alloc_fail_at(0);
        if (open_descriptors() != open)
            fail_msg("%u descriptors were open, %u are since allocation %u failed", open,
                     open_descriptors(), n);
        if (!failed)
            return n - 1;
    }
    fail_msg("allocations without end");
    return 0;
}
