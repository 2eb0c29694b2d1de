#include "files/open_files.h"

#include "base/hash.h"
#include "base/text.h"
#include "net/loop.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A path may stand in the places of its own row only: look-ups are short, and the file that has to
 * go is the one of its row that nobody asked for longest. */
enum { WAYS = 4, ROWS = OPEN_FILES_MAX / WAYS };
/* How often files that nobody asks for are looked for. */
#define SWEEP_MS (OPEN_FILES_IDLE_MS / 2)

struct place {
    struct open_file *file; /* NULL: free */
    uint64_t hash;          /* of root and path; equal ones mean the same file or fail the stat */
    uint64_t asked_ms;
    uint64_t seen_turn; /* of the loop, when the system was asked last */
};

struct open_files {
    struct loop *loop;
    struct loop_timer timer;
    struct place rows[ROWS][WAYS];
};

static void empty(struct place *place)
{
    if (place->file != NULL)
        open_file_release(place->file);
    *place = (struct place){0};
}

unsigned open_files_sweep(struct open_files *files, uint64_t now_ms)
{
    unsigned left = 0;
    for (unsigned i = 0; i < ROWS; i++)
        for (unsigned k = 0; k < WAYS; k++) {
            struct place *place = &files->rows[i][k];
            if (place->file != NULL && now_ms - place->asked_ms >= OPEN_FILES_IDLE_MS)
                empty(place);
            left += place->file != NULL;
        }
    return left;
}

static void on_sweep(struct loop_timer *timer)
{
    struct open_files *files = LIST_OF(timer, struct open_files, timer);
    if (open_files_sweep(files, loop_now_ms(files->loop)) != 0)
        timer_set(files->loop, timer, SWEEP_MS);
}

struct open_files *open_files_new(struct loop *loop)
{
    struct open_files *files = calloc(1, sizeof *files);
    if (files == NULL)
        return NULL;
    files->loop = loop;
    files->timer.on_fire = on_sweep;
    return files;
}

void open_files_drop(struct open_files *files)
{
    for (unsigned i = 0; i < ROWS; i++)
        for (unsigned k = 0; k < WAYS; k++)
            empty(&files->rows[i][k]);
}

void open_files_end(struct open_files *files)
{
    if (files == NULL)
        return;
    timer_clear(&files->timer);
    open_files_drop(files);
    free(files);
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && same_time(a->st_mtim, b->st_mtim) &&
           same_time(a->st_ctim, b->st_ctim);
}

void open_file_release(struct open_file *file)
{
    if (--file->users != 0)
        return;
    close(file->fd);
    free(file->bytes);
    free(file);
}

static bool read_whole(int fd, char *into, size_t len)
{
    size_t done = 0;
    ssize_t got;
    while (done < len && (got = pread(fd, into + done, len - done, (off_t)done)) > 0)
        done += (size_t)got;
    return done == len;
}

const char *open_file_bytes(struct open_file *file)
{
    size_t len = (size_t)file->st.st_size;
    struct stat after;
    if (file->bytes != NULL || len == 0 || len > OPEN_FILES_BYTES_MAX)
        return file->bytes;
    char *bytes = malloc(len);
    /* It must not have changed while it was read. */
    if (bytes != NULL && read_whole(file->fd, bytes, len) && fstat(file->fd, &after) == 0 &&
        unchanged(&after, &file->st))
        file->bytes = bytes;
    else
        free(bytes);
    return file->bytes;
}

/* ---- names ---- */

/* "root/path" with its NUL; empty when it is longer than the system takes. */
static struct str whole_path(char memory[PATH_MAX], struct str root, struct str path)
{
    struct text text = text_over(memory, PATH_MAX);
    text_add(&text, root);
    text_add_byte(&text, '/');
    text_add(&text, path);
    text_add_byte(&text, '\0');
    return text_ok(&text) ? text_str(&text) : STR("");
}

/* A change that comes later will bear a later time, even where times are coarse. */
static bool is_settled(const struct stat *st)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return st->st_mtim.tv_sec <= now.tv_sec - OPEN_FILES_SETTLED_S &&
           st->st_ctim.tv_sec <= now.tv_sec - OPEN_FILES_SETTLED_S;
}

static struct place *row_of(struct open_files *files, uint64_t hash)
{
    return files->rows[hash % ROWS];
}

/* ---- finding and keeping ---- */

static bool still_means(const char *whole_z, const struct open_file *file)
{
    struct stat now;
    return stat(whole_z, &now) == 0 && unchanged(&now, &file->st);
}

struct open_file *open_files_find(struct open_files *files, struct str root, struct str path)
{
    char memory[PATH_MAX];
    struct str whole = whole_path(memory, root, path);
    if (whole.len == 0)
        return NULL;
    uint64_t hash = hash_bytes(whole), turn = loop_turns(files->loop);
    struct place *row = row_of(files, hash);
    for (unsigned k = 0; k < WAYS; k++) {
        struct place *place = &row[k];
        if (place->file == NULL || place->hash != hash)
            continue;
        if (place->seen_turn != turn && !still_means(memory, place->file)) {
            empty(place);
            return NULL;
        }
        place->seen_turn = turn;
        place->asked_ms = loop_now_ms(files->loop);
        place->file->users++;
        return place->file;
    }
    return NULL;
}

/* A free place of the row, or the one not asked for longest. */
static struct place *place_for(struct open_files *files, uint64_t hash)
{
    struct place *row = row_of(files, hash), *best = row;
    for (unsigned k = 0; k < WAYS; k++) {
        if (row[k].file == NULL || row[k].hash == hash)
            return &row[k];
        if (row[k].asked_ms < best->asked_ms)
            best = &row[k];
    }
    return best;
}

struct open_file *open_files_keep(struct open_files *files, struct str root, struct str path,
                                  int fd, const struct stat *st)
{
    char memory[PATH_MAX];
    struct str whole = whole_path(memory, root, path);
    if (whole.len == 0 || !S_ISREG(st->st_mode) || !is_settled(st))
        return NULL;
    struct open_file *file = malloc(sizeof *file);
    if (file == NULL)
        return NULL;
    *file = (struct open_file){.fd = fd, .users = 2, .st = *st};
    uint64_t hash = hash_bytes(whole);
    struct place *place = place_for(files, hash);
    empty(place);
    *place = (struct place){.file = file,
                            .hash = hash,
                            .asked_ms = loop_now_ms(files->loop),
                            .seen_turn = loop_turns(files->loop)};
    if (files->timer.at_ms == 0)
        timer_set(files->loop, &files->timer, SWEEP_MS);
    return file;
}
