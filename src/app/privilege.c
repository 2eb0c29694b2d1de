#include "app/privilege.h"

#include "base/poison.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
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

/*
 * Every set empty. Without CAP_SETPCAP the bounding set stays as it is, which means little beside
 * no_new_privs: there is no program that could give any of it back.
 */
static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) == 0;
}

static void drop_bounding_set(void)
{
    for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
}

static bool become(const char *user, uint32_t uid, uint32_t gid, char *why, size_t why_bytes)
{
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

bool privilege_drop(const char *user, uint32_t uid, uint32_t gid, char *why, size_t why_bytes)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        snprintf(why, why_bytes, "no_new_privs: %s", strerror(errno));
        return false;
    }
    drop_bounding_set();
    if (geteuid() == 0 && uid != 0 && !become(user, uid, gid, why, why_bytes))
        return false;
    if (!drop_capabilities()) {
        snprintf(why, why_bytes, "giving up capabilities: %s", strerror(errno));
        return false;
    }
    return true;
}
