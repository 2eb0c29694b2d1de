/*
 * What the supervisor takes from the loader's answer: a form of fixed size, filled in letter by
 * letter. It knows nothing else about a configuration.
 */
#ifndef PC_APP_LOAD_FORM_H
#define PC_APP_LOAD_FORM_H

#include "app/channel.h"

struct load_form {
    bool has_settings;
    struct letter_settings settings;
    struct letter_addr addrs[ADDRS_MAX];
    unsigned addr_count;
    struct letter_log_file logs[LOG_FILES_MAX];
    unsigned log_count;
    struct letter_root roots[ROOTS_MAX];
    unsigned root_count;
    unsigned warnings;
};

/* False when the letter does not fit what came before: twice the same, too many, out of order. */
bool load_form_take(struct load_form *form, const struct letter *letter)
    __attribute__((warn_unused_result));
/* Nothing is missing. */
bool load_form_complete(const struct load_form *form);
/* Threads of a worker: as written, else the cores we may run on. */
unsigned load_form_threads(const struct load_form *form);
/*
 * What a running worker cannot follow, as a phrase ("'user' has changed"), or NULL: its user, its
 * number of threads, and all that its locks do not leave open.
 */
const char *load_form_wants_fresh_worker(const struct load_form *old,
                                         const struct load_form *new_form);

#endif
