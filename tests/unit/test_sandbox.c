/*
 * A worker that a stranger has taken over: behind the very locks of the worker, in a process of its
 * own for each, it tries what an intruder would. Everything is refused or ends the process; what a
 * worker does all day still works.
 */
#include "app/sandbox.h"

#include "app/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

enum outcome {
    MADE,    /* it worked */
    REFUSED, /* an error that says no */
    ENDED,   /* killed on the spot */
};

/* What the child finds; made before it is locked up. */
static struct {
    char folder[64]; /* open to all */
    char root[80], inside[96], outside[96], secret[96];
    struct sockaddr_in server; /* somebody listens there */
    int server_fd, abstract_fd;
    int inherited; /* a descriptor of `folder` */
    pid_t parent;
} scene;

/* ---- attempts: 0 or errno ---- */

#define TRY(name, call)                                                                            \
    static int name(void)                                                                          \
    {                                                                                              \
        errno = 0;                                                                                 \
        return (call) >= 0 ? 0 : errno;                                                            \
    }

static long open_with(const char *path, uint64_t flags, uint64_t mode)
{
    struct open_how how = {.flags = flags, .mode = mode};
    return syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}
static long open_of_parent(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)scene.parent, name);
    return open(path, O_RDONLY);
}

/* files */
TRY(shadow, open("/etc/shadow", O_RDONLY))
TRY(passwd, open("/etc/passwd", O_RDONLY))
TRY(secret, open(scene.secret, O_RDONLY))
TRY(beside_root, open(scene.outside, O_RDONLY))
TRY(by_inherited, openat(scene.inherited, "secret", O_RDONLY))
TRY(top_folder, open("/", O_RDONLY | O_DIRECTORY))
TRY(own_maps, open("/proc/self/maps", O_RDONLY))
TRY(parents_memory, open_of_parent("mem"))
TRY(parents_environment, open_of_parent("environ"))
TRY(write_in_root, open_with(scene.inside, O_WRONLY, 0))
TRY(shorten_in_root, open_with(scene.inside, O_WRONLY | O_TRUNC, 0))
TRY(make_in_root, open_with("new", O_WRONLY | O_CREAT, 0600))
TRY(write_by_openat, open(scene.inside, O_WRONLY))
TRY(null_device, open_with("/dev/null", O_WRONLY, 0))
TRY(folder_new, mkdir("new", 0700))
TRY(file_gone, unlink(scene.inside))
TRY(file_moved, rename(scene.inside, scene.outside))
TRY(link_new, symlink("/etc/shadow", "link"))
TRY(mode_changed, chmod(scene.inside, 0777))
TRY(cut, truncate(scene.inside, 0))
TRY(memory_file, syscall(SYS_memfd_create, "x", 0))
/* programs and processes */
static char *const no_words[] = {NULL};
TRY(run_program, execve("/bin/true", no_words, no_words))
TRY(run_descriptor, syscall(SYS_execveat, scene.inherited, "x", no_words, no_words, 0))
TRY(by_fork, syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0))
TRY(by_clone3, syscall(SYS_clone3, NULL, 0))
TRY(attach, ptrace(PTRACE_ATTACH, scene.parent, NULL, NULL))
TRY(seize, ptrace(PTRACE_SEIZE, scene.parent, NULL, NULL))
TRY(kill_parent, kill(scene.parent, SIGKILL))
TRY(signal_zero, kill(scene.parent, 0))
TRY(kill_thread, syscall(SYS_tgkill, scene.parent, scene.parent, SIGTERM))
TRY(kill_by_pidfd, syscall(SYS_pidfd_open, scene.parent, 0))
TRY(own_to_parent, fcntl(scene.inherited, F_SETOWN, scene.parent))
TRY(read_parent, syscall(SYS_process_vm_readv, scene.parent, NULL, 0, NULL, 0, 0))
TRY(write_parent, syscall(SYS_process_vm_writev, scene.parent, NULL, 0, NULL, 0, 0))
/* rights */
TRY(to_root, syscall(SYS_setuid, 0))
TRY(to_root_again, syscall(SYS_setresuid, 0, 0, 0))
TRY(other_groups, syscall(SYS_setgroups, 0, NULL))
TRY(capabilities, syscall(SYS_capset, NULL, NULL))
TRY(keys, syscall(SYS_keyctl, 0, 0, 0, 0, 0))
TRY(dumpable, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
TRY(descriptors, syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &(struct rlimit){1, 1}, NULL))
TRY(limits_of_parent, syscall(SYS_prlimit64, scene.parent, RLIMIT_NOFILE, NULL, NULL))
TRY(persona, syscall(SYS_personality, 0x0400000))
/* the system */
TRY(namespace_new, unshare(CLONE_NEWUSER))
TRY(namespace_other, setns(scene.inherited, 0))
TRY(mounting, syscall(SYS_mount, "x", "/", "tmpfs", 0, NULL))
TRY(unmounting, syscall(SYS_umount2, "/", 0))
TRY(other_root, syscall(SYS_chroot, "/"))
TRY(pivoting, syscall(SYS_pivot_root, "/", "/"))
TRY(by_handle, syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, 0))
TRY(device_new, syscall(SYS_mknodat, AT_FDCWD, "x", S_IFCHR, 0))
TRY(bpf_program, syscall(SYS_bpf, 0, NULL, 0))
TRY(perf, syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0))
TRY(faults, syscall(SYS_userfaultfd, 0))
TRY(module, syscall(SYS_init_module, NULL, 0, ""))
TRY(module_file, syscall(SYS_finit_module, -1, "", 0))
TRY(other_kernel, syscall(SYS_kexec_load, 0, 0, NULL, 0))
TRY(clock_set, syscall(SYS_clock_settime, CLOCK_REALTIME, NULL))
TRY(name_set, syscall(SYS_sethostname, "x", 1))
TRY(kernel_log, syscall(SYS_syslog, 10, NULL, 0))
TRY(ring, syscall(SYS_io_uring_setup, 1, NULL))
TRY(shared_memory, syscall(SYS_shmget, 0, 4096, 0600))
TRY(unknown_call, syscall(100000))
TRY(terminal_input, ioctl(0, TIOCSTI, "x"))
/* the network */
static long bind_to(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    return bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&sa, sizeof sa);
}
TRY(raw_socket, socket(AF_INET, SOCK_RAW, IPPROTO_ICMP))
TRY(packet_socket, socket(AF_PACKET, SOCK_RAW, 0))
TRY(netlink_socket, socket(AF_NETLINK, SOCK_RAW, 0))
TRY(vsock_socket, socket(AF_VSOCK, SOCK_STREAM, 0))
TRY(unix_socket, socket(AF_UNIX, SOCK_STREAM, 0))
TRY(unix_datagrams, socket(AF_UNIX, SOCK_DGRAM, 0))
TRY(other_protocol, socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP))
TRY(socket_pair, socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0, 0}))
TRY(low_port, bind_to(80))
TRY(high_port, bind_to(8443))
TRY(listening, listen(socket(AF_INET, SOCK_STREAM, 0), 1))
/* code */
TRY(data_as_code, mprotect((void *)((uintptr_t)&scene & ~(uintptr_t)4095), 4096,
                           PROT_READ | PROT_WRITE | PROT_EXEC))
static long map(int prot, int flags, int fd)
{
    return mmap(NULL, 4096, prot, flags, fd, 0) == MAP_FAILED ? -1 : 0;
}
TRY(writable_code, map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1))
TRY(code_of_file, map(PROT_READ | PROT_EXEC, MAP_PRIVATE, open(scene.inside, O_RDONLY)))

#ifdef __x86_64__
/* getpid() of the 32-bit kernel interface, whose numbers mean other calls to ours. */
static int other_architecture(void)
{
    long got = 20;
    __asm__ volatile("int $0x80" : "+a"(got) : : "memory");
    return got >= 0 ? 0 : (int)-got;
}
TRY(x32, syscall(0x40000000L + 39))
#endif

/* what a worker does */
TRY(read_inside, open(scene.inside, O_RDONLY))
TRY(list_inside, open(scene.root, O_RDONLY | O_DIRECTORY))
TRY(random_numbers, open("/dev/urandom", O_RDONLY))
TRY(any_port, bind_to(0))
TRY(name_server, socket(AF_INET6, SOCK_DGRAM, 0))
TRY(limit_asked, syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &(struct rlimit){0, 0}))
TRY(connecting,
    connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&scene.server, sizeof scene.server))
TRY(memory, map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1))

static void *in_thread(void *argument)
{
    *(int *)argument = run_program(); /* ends the whole process, not the thread alone */
    return NULL;
}
static int program_in_thread(void)
{
    pthread_t thread;
    int error = 0;
    if (pthread_create(&thread, NULL, in_thread, &error) != 0)
        return ENOMEM;
    pthread_join(thread, NULL);
    return error;
}
static void *idle(void *argument)
{
    return argument;
}
static int threads(void)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, idle, NULL);
    return error != 0 ? error : pthread_join(thread, NULL);
}

/* A socket of somebody else outside, in the namespace without files. */
static socklen_t abstract_address(struct sockaddr_un *sa)
{
    memset(sa, 0, sizeof *sa);
    sa->sun_family = AF_UNIX;
    int len = snprintf(sa->sun_path + 1, sizeof sa->sun_path - 1, "portcullis-test-%d",
                       (int)scene.parent);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}
static int abstract_socket(void)
{
    struct sockaddr_un sa;
    socklen_t len = abstract_address(&sa);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return connect(fd, (struct sockaddr *)&sa, len) == 0 ? 0 : errno;
}

static const struct {
    const char *name;
    int (*attempt)(void);
    enum outcome outcome;
    uint32_t needs;
} rows[] = {
    {"open /etc/shadow", shadow, REFUSED, 0},
    {"open /etc/passwd", passwd, REFUSED, 0},
    {"open a file that anybody may read", secret, REFUSED, 0},
    {"open what stands beside the root", beside_root, REFUSED, 0},
    {"open beneath an inherited descriptor", by_inherited, REFUSED, 0},
    {"list /", top_folder, REFUSED, 0},
    {"read its own memory map", own_maps, REFUSED, 0},
    {"open the parent's memory", parents_memory, REFUSED, 0},
    {"open the parent's environment", parents_environment, REFUSED, 0},
    {"write to a file of the root", write_in_root, REFUSED, 0},
    {"truncate a file of the root", shorten_in_root, REFUSED, 0},
    {"make a file", make_in_root, REFUSED, 0},
    {"write by openat", write_by_openat, REFUSED, 0},
    {"write to /dev/null", null_device, REFUSED, 0},
    {"mkdir", folder_new, REFUSED, 0},
    {"unlink", file_gone, REFUSED, 0},
    {"rename", file_moved, REFUSED, 0},
    {"symlink", link_new, REFUSED, 0},
    {"chmod", mode_changed, REFUSED, 0},
    {"truncate", cut, REFUSED, 0},
    {"memfd_create", memory_file, REFUSED, 0},
    {"execve", run_program, ENDED, 0},
    {"execve in a thread", program_in_thread, ENDED, 0},
    {"execveat", run_descriptor, ENDED, 0},
    {"fork", by_fork, ENDED, 0},
    {"clone3", by_clone3, REFUSED, 0},
    {"ptrace the parent", attach, ENDED, 0},
    {"seize the parent", seize, ENDED, 0},
    {"kill the parent", kill_parent, ENDED, 0},
    {"probe the parent", signal_zero, ENDED, 0},
    {"signal a thread of the parent", kill_thread, ENDED, 0},
    {"pidfd_open", kill_by_pidfd, ENDED, 0},
    {"have SIGIO sent to the parent", own_to_parent, REFUSED, 0},
    {"process_vm_readv", read_parent, ENDED, 0},
    {"process_vm_writev", write_parent, ENDED, 0},
    {"setuid", to_root, ENDED, 0},
    {"setresuid", to_root_again, ENDED, 0},
    {"setgroups", other_groups, ENDED, 0},
    {"capset", capabilities, ENDED, 0},
    {"keyctl", keys, ENDED, 0},
    {"become dumpable", dumpable, REFUSED, 0},
    {"set a limit", descriptors, REFUSED, 0},
    {"look at the parent's limits", limits_of_parent, REFUSED, 0},
    {"personality", persona, ENDED, 0},
    {"unshare", namespace_new, ENDED, 0},
    {"setns", namespace_other, ENDED, 0},
    {"mount", mounting, ENDED, 0},
    {"umount", unmounting, ENDED, 0},
    {"chroot", other_root, ENDED, 0},
    {"pivot_root", pivoting, ENDED, 0},
    {"open_by_handle_at", by_handle, ENDED, 0},
    {"mknod", device_new, ENDED, 0},
    {"bpf", bpf_program, ENDED, 0},
    {"perf_event_open", perf, ENDED, 0},
    {"userfaultfd", faults, ENDED, 0},
    {"init_module", module, ENDED, 0},
    {"finit_module", module_file, ENDED, 0},
    {"kexec_load", other_kernel, ENDED, 0},
    {"clock_settime", clock_set, ENDED, 0},
    {"sethostname", name_set, ENDED, 0},
    {"syslog", kernel_log, ENDED, 0},
    {"io_uring_setup", ring, REFUSED, 0},
    {"shmget", shared_memory, REFUSED, 0},
    {"a call nobody knows", unknown_call, REFUSED, 0},
    {"type into the terminal", terminal_input, REFUSED, 0},
    {"a raw socket", raw_socket, REFUSED, 0},
    {"a packet socket", packet_socket, REFUSED, 0},
    {"a netlink socket", netlink_socket, REFUSED, 0},
    {"a vsock socket", vsock_socket, REFUSED, 0},
    {"a UNIX socket where no origin is on one", unix_socket, REFUSED, 0},
    {"UNIX datagrams", unix_datagrams, REFUSED, SANDBOX_NEED_UNIX},
    {"an abstract UNIX socket of others", abstract_socket, REFUSED, SANDBOX_NEED_UNIX},
    {"another protocol", other_protocol, REFUSED, 0},
    {"socketpair", socket_pair, REFUSED, SANDBOX_NEED_UNIX},
    {"bind a low port", low_port, REFUSED, 0},
    {"bind a high port", high_port, REFUSED, 0},
    {"listen", listening, REFUSED, 0},
    {"make data executable", data_as_code, REFUSED, SANDBOX_NEED_JIT},
    {"map writable code", writable_code, REFUSED, 0},
    {"map a file as code", code_of_file, REFUSED, SANDBOX_NEED_JIT},
#ifdef __x86_64__
    {"a 32-bit system call", other_architecture, ENDED, 0},
    {"an x32 system call", x32, ENDED, 0},
#endif
    {"read a file of the root", read_inside, MADE, 0},
    {"list the root", list_inside, MADE, 0},
    {"random numbers", random_numbers, MADE, 0},
    {"bind to an address with any port", any_port, MADE, 0},
    {"ask a name server", name_server, MADE, 0},
    {"ask for a limit", limit_asked, MADE, 0},
    {"connect by TCP", connecting, MADE, 0},
    {"memory", memory, MADE, 0},
    {"threads", threads, MADE, 0},
    {"a UNIX socket where an origin is on one", unix_socket, MADE, SANDBOX_NEED_UNIX},
    {"code of regexes", writable_code, MADE, SANDBOX_NEED_JIT},
};

/* ---- the child ---- */

/* Its exit status: errno of the attempt, or NOT_LOCKED. */
enum { NOT_LOCKED = 250 };

static bool lock_up(uint32_t needs)
{
    static struct letter_root root;
    char why[256];
    struct sandbox sandbox;
    snprintf(root.path, sizeof root.path, "%s", scene.root);
    const struct sandbox_conf conf = {.on = true, .needs = needs, .roots = &root, .root_count = 1};
    sandbox_prepare(&sandbox, &conf);
    if (!privilege_drop("nobody", NOBODY, NOBODY, why, sizeof why))
        return false;
    sandbox_lock(&sandbox);
    return sandbox.report.seccomp && sandbox.report.landlock_abi > 0 &&
           sandbox.report.missing[0] == '\0';
}

static int wait_status_of(int (*attempt)(void), uint32_t needs)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (chdir(scene.root) != 0 || !lock_up(needs))
            _exit(NOT_LOCKED);
        _exit(attempt());
    }
    int status = -1;
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int nothing(void)
{
    return 0;
}

/* Sanitizers, and kernels without a lock, have nothing to show here. */
static bool is_lockable(void)
{
    int status = wait_status_of(nothing, 0);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) != NOT_LOCKED;
}

/* ---- tests ---- */

static enum outcome outcome_of(int status)
{
    if (WIFSIGNALED(status))
        return ENDED;
    return WEXITSTATUS(status) == 0 ? MADE : REFUSED;
}

static bool says_no(int status)
{
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS;
    int error = WEXITSTATUS(status);
    return error == 0 || error == EACCES || error == EPERM || error == ENOSYS;
}

static void a_worker_taken_over_gets_nowhere(void **state)
{
    (void)state;
    if (!is_lockable())
        skip();
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int status = wait_status_of(rows[i].attempt, rows[i].needs);
        if (outcome_of(status) == rows[i].outcome && says_no(status))
            continue;
        print_error("%s: wait status %d\n", rows[i].name, status);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static int aborts(void)
{
    abort();
}

/* A fault of ours is to be seen as what it is. */
static void abort_is_still_abort(void **state)
{
    (void)state;
    if (!is_lockable())
        skip();
    int status = wait_status_of(aborts, 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void off_means_off_and_is_no_lack(void **state)
{
    (void)state;
    struct sandbox sandbox;
    const struct sandbox_conf conf = {.on = false};
    sandbox_prepare(&sandbox, &conf);
    sandbox_lock(&sandbox);
    assert_int_equal(sandbox.report.wanted, 0);
    assert_int_equal(sandbox.report.seccomp, 0);
    assert_int_equal(sandbox.report.landlock_abi, 0);
    assert_string_equal(sandbox.report.missing, "");
}

/* ---- the scene ---- */

static void write_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static int set_up(void **state)
{
    (void)state;
    socklen_t len = sizeof scene.server;
    scene.parent = getpid();
    strcpy(scene.folder, "/tmp/portcullis-sandbox-XXXXXX");
    assert_non_null(mkdtemp(scene.folder));
    chmod(scene.folder, 0755);
    snprintf(scene.root, sizeof scene.root, "%s/root", scene.folder);
    snprintf(scene.inside, sizeof scene.inside, "%s/file", scene.root);
    snprintf(scene.outside, sizeof scene.outside, "%s/beside", scene.folder);
    snprintf(scene.secret, sizeof scene.secret, "%s/secret", scene.folder);
    assert_int_equal(mkdir(scene.root, 0755), 0);
    chmod(scene.root, 0777);
    write_file(scene.inside);
    chmod(scene.inside, 0666);
    write_file(scene.outside);
    write_file(scene.secret);
    scene.inherited = open(scene.folder, O_RDONLY | O_DIRECTORY);
    scene.server_fd = socket(AF_INET, SOCK_STREAM, 0);
    scene.server =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(scene.server_fd, (struct sockaddr *)&scene.server, len), 0);
    assert_int_equal(listen(scene.server_fd, 16), 0);
    assert_int_equal(getsockname(scene.server_fd, (struct sockaddr *)&scene.server, &len), 0);
    struct sockaddr_un sa;
    len = abstract_address(&sa);
    scene.abstract_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(scene.abstract_fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(scene.abstract_fd, 1), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(scene.inside);
    unlink(scene.outside);
    unlink(scene.secret);
    rmdir(scene.root);
    rmdir(scene.folder);
    close(scene.inherited);
    close(scene.server_fd);
    close(scene.abstract_fd);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_taken_over_gets_nowhere),
        cmocka_unit_test(abort_is_still_abort),
        cmocka_unit_test(off_means_off_and_is_no_lack),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
