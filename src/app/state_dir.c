#include "app/state_dir.h"

#include "base/arena.h"
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT_STATE "/var/lib/portcullis"
#define SYSTEM_CONFIG "/etc/portcullis/portcullis.conf"
#define LOCAL_CONFIG "portcullis.conf"

struct state_facts state_facts_now(void)
{
    return (struct state_facts){
        .uid = geteuid(), .home = getenv("HOME"), .xdg_state_home = getenv("XDG_STATE_HOME")};
}

/* The XDG base directory specification ignores relative paths. */
static bool is_absolute(const char *path)
{
    return path != NULL && path[0] == '/';
}

struct str state_dir_default(struct arena *arena, const struct state_facts *facts)
{
    if (facts->uid == 0)
        return STR(ROOT_STATE);
    if (is_absolute(facts->xdg_state_home))
        return str_printf(arena, "%s/portcullis", facts->xdg_state_home);
    if (is_absolute(facts->home))
        return str_printf(arena, "%s/.local/state/portcullis", facts->home);
    return str_printf(arena, "/tmp/portcullis-%u", (unsigned)facts->uid);
}

/* The parents of the last component; those that are missing get the usual mode. */
static bool make_parents(const char *path)
{
    char part[PATH_MAX];
    if (strlen(path) >= sizeof part)
        return false;
    for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t len = (size_t)(slash - path);
        memcpy(part, path, len);
        part[len] = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return false;
    }
    return true;
}

bool state_dir_prepare(const char *path, char *why, size_t why_bytes)
{
    struct stat st;
    if (path[0] != '/') {
        snprintf(why, why_bytes, "the state directory %s is not an absolute path", path);
        return false;
    }
    if (!make_parents(path) || (mkdir(path, 0700) != 0 && errno != EEXIST)) {
        snprintf(why, why_bytes, "the state directory %s cannot be made: %s", path,
                 strerror(errno));
        return false;
    }
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        snprintf(why, why_bytes, "the state directory %s is no directory", path);
        return false;
    }
    if (st.st_uid != geteuid()) {
        snprintf(why, why_bytes, "the state directory %s belongs to user %u, not to us (user %u)",
                 path, (unsigned)st.st_uid, (unsigned)geteuid());
        return false;
    }
    if ((st.st_mode & 0077) != 0) {
        snprintf(why, why_bytes,
                 "the state directory %s is open to others (mode %04o): chmod 0700 %s", path,
                 (unsigned)(st.st_mode & 07777), path);
        return false;
    }
    return true;
}

const char *state_config_path(const struct state_facts *facts)
{
    if (facts->uid != 0 && access(LOCAL_CONFIG, F_OK) == 0)
        return LOCAL_CONFIG;
    return SYSTEM_CONFIG;
}
