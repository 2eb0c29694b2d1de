/*
 * The access log's files. The supervisor opens them, since the worker may open none, and hands the
 * descriptors on; it opens them anew after a rotation and on SIGUSR1. Each has a slot, by which
 * worker and supervisor speak of it; a slot stays with its path for as long as there is room, since
 * exchanges that began under an older configuration still write to it.
 */
#ifndef PC_APP_LOG_FILES_H
#define PC_APP_LOG_FILES_H

#include "app/load_form.h"

struct log_file {
    int fd;      /* -1: the slot is free */
    bool wanted; /* by the present configuration */
    bool fresh;  /* opened by the load under way */
    bool syslog;
    uint64_t looked_ms;
    uint64_t id; /* as the snapshot names it */
    struct letter_log_file conf;
};

struct log_files {
    struct log_file slots[LOG_FILES_MAX];
};

void log_files_init(struct log_files *logs);
void log_files_fini(struct log_files *logs);

/* Opens what a form names and is not open. All or nothing; false with the reason. */
bool log_files_want(struct log_files *logs, const struct load_form *form, char *why,
                    size_t why_bytes) __attribute__((warn_unused_result));
/* The load is served by (or, with the old form, was given up). */
void log_files_keep(struct log_files *logs, const struct load_form *form);

/* The file by that name again: it was moved away. On failure, which is logged, the old one stays.
 */
bool log_files_reopen(struct log_files *logs, unsigned slot) __attribute__((warn_unused_result));
/*
 * The worker says that something is the matter with a slot: rotates a file that has reached its
 * size, connects to syslog again. True when there is another descriptor. The worker's word is not
 * taken for it, and it is heard once a second.
 */
bool log_files_look(struct log_files *logs, unsigned slot, uint64_t now_ms)
    __attribute__((warn_unused_result));

#endif
