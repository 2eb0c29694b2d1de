#include "app/privilege.h"

#include "base/poison.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

uint64_t privilege_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    return limit.rlim_cur;
}

void privilege_hide_memory(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
#ifndef PC_ASAN /* the leak checker looks at its own process by ptrace */
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

bool privilege_drop(const char *user, uint32_t uid, uint32_t gid, char *why, size_t why_bytes)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        snprintf(why, why_bytes, "no_new_privs: %s", strerror(errno));
        return false;
    }
    if (geteuid() != 0 || uid == 0)
        return true;
    if (initgroups(user, gid) != 0 || setresgid(gid, gid, gid) != 0 ||
        setresuid(uid, uid, uid) != 0) {
        snprintf(why, why_bytes, "becoming user %s: %s", user, strerror(errno));
        return false;
    }
    if (setuid(0) == 0) {
        snprintf(why, why_bytes, "the worker could become root again");
        return false;
    }
    return true;
}
