#include "app/holder.h"

#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- /proc/net/tcp ---- */

static bool next_field(struct str *rest, struct str *field)
{
    *rest = str_trim(*rest);
    return str_split(rest, ' ', field);
}

/* "0100007F:1F90": words of 32 bits as the host stores them, then the port. */
static bool parse_local(struct str s, struct addr *addr)
{
    memset(addr, 0, sizeof *addr);
    size_t colon = str_find_byte(s, ':');
    if (colon != 8 && colon != 32)
        return false;
    uint64_t port;
    if (!str_to_hex64(str_skip(s, colon + 1), &port) || port > UINT16_MAX)
        return false;
    for (size_t at = 0; at < colon; at += 8) {
        uint64_t wide;
        if (!str_to_hex64(str_sub(s, at, 8), &wide))
            return false;
        uint32_t word = (uint32_t)wide;
        memcpy(addr->ip + at / 2, &word, sizeof word);
    }
    addr->family = colon == 8 ? ADDR_IP4 : ADDR_IP6;
    addr->port = (uint16_t)port;
    return true;
}

bool holder_parse_line(struct str line, struct holder_socket *socket)
{
    /* sl local remote st tx:rx tr:tm retrnsmt uid timeout inode … */
    enum { LOCAL = 1, STATE = 3, UID = 7, INODE = 9, FIELDS };
    struct str field[FIELDS];
    for (int i = 0; i < FIELDS; i++)
        if (!next_field(&line, &field[i]))
            return false;
    uint64_t uid;
    if (!parse_local(field[LOCAL], &socket->local) || !str_to_u64(field[UID], UINT32_MAX, &uid) ||
        !str_to_u64(field[INODE], UINT64_MAX, &socket->inode))
        return false;
    socket->uid = (uint32_t)uid;
    socket->listening = str_eq(field[STATE], STR("0A"));
    return true;
}

static bool is_wildcard(const struct addr *a)
{
    static const uint8_t zero[16];
    return memcmp(a->ip, zero, a->family == ADDR_IP4 ? 4 : 16) == 0;
}

/* Would a socket there be in the way of one here? */
static bool collides(const struct addr *there, const struct addr *here)
{
    if (there->port != here->port)
        return false;
    if (there->family != here->family)
        return is_wildcard(there) || is_wildcard(here);
    return is_wildcard(there) || is_wildcard(here) || addr_eq_host(there, here);
}

static bool find_socket(const char *table, const struct addr *addr, struct holder_socket *found)
{
    FILE *file = fopen(table, "re");
    if (file == NULL)
        return false;
    char *line = NULL;
    size_t size = 0;
    bool hit = false;
    ssize_t len;
    while (!hit && (len = getline(&line, &size, file)) > 0)
        hit = holder_parse_line(str_from(line, (size_t)len), found) && found->listening &&
              collides(&found->local, addr);
    free(line);
    fclose(file);
    return hit;
}

/* ---- /proc/PID ---- */

static bool read_small(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, out, size - 1);
    close(fd);
    if (got < 0)
        return false;
    out[got] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return true;
}

static bool has_inode(pid_t pid, const char *wanted)
{
    char path[64], target[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return false;
    bool hit = false;
    for (struct dirent *e; !hit && (e = readdir(dir)) != NULL;) {
        ssize_t len = readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);
        if (len <= 0)
            continue;
        target[len] = '\0';
        hit = strcmp(target, wanted) == 0;
    }
    closedir(dir);
    return hit;
}

/* The parent, from "812 (nginx) S 1 …"; the name may hold anything, so look from its end. */
static pid_t parent_of(pid_t pid)
{
    char path[64], stat[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!read_small(path, stat, sizeof stat))
        return 0;
    const char *end = strrchr(stat, ')');
    int parent = 0;
    return end != NULL && sscanf(end + 1, " %*c %d", &parent) == 1 ? (pid_t)parent : 0;
}

/* Children inherit listeners; the one to name is the eldest, whose parent does not hold it. */
static void find_process(uint64_t inode, struct holder *holder)
{
    char wanted[64], path[64];
    snprintf(wanted, sizeof wanted, "socket:[%llu]", (unsigned long long)inode);
    DIR *dir = opendir("/proc");
    if (dir == NULL)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10); /* 0 for what is no number */
        if (pid <= 0 || !has_inode(pid, wanted))
            continue;
        if (pid == getpid() || parent_of(pid) == getpid())
            holder->ours = true;
        if (holder->pid != 0 && parent_of(pid) == holder->pid)
            continue;
        snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
        if (holder->pid == 0 || pid < holder->pid)
            if (read_small(path, holder->name, sizeof holder->name))
                holder->pid = pid;
    }
    closedir(dir);
}

bool holder_find(const struct addr *addr, struct holder *holder)
{
    struct holder_socket found;
    memset(holder, 0, sizeof *holder);
    if (!find_socket("/proc/net/tcp", addr, &found) && !find_socket("/proc/net/tcp6", addr, &found))
        return false;
    holder->uid = found.uid;
    find_process(found.inode, holder);
    return true;
}

void holder_add_text(struct text *text, const struct holder *holder)
{
    if (holder->pid == 0) {
        text_printf(text, "a process of user %u", holder->uid);
        return;
    }
    text_add_escaped(text, str_from_z(holder->name));
    text_printf(text, " (pid %d)", (int)holder->pid);
}
