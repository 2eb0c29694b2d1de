/*
 * Runs a program on a kernel that seems to lack a system call: `old_kernel landlock PROGRAM…`, or
 * `old_kernel seccomp PROGRAM…`. For tests/e2e/test_87_sandbox.py.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const struct scmp_arg_cmp by_prctl = SCMP_CMP64(0, SCMP_CMP_EQ, PR_SET_SECCOMP);
    int error = 0;
    if (strcmp(argv[1], "landlock") == 0)
        error =
            seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(landlock_create_ruleset), 0);
    else {
        error |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0);
        error |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1, by_prctl);
    }
    if (error != 0 || seccomp_load(filter) != 0)
        return 1;
    seccomp_release(filter);
    execv(argv[2], argv + 2);
    return 1;
}
