#include "app/log_files.h"

#include "base/log.h"
#include "observe/log_rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LOOK_EVERY_MS 1000

void log_files_init(struct log_files *logs)
{
    memset(logs, 0, sizeof *logs);
    for (unsigned i = 0; i < LOG_FILES_MAX; i++)
        logs->slots[i].fd = -1;
}

static void slot_close(struct log_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    memset(file, 0, sizeof *file);
    file->fd = -1;
}

void log_files_fini(struct log_files *logs)
{
    for (unsigned i = 0; i < LOG_FILES_MAX; i++)
        slot_close(&logs->slots[i]);
}

/* ---- opening ---- */

static int open_syslog(void)
{
    static const struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int open_path(const char *path, const char **why)
{
    int fd;
    if (path[0] == '/')
        return log_open_file(path, why);
    fd = strcmp(path, "syslog") == 0 ? open_syslog() : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    *why = strerror(errno);
    return fd;
}

static struct log_file *find(struct log_files *logs, const char *path)
{
    for (unsigned i = 0; i < LOG_FILES_MAX; i++)
        if (logs->slots[i].fd >= 0 && strcmp(logs->slots[i].conf.path, path) == 0)
            return &logs->slots[i];
    return NULL;
}

/* A slot never used, else one that no present configuration names. */
static struct log_file *free_slot(struct log_files *logs)
{
    struct log_file *unwanted = NULL;
    for (unsigned i = 0; i < LOG_FILES_MAX; i++) {
        struct log_file *file = &logs->slots[i];
        if (file->fd < 0)
            return file;
        if (!file->wanted && !file->fresh)
            unwanted = file;
    }
    if (unwanted != NULL)
        slot_close(unwanted);
    return unwanted;
}

static bool open_slot(struct log_files *logs, const struct letter_log_file *conf, char *why,
                      size_t why_bytes)
{
    struct log_file *file = free_slot(logs);
    if (file == NULL) {
        snprintf(why, why_bytes, "old and new configuration name more than %d log files together",
                 LOG_FILES_MAX);
        return false;
    }
    const char *reason;
    int fd = open_path(conf->path, &reason);
    if (fd < 0) {
        snprintf(why, why_bytes, "the log %s cannot be opened: %s", conf->path, reason);
        return false;
    }
    *file = (struct log_file){.fd = fd,
                              .fresh = true,
                              .syslog = strcmp(conf->path, "syslog") == 0,
                              .id = conf->id,
                              .conf = *conf};
    return true;
}

bool log_files_want(struct log_files *logs, const struct load_form *form, char *why,
                    size_t why_bytes)
{
    for (unsigned i = 0; i < form->log_count; i++) {
        if (find(logs, form->logs[i].path) != NULL)
            continue;
        if (open_slot(logs, &form->logs[i], why, why_bytes))
            continue;
        for (unsigned k = 0; k < LOG_FILES_MAX; k++)
            if (logs->slots[k].fresh)
                slot_close(&logs->slots[k]);
        return false;
    }
    return true;
}

void log_files_keep(struct log_files *logs, const struct load_form *form)
{
    for (unsigned i = 0; i < LOG_FILES_MAX; i++)
        logs->slots[i].wanted = logs->slots[i].fresh = false;
    for (unsigned i = 0; i < form->log_count; i++) {
        struct log_file *file = find(logs, form->logs[i].path);
        if (file == NULL)
            continue;
        file->wanted = true;
        file->conf = form->logs[i];
    }
}

/* ---- again ---- */

static bool reopen(struct log_file *file)
{
    const char *reason;
    int fd = open_path(file->conf.path, &reason);
    if (fd < 0) {
        log_error("the log %s cannot be opened again: %s", file->conf.path, reason);
        return false;
    }
    close(file->fd);
    file->fd = fd;
    return true;
}

bool log_files_reopen(struct log_files *logs, unsigned slot)
{
    struct log_file *file = &logs->slots[slot];
    return file->fd >= 0 && strcmp(file->conf.path, "stderr") != 0 && reopen(file);
}

bool log_files_look(struct log_files *logs, unsigned slot, uint64_t now_ms)
{
    struct log_file *file = &logs->slots[slot];
    if (file->fd < 0 || now_ms - file->looked_ms < LOOK_EVERY_MS)
        return false;
    file->looked_ms = now_ms;
    if (file->syslog)
        return reopen(file);
    if (file->conf.path[0] != '/' || file->conf.rotate_bytes == 0 ||
        !log_rotate_due(file->conf.path, file->conf.rotate_bytes))
        return false;
    if (!log_rotate_files(file->conf.path, file->conf.keep)) {
        log_error("the log %s cannot be rotated: %s", file->conf.path, strerror(errno));
        return false;
    }
    return reopen(file);
}
