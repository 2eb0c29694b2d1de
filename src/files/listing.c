#include "files/listing.h"

#include "base/arena.h"
#include "base/clock.h"
#include "files/beneath.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Entries looked at, those that are not shown included. */
#define SEEN_MAX (4 * LISTING_ENTRIES_MAX)

struct entry {
    struct str name;
    bool folder;
    uint64_t bytes;
    int64_t modified_s;
};

struct folder {
    struct arena *arena;
    int root, fd;
    struct str path; /* ends with a slash */
    struct entry *entries;
    size_t count;
    bool more; /* entries were left out */
};

/* What stands behind a symbolic link, if it may be handed out. */
static bool stat_link(const struct folder *folder, struct str name, struct stat *st)
{
    struct text text = text_in(folder->arena, folder->path.len + name.len);
    text_add(&text, folder->path);
    text_add(&text, name);
    int fd = text_ok(&text) ? beneath_open(folder->root, text_str(&text)) : -1;
    if (fd < 0)
        return false;
    bool ok = fstat(fd, st) == 0;
    close(fd);
    return ok;
}

/* False when the entry is not to be shown. */
static bool read_entry(const struct folder *folder, const char *name, struct entry *entry)
{
    struct stat st;
    if (name[0] == '.' || fstatat(folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    entry->name = str_dup(folder->arena, str_from_z(name));
    if (entry->name.at == NULL || (S_ISLNK(st.st_mode) && !stat_link(folder, entry->name, &st)) ||
        !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return false;
    entry->folder = S_ISDIR(st.st_mode);
    entry->bytes = (uint64_t)st.st_size;
    entry->modified_s = st.st_mtim.tv_sec < 0 ? 0 : st.st_mtim.tv_sec;
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->folder != y->folder ? (x->folder ? -1 : 1) : str_cmp(x->name, y->name);
}

static bool read_folder(struct folder *folder)
{
    folder->entries = arena_array(folder->arena, LISTING_ENTRIES_MAX, sizeof(struct entry));
    int copy = folder->entries != NULL ? fcntl(folder->fd, F_DUPFD_CLOEXEC, 0) : -1;
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (dir == NULL) {
        if (copy >= 0)
            close(copy);
        return false;
    }
    const struct dirent *at;
    for (unsigned seen = 0; (at = readdir(dir)) != NULL && !folder->more; seen++) {
        struct entry entry;
        if (seen == SEEN_MAX) {
            folder->more = true;
            break;
        }
        if (!read_entry(folder, at->d_name, &entry))
            continue;
        if (folder->count == LISTING_ENTRIES_MAX)
            folder->more = true;
        else
            folder->entries[folder->count++] = entry;
    }
    closedir(dir);
    qsort(folder->entries, folder->count, sizeof *folder->entries, compare);
    return true;
}

/* The link begins with "./", so that a colon in the name makes no scheme of it. */
static void html_entry(struct text *text, const struct entry *entry)
{
    text_add_z(text, "<tr><td><a href=\"./");
    text_add_percent(text, entry->name, "");
    text_add_z(text, entry->folder ? "/\">" : "\">");
    text_add_html(text, entry->name);
    text_add_z(text, entry->folder ? "/</a><td>" : "</a><td>");
    if (!entry->folder)
        text_add_u64(text, entry->bytes);
    text_add_z(text, "<td>");
    clock_add_rfc3339(text, (uint64_t)entry->modified_s * 1000000);
    text_add_byte(text, '\n');
}

static void html_page(struct text *text, const struct folder *folder)
{
    text_add_z(text, "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    text_add_html(text, folder->path);
    text_add_z(text, "</title>\n<style>body{font:1rem/1.5 sans-serif;margin:2rem}"
                     "td,th{padding:0 2rem 0 0;text-align:left}"
                     "td:nth-child(2){text-align:right}</style>\n<h1>");
    text_add_html(text, folder->path);
    text_add_z(text, "</h1>\n<table>\n<tr><th>Name<th>Bytes<th>Modified\n");
    if (folder->path.len > 1)
        text_add_z(text, "<tr><td><a href=\"../\">../</a><td><td>\n");
    for (size_t i = 0; i < folder->count; i++)
        html_entry(text, &folder->entries[i]);
    text_add_z(text, "</table>\n");
    if (folder->more)
        text_add_z(text, "<p>There is more than is shown here.\n");
}

static void json_entry(struct text *text, const struct entry *entry)
{
    text_add_z(text, "{\"name\":");
    text_add_json(text, entry->name);
    text_add_z(text, entry->folder ? ",\"type\":\"folder\"" : ",\"type\":\"file\",\"bytes\":");
    if (!entry->folder)
        text_add_u64(text, entry->bytes);
    text_add_z(text, ",\"modified\":\"");
    clock_add_rfc3339(text, (uint64_t)entry->modified_s * 1000000);
    text_add_z(text, "\"}");
}

static void json_document(struct text *text, const struct folder *folder)
{
    text_add_z(text, "{\"path\":");
    text_add_json(text, folder->path);
    text_add_z(text, ",\"entries\":[");
    for (size_t i = 0; i < folder->count; i++) {
        text_add_z(text, i > 0 ? ",\n" : "\n");
        json_entry(text, &folder->entries[i]);
    }
    text_add_z(text, folder->more ? "\n],\"more\":true}\n" : "\n],\"more\":false}\n");
}

bool listing_write(struct arena *arena, int root, int fd, struct str path, enum listing_form form,
                   struct str *written)
{
    struct folder folder = {.arena = arena, .root = root, .fd = fd, .path = path};
    if (!read_folder(&folder))
        return false;
    struct text text = text_in(arena, LISTING_BYTES_MAX);
    if (form == LISTING_JSON)
        json_document(&text, &folder);
    else
        html_page(&text, &folder);
    *written = text_str(&text);
    return text_ok(&text);
}
