/*
 * Runs a program on a kernel that seems to lack system calls, for the end-to-end tests:
 *     old_kernel landlock PROGRAM…
 *     old_kernel seccomp PROGRAM…
 *     old_kernel NAME,NAME,… PROGRAM…    has these only, as systemd's SystemCallFilter= does it
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static scmp_filter_ctx only(char *names)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    for (char *name = strtok(names, ","); name != NULL; name = strtok(NULL, ",")) {
        int number = seccomp_syscall_resolve_name(name);
        if (number != __NR_SCMP_ERROR && seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) != 0)
            exit(1);
    }
    return filter;
}

static scmp_filter_ctx without(const char *name)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const struct scmp_arg_cmp by_prctl = {0, SCMP_CMP_EQ, PR_SET_SECCOMP, 0};
    int error = 0;
    if (strcmp(name, "landlock") == 0) {
        error =
            seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(landlock_create_ruleset), 0);
    } else {
        error |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0);
        error |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1, by_prctl);
    }
    if (error != 0)
        exit(1);
    return filter;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    scmp_filter_ctx filter = strchr(argv[1], ',') != NULL ? only(argv[1]) : without(argv[1]);
    if (seccomp_load(filter) != 0)
        return 1;
    seccomp_release(filter);
    execv(argv[2], argv + 2);
    return 1;
}
