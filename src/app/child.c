#include "app/child.h"

#include "app/channel.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the child's end lies, below CHILD_KEPT: everything above is closed at once. */
#define CHILD_CHANNEL 3

static void reset_signals(void)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGPIPE};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void child_die_with_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Away from the low numbers first: `kept` may be the very one that the channel is to have. */
static bool keep_only(int end, int kept)
{
    int aside = kept < 0 ? -1 : fcntl(kept, F_DUPFD_CLOEXEC, CHILD_KEPT + 1);
    if (kept >= 0 && aside < 0)
        return false;
    if (end != CHILD_CHANNEL && dup3(end, CHILD_CHANNEL, O_CLOEXEC) < 0)
        return false;
    if (kept >= 0 && dup3(aside, CHILD_KEPT, O_CLOEXEC) < 0)
        return false;
    return close_range(kept < 0 ? CHILD_KEPT : CHILD_KEPT + 1, ~0U, 0) == 0;
}

static _Noreturn void run_child(void (*run)(int, void *), void *argument, int end, int kept,
                                pid_t parent)
{
    reset_signals();
    child_die_with_parent();
    if (getppid() != parent)
        _exit(1);
    if (!keep_only(end, kept))
        _exit(1);
    run(CHILD_CHANNEL, argument);
    _exit(1);
}

pid_t child_start(void (*run)(int channel, void *argument), void *argument, int kept, int *channel)
{
    int ends[2];
    if (!channel_open(ends))
        return -1;
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        run_child(run, argument, ends[1], kept, parent);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return -1;
    }
    *channel = ends[0];
    return pid;
}

const char *child_end_text(int wait_status, char *out, size_t size)
{
    if (WIFSIGNALED(wait_status))
        snprintf(out, size, "was killed by signal %d (%s)", WTERMSIG(wait_status),
                 strsignal(WTERMSIG(wait_status)));
    else
        snprintf(out, size, "ended with status %d", WEXITSTATUS(wait_status));
    return out;
}
