#include "app/load_form.h"

#include <sched.h>
#include <string.h>

static bool take_addr(struct load_form *form, const struct letter_addr *addr)
{
    if (form->addr_count == LISTENERS_MAX)
        return false;
    for (unsigned i = 0; i < form->addr_count; i++)
        if (letter_addr_eq(&form->addrs[i], addr))
            return false;
    form->addrs[form->addr_count++] = *addr;
    return true;
}

bool load_form_take(struct load_form *form, const struct letter *letter)
{
    switch (letter->kind) {
    case LETTER_SETTINGS:
        if (form->has_settings)
            return false;
        form->has_settings = true;
        form->settings = letter->u.settings;
        return true;
    case LETTER_ADDRESS:
        return take_addr(form, &letter->u.address);
    case LETTER_LOG_FILE:
        if (form->log_count == LOG_FILES_MAX || letter->u.log_file.index != form->log_count)
            return false;
        form->logs[form->log_count++] = letter->u.log_file;
        return true;
    case LETTER_LOADED:
        form->warnings = letter->u.loaded.warnings;
        return true;
    default:
        return false;
    }
}

bool load_form_complete(const struct load_form *form)
{
    return form->has_settings && form->addr_count > 0;
}

unsigned load_form_threads(const struct load_form *form)
{
    if (form->settings.workers > 0)
        return form->settings.workers;
    cpu_set_t set;
    CPU_ZERO(&set);
    int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return cores > THREADS_MAX ? THREADS_MAX : (unsigned)cores;
}

bool load_form_wants_fresh_worker(const struct load_form *old, const struct load_form *new_form)
{
    return load_form_threads(old) != load_form_threads(new_form) ||
           old->settings.uid != new_form->settings.uid ||
           old->settings.gid != new_form->settings.gid;
}
