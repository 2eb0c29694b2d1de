#include "app/sandbox_files.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What newer kernels know than the headers we are built with; linux/landlock.h has the values. */
#define ACCESS_FS_TRUNCATE (1ULL << 14)  /* from version 3 on */
#define ACCESS_FS_IOCTL_DEV (1ULL << 15) /* from version 5 on */
#define ACCESS_NET_BIND_TCP (1ULL << 0)  /* from version 4 on */
#define SCOPE_ABSTRACT_UNIX (1ULL << 0)  /* from version 6 on */
#define SCOPE_SIGNAL (1ULL << 1)
#define RULE_NET_PORT 2

/* Without it c-ares would fall back to rand(): forged answers were easy to guess. */
#define RANDOM_DEVICE "/dev/urandom"

struct ruleset_attr {
    uint64_t access_fs, access_net, scoped;
};
struct port_attr {
    uint64_t access, port;
};

static uint64_t fs_known(int abi)
{
    uint64_t known = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* all of version 1 */
    if (abi >= 2)
        known |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        known |= ACCESS_FS_TRUNCATE;
    if (abi >= 5)
        known |= ACCESS_FS_IOCTL_DEV;
    return known;
}

static int make_ruleset(int abi)
{
    struct ruleset_attr attr = {.access_fs = fs_known(abi)};
    size_t size = sizeof attr.access_fs;
    if (abi >= SANDBOX_FILES_ABI_PORTS) {
        attr.access_net = ACCESS_NET_BIND_TCP;
        size = offsetof(struct ruleset_attr, scoped);
    }
    if (abi >= SANDBOX_FILES_ABI_SIGNALS) {
        attr.scoped = SCOPE_SIGNAL | SCOPE_ABSTRACT_UNIX;
        size = sizeof attr;
    }
    return (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
}

/* The loader sent a path without links; should there be one now, somebody swapped it since. */
static int open_straight(const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

static bool allow_reading(int ruleset, const char *path)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE};
    struct stat st;
    rule.parent_fd = open_straight(path);
    if (rule.parent_fd < 0)
        return true; /* it has gone since; there is nothing to read, and nothing is allowed */
    bool ok = fstat(rule.parent_fd, &st) == 0;
    if (ok && S_ISDIR(st.st_mode))
        rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_DIR;
    ok = ok && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    close(rule.parent_fd);
    return ok;
}

/* `source` binds to a local address and lets the kernel choose the port. */
static bool allow_any_port(int ruleset, int abi)
{
    const struct port_attr rule = {.access = ACCESS_NET_BIND_TCP, .port = 0};
    return abi < SANDBOX_FILES_ABI_PORTS ||
           syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) == 0;
}

int sandbox_files_prepare(const struct letter_root *roots, unsigned root_count, int *abi)
{
    *abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (*abi <= 0)
        return -1;
    int ruleset = make_ruleset(*abi);
    if (ruleset < 0)
        return -1;
    bool ok = allow_any_port(ruleset, *abi) && allow_reading(ruleset, RANDOM_DEVICE);
    for (unsigned i = 0; ok && i < root_count; i++)
        ok = allow_reading(ruleset, roots[i].path);
    if (ok)
        return ruleset;
    close(ruleset);
    return -1;
}

bool sandbox_files_lock(int ruleset)
{
    return syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
}
