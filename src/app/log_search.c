#include "app/log_search.h"

#include "base/text.h"
#include "observe/log_ring.h"
#include "observe/log_rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Read at once; the longest line fits several times. */
enum { BLOCK_BYTES = 8 * LOG_LINE_MAX, PATH_BYTES_MAX = 4096 };

/* The latest lines of one file that fit: those before them are forgotten. */
struct latest {
    struct str lines[LOG_SEARCH_KEPT];
    uint64_t found;
};

static bool has_pair(struct str line, const char *key, struct str value)
{
    char bytes[256];
    struct text pair = text_over(bytes, sizeof bytes);
    text_printf(&pair, "\"%s\":", key);
    text_add_json(&pair, value);
    return text_ok(&pair) && str_find(line, text_str(&pair)) != SIZE_MAX;
}

/*
 * A quote in a value is escaped, so `"ref":"` can only be the beginning of a member; where a
 * member of an inner object bears the name, the line is shown without need, no more.
 */
bool log_search_fits(const struct log_search *search, struct str line)
{
    if (!str_empty(search->reference))
        return has_pair(line, "ref", search->reference);
    return has_pair(line, "client", search->client) &&
           str_find(line, STR("\"refused_layer\":")) != SIZE_MAX;
}

static void look_at(const struct log_search *search, struct arena *arena, struct latest *latest,
                    struct str line)
{
    if (!log_search_fits(search, line))
        return;
    struct str copy = str_dup(arena, line);
    if (copy.at != NULL)
        latest->lines[latest->found++ % LOG_SEARCH_KEPT] = copy;
}

/* Whole lines of the block; answers how many bytes of a line at its end are left over. */
static size_t look_at_block(const struct log_search *search, struct arena *arena,
                            struct latest *latest, struct str block)
{
    for (;;) {
        size_t end = str_find_byte(block, '\n');
        if (end == SIZE_MAX)
            return block.len;
        look_at(search, arena, latest, str_sub(block, 0, end));
        block = str_skip(block, end + 1);
    }
}

static void read_all(const struct log_search *search, struct arena *arena, struct latest *latest,
                     int fd, char *bytes)
{
    size_t kept = 0;
    ssize_t got;
    while ((got = read(fd, bytes + kept, BLOCK_BYTES - kept)) > 0 || (got < 0 && errno == EINTR)) {
        size_t len = kept + (got > 0 ? (size_t)got : 0);
        kept = look_at_block(search, arena, latest, str_from(bytes, len));
        if (kept == BLOCK_BYTES)
            kept = 0; /* no line of ours is that long */
        memmove(bytes, bytes + len - kept, kept);
    }
    look_at(search, arena, latest, str_from(bytes, kept));
}

/* A line begins with its time, which sorts as text. */
static int latest_first(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    enum { TIME_BYTES = sizeof "{\"time\":\"2026-11-21T12:34:56.789Z\"" - 1 };
    return str_cmp(str_sub(*y, 0, TIME_BYTES), str_sub(*x, 0, TIME_BYTES));
}

static void take_latest(struct log_search *search, const struct latest *latest)
{
    uint64_t first = latest->found > LOG_SEARCH_KEPT ? latest->found - LOG_SEARCH_KEPT : 0;
    unsigned had = search->count;
    for (uint64_t i = latest->found; i > first && search->count < LOG_SEARCH_KEPT; i--)
        search->lines[search->count++] = latest->lines[(i - 1) % LOG_SEARCH_KEPT];
    if (search->count > had)
        qsort(search->lines + had, search->count - had, sizeof *search->lines, latest_first);
}

static bool search_one(struct log_search *search, struct arena *arena, const char *path)
{
    static struct latest latest; /* too big for a stack */
    latest.found = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *bytes = fd < 0 ? NULL : malloc(BLOCK_BYTES);
    if (bytes != NULL) {
        read_all(search, arena, &latest, fd, bytes);
        take_latest(search, &latest);
        search->files++;
    }
    free(bytes);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return bytes != NULL;
}

bool log_search_file(struct log_search *search, struct arena *arena, const char *path)
{
    char elder[PATH_BYTES_MAX];
    if (!search_one(search, arena, path))
        return false;
    for (unsigned i = 1; i <= LOG_KEEP_MAX && search->count < search->most; i++) {
        int len = snprintf(elder, sizeof elder, "%s.%u", path, i);
        if (len < 0 || (size_t)len >= sizeof elder || !search_one(search, arena, elder))
            break;
    }
    return true;
}
