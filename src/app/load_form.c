#include "app/load_form.h"

#include <sched.h>
#include <string.h>

static bool take_addr(struct load_form *form, const struct letter_addr *addr)
{
    if (form->addr_count == ADDRS_MAX)
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
    case LETTER_ROOT:
        if (form->root_count == ROOTS_MAX)
            return false;
        form->roots[form->root_count++] = letter->u.root;
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

static bool has_root(const struct load_form *form, const struct letter_root *root)
{
    for (unsigned i = 0; i < form->root_count; i++)
        if (form->roots[i].device == root->device && form->roots[i].inode == root->inode &&
            strcmp(form->roots[i].path, root->path) == 0)
            return true;
    return false;
}

/* Locks are never loosened. A form that wants less than the one before leaves them as they are. */
static const char *beyond_locks(const struct load_form *old, const struct load_form *new_form)
{
    if (old->settings.sandbox != new_form->settings.sandbox)
        return "'sandbox' has changed";
    if (!new_form->settings.sandbox)
        return NULL;
    if ((new_form->settings.needs & ~old->settings.needs & SANDBOX_NEED_UNIX) != 0)
        return "there are origins on UNIX sockets now";
    if ((new_form->settings.needs & ~old->settings.needs & SANDBOX_NEED_JIT) != 0)
        return "there are regexes now";
    for (unsigned i = 0; i < new_form->root_count; i++)
        if (!has_root(old, &new_form->roots[i]))
            return "there is a new folder of 'files'";
    return NULL;
}

const char *load_form_wants_fresh_worker(const struct load_form *old,
                                         const struct load_form *new_form)
{
    if (load_form_threads(old) != load_form_threads(new_form))
        return "the number of threads has changed";
    if (old->settings.uid != new_form->settings.uid || old->settings.gid != new_form->settings.gid)
        return "'user' has changed";
    return beyond_locks(old, new_form);
}
