#include "app/sandbox_calls.h"

#include "app/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * libseccomp writes the filter: it knows that arguments have two halves, that x32 is another
 * architecture, and which calls this one lacks, and systemd brings it to every machine anyway. A
 * call without a condition on its arguments costs next to nothing, since the kernel keeps the
 * answer in a bitmap.
 */

/* ---- made whatever the arguments ---- */

static const int allowed[] = {
    /* connections */
    SCMP_SYS(accept4),
    SCMP_SYS(bind),
    SCMP_SYS(connect),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockname),
    SCMP_SYS(getsockopt),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
    /* descriptors */
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(getdents64),
    SCMP_SYS(lseek),
    SCMP_SYS(newfstatat),
    SCMP_SYS(openat2), /* files/beneath.c; its flags lie in memory, so Landlock alone judges it */
    SCMP_SYS(pread64),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    /* waiting */
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(eventfd2),
    SCMP_SYS(futex),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(sched_yield),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    /* time and chance, where the vDSO does not answer */
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(getrandom),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    /* threads, signals, the end */
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getpid),
    SCMP_SYS(getrusage),
    SCMP_SYS(gettid),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_getaffinity), /* malloc asks how many cores there are */
    SCMP_SYS(set_robust_list),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sysinfo),
};

/* ---- what no worker ever needs: the end of the process ---- */

static const int killed[] = {
    /* other programs, other processes */
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(kcmp),
    SCMP_SYS(kill),
    SCMP_SYS(tkill),
    SCMP_SYS(rt_sigqueueinfo),
    SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_send_signal),
    /* other rights */
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setregid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setfsuid),
    SCMP_SYS(setfsgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(capset),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(personality),
    /* another view of the system */
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(open_tree),
    SCMP_SYS(move_mount),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    /* the kernel */
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(syslog),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(modify_ldt),
};

/* ---- by their arguments ---- */

/* struct scmp_arg_cmp, as a constant */
#define ARG_EQ(n, value)                                                                           \
    {                                                                                              \
        (n), SCMP_CMP_EQ, (value), 0                                                               \
    }
#define ARG_NOT(n, value)                                                                          \
    {                                                                                              \
        (n), SCMP_CMP_NE, (value), 0                                                               \
    }
#define ARG_BITS(n, mask, value)                                                                   \
    {                                                                                              \
        (n), SCMP_CMP_MASKED_EQ, (mask), (value)                                                   \
    }

/* The kind of a socket without its flags (SOCK_NONBLOCK, SOCK_CLOEXEC). */
#define SOCKET_KIND 0xfU

static const struct {
    uint32_t need; /* of the configuration, all of it; 0: always */
    int number;
    unsigned count;
    struct scmp_arg_cmp args[3];
} conditional[] = {
    {0,
     SCMP_SYS(socket),
     3,
     {ARG_EQ(0, AF_INET), ARG_BITS(1, SOCKET_KIND, SOCK_STREAM), ARG_EQ(2, 0)}},
    {0,
     SCMP_SYS(socket),
     3,
     {ARG_EQ(0, AF_INET6), ARG_BITS(1, SOCKET_KIND, SOCK_STREAM), ARG_EQ(2, 0)}},
    /* questions to name servers */
    {0,
     SCMP_SYS(socket),
     3,
     {ARG_EQ(0, AF_INET), ARG_BITS(1, SOCKET_KIND, SOCK_DGRAM), ARG_EQ(2, 0)}},
    {0,
     SCMP_SYS(socket),
     3,
     {ARG_EQ(0, AF_INET6), ARG_BITS(1, SOCKET_KIND, SOCK_DGRAM), ARG_EQ(2, 0)}},
    {SANDBOX_NEED_UNIX,
     SCMP_SYS(socket),
     2,
     {ARG_EQ(0, AF_UNIX), ARG_BITS(1, SOCKET_KIND, SOCK_STREAM)}},
    /* reading only; nothing is made and nothing shortened */
    {0, SCMP_SYS(openat), 1, {ARG_BITS(2, O_ACCMODE | O_CREAT | O_TRUNC, 0)}},
    {0, SCMP_SYS(fcntl), 1, {ARG_EQ(1, F_DUPFD_CLOEXEC)}},
    {0, SCMP_SYS(fcntl), 1, {ARG_EQ(1, F_GETFD)}},
    {0, SCMP_SYS(fcntl), 1, {ARG_EQ(1, F_SETFD)}},
    {0, SCMP_SYS(fcntl), 1, {ARG_EQ(1, F_GETFL)}},
    {0, SCMP_SYS(fcntl), 1, {ARG_EQ(1, F_SETFL)}},
    {0, SCMP_SYS(fcntl), 1, {ARG_EQ(1, F_GET_SEALS)}},
    {0, SCMP_SYS(ioctl), 1, {ARG_EQ(1, FIONREAD)}},
    {0, SCMP_SYS(ioctl), 1, {ARG_EQ(1, FIONBIO)}},
    {0, SCMP_SYS(ioctl), 1, {ARG_EQ(1, SIOCOUTQ)}},
    {0, SCMP_SYS(prctl), 1, {ARG_EQ(0, PR_SET_NAME)}},
    /* asking for a limit, not setting one */
    {0, SCMP_SYS(prlimit64), 2, {ARG_EQ(0, 0), ARG_EQ(2, 0)}},
    /* threads, but no processes; clone3(), whose flags lie in memory, is ENOSYS: glibc uses this */
    {0, SCMP_SYS(clone), 1, {ARG_BITS(0, CLONE_THREAD, CLONE_THREAD)}},
    /* no code but what is there, and what PCRE2 makes of regexes into memory of its own */
    {0, SCMP_SYS(mmap), 1, {ARG_BITS(2, PROT_EXEC, 0)}},
    {SANDBOX_NEED_JIT,
     SCMP_SYS(mmap),
     2,
     {ARG_BITS(2, PROT_EXEC, PROT_EXEC), ARG_BITS(3, MAP_ANONYMOUS, MAP_ANONYMOUS)}},
    {0, SCMP_SYS(mprotect), 1, {ARG_BITS(2, PROT_EXEC, 0)}},
};

static int add_tables(scmp_filter_ctx filter, uint32_t needs)
{
    int error = 0;
    for (size_t i = 0; error == 0 && i < sizeof allowed / sizeof allowed[0]; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; error == 0 && i < sizeof killed / sizeof killed[0]; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, killed[i], 0);
    for (size_t i = 0; error == 0 && i < sizeof conditional / sizeof conditional[0]; i++)
        if ((conditional[i].need & ~needs) == 0)
            error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, conditional[i].number,
                                           conditional[i].count, conditional[i].args);
    return error;
}

/* abort() signals its own process; another process is none of our business. */
static int add_own_signals(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp own = ARG_EQ(0, (uint64_t)getpid());
    const struct scmp_arg_cmp other = ARG_NOT(0, (uint64_t)getpid());
    int error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &own);
    return error != 0
               ? error
               : seccomp_rule_add_array(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(tgkill), 1, &other);
}

/* A new process by clone() is what fork() does. */
static int add_no_fork(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp process = ARG_BITS(0, CLONE_THREAD, 0);
    return seccomp_rule_add_array(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1, &process);
}

bool sandbox_calls_lock(uint32_t needs, char *why, size_t why_bytes)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (filter == NULL) {
        snprintf(why, why_bytes, "no memory");
        return false;
    }
    int error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (error == 0)
        error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    /* Speculation within one process guards nothing here and costs a lot on older kernels. */
    if (error == 0)
        error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    if (error == 0)
        error = add_tables(filter, needs);
    if (error == 0)
        error = add_own_signals(filter);
    if (error == 0)
        error = add_no_fork(filter);
    if (error == 0)
        error = seccomp_load(filter);
    seccomp_release(filter);
    if (error != 0)
        snprintf(why, why_bytes, "%s", strerror(-error));
    return error == 0;
}
