#include "app/upgrade.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Says to a program that it is an heir; its channel is HEIR_CHANNEL. */
#define ENVIRONMENT "PORTCULLIS_UPGRADE"
#define HEIR_CHANNEL 3
#define WORD_READY "ready"
/* What a killed process takes to be gone, and its sockets with it. */
#define HEIR_END_MS 1000

/* ---- how we were started ---- */

static void remember_words(struct upgrade *upgrade)
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, upgrade->line, sizeof upgrade->line);
    if (fd >= 0)
        close(fd);
    unsigned count = 0;
    /* More words than there is room for: then the line is not known, and nothing is run. */
    if (got <= 0 || (size_t)got == sizeof upgrade->line || upgrade->line[got - 1] != '\0')
        return;
    for (char *word = upgrade->line; word < upgrade->line + got; word += strlen(word) + 1) {
        if (count == UPGRADE_WORDS_MAX)
            return;
        upgrade->words[count++] = word;
    }
    ssize_t len = readlink("/proc/self/exe", upgrade->program, sizeof upgrade->program - 1);
    upgrade->program[len < 0 ? 0 : len] = '\0';
}

void upgrade_init(struct upgrade *upgrade)
{
    memset(upgrade, 0, sizeof *upgrade);
    upgrade->channel = upgrade->pidfd = upgrade->elder = -1;
    remember_words(upgrade);
    const char *heir = getenv(ENVIRONMENT);
    if (heir != NULL && strcmp(heir, "1") == 0 && fcntl(HEIR_CHANNEL, F_SETFD, FD_CLOEXEC) == 0)
        upgrade->elder = HEIR_CHANNEL;
    unsetenv(ENVIRONMENT);
}

void upgrade_forget(struct upgrade *upgrade)
{
    if (upgrade->channel >= 0)
        close(upgrade->channel);
    if (upgrade->pidfd >= 0)
        close(upgrade->pidfd);
    upgrade->channel = upgrade->pidfd = -1;
    upgrade->pid = 0;
}

static void end_heir(struct upgrade *upgrade)
{
    struct pollfd ended = {.fd = upgrade->pidfd, .events = POLLIN};
    if (upgrade->pidfd >= 0 &&
        syscall(SYS_pidfd_send_signal, upgrade->pidfd, SIGKILL, NULL, 0) == 0)
        (void)poll(&ended, 1, HEIR_END_MS);
    upgrade_forget(upgrade);
}

void upgrade_fini(struct upgrade *upgrade)
{
    end_heir(upgrade);
    if (upgrade->elder >= 0)
        close(upgrade->elder);
    upgrade->elder = -1;
}

/* ---- the elder ---- */

/* What systemd told us once is true for the one that follows us. */
static void set_environment(const struct systemd *systemd)
{
    char number[32];
    setenv(ENVIRONMENT, "1", 1);
    if (systemd->notify_path[0] != '\0')
        setenv("NOTIFY_SOCKET", systemd->notify_path, 1);
    snprintf(number, sizeof number, "%llu", (unsigned long long)systemd->watchdog_us);
    if (systemd->watchdog_us != 0)
        setenv("WATCHDOG_USEC", number, 1);
}

static _Noreturn void run_heir(struct upgrade *upgrade, const struct systemd *systemd, int end)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if ((end == HEIR_CHANNEL ? fcntl(end, F_SETFD, 0) : dup2(end, HEIR_CHANNEL)) < 0 ||
        close_range(HEIR_CHANNEL + 1, ~0U, 0) != 0)
        _exit(127);
    set_environment(systemd);
    execv(upgrade->program, upgrade->words);
    _exit(127);
}

/*
 * By way of a process that ends at once, so that the heir is a child of process 1: of a main
 * process that is not its own child systemd would not notice the end, and would not wait for it in
 * a stop.
 */
static bool start_heir(struct upgrade *upgrade, const struct systemd *systemd, int end)
{
    fflush(NULL);
    pid_t between = fork();
    if (between == 0) {
        pid_t heir = fork();
        if (heir == 0)
            run_heir(upgrade, systemd, end);
        _exit(heir > 0 && send(end, &heir, sizeof heir, MSG_NOSIGNAL) == (ssize_t)sizeof heir ? 0
                                                                                              : 1);
    }
    while (between > 0 && waitpid(between, NULL, 0) < 0 && errno == EINTR)
        ;
    if (recv(upgrade->channel, &upgrade->pid, sizeof upgrade->pid, MSG_DONTWAIT) !=
        (ssize_t)sizeof upgrade->pid)
        return false;
    upgrade->pidfd = (int)syscall(SYS_pidfd_open, upgrade->pid, 0);
    return upgrade->pidfd >= 0;
}

static bool hand_sockets(int channel, const struct listeners *listeners)
{
    for (unsigned i = 0; i < listeners->count; i++) {
        const struct listener_group *group = listeners->groups[i];
        struct handover h;
        handover_init(&h, HANDOVER_SOCKET);
        h.addr = group->addr;
        h.inherited = group->inherited;
        h.ip4_only = group->ip4_only;
        for (unsigned k = 0; k < group->count; k++)
            if (!handover_send(channel, &h, group->fds[k]))
                return false;
    }
    return true;
}

static bool hand_control(int channel, const struct control *control)
{
    struct handover h;
    if (control->fd < 0)
        return true;
    handover_init(&h, HANDOVER_CONTROL);
    h.group = (uint32_t)control->group;
    memcpy(h.path, control->path, sizeof h.path);
    return handover_send(channel, &h, control->fd);
}

/* So that sessions are resumed as if nothing had happened. */
static bool hand_secrets(int channel, const struct secrets *secrets, uint64_t now_ms)
{
    struct handover h;
    handover_init(&h, HANDOVER_SECRETS);
    memcpy(h.current, secrets->current, sizeof h.current);
    memcpy(h.previous, secrets->previous, sizeof h.previous);
    h.epoch = secrets->epoch;
    h.left_ms = secrets->next_ms > now_ms ? secrets->next_ms - now_ms : 0;
    bool sent = handover_send(channel, &h, -1);
    explicit_bzero(&h, sizeof h);
    return sent;
}

static bool hand_drains(int channel, const struct drains *drains)
{
    struct handover h;
    bool sent = true;
    for (unsigned i = 0; i < drains->count && sent; i++) {
        handover_init(&h, HANDOVER_DRAINED);
        memcpy(h.origin, drains->texts[i], sizeof h.origin);
        sent = handover_send(channel, &h, -1);
    }
    return sent;
}

static bool hand_all(struct upgrade *upgrade, const struct upgrade_estate *estate)
{
    struct handover end;
    handover_init(&end, HANDOVER_END);
    return hand_secrets(upgrade->channel, estate->secrets, estate->now_ms) &&
           hand_control(upgrade->channel, estate->control) &&
           hand_sockets(upgrade->channel, estate->listeners) &&
           hand_drains(upgrade->channel, estate->drains) &&
           handover_send(upgrade->channel, &end, -1);
}

bool upgrade_start(struct upgrade *upgrade, const struct upgrade_estate *estate, char *why,
                   size_t why_bytes)
{
    int ends[2];
    upgrade->report[0] = '\0';
    if (upgrade->program[0] == '\0' || access(upgrade->program, X_OK) != 0) {
        snprintf(why, why_bytes, "there is no program at %s any more",
                 upgrade->program[0] == '\0' ? "the path we were started from" : upgrade->program);
        return false;
    }
    if (!channel_open(ends)) {
        snprintf(why, why_bytes, "%s", strerror(errno));
        return false;
    }
    upgrade->channel = ends[0];
    upgrade->deadline_ms = estate->now_ms + UPGRADE_MS_MAX;
    bool started = start_heir(upgrade, estate->systemd, ends[1]);
    close(ends[1]);
    if (started && hand_all(upgrade, estate))
        return true;
    snprintf(why, why_bytes, "%s does not take our sockets: is it portcullis?", upgrade->program);
    end_heir(upgrade);
    return false;
}

enum upgrade_state upgrade_continue(struct upgrade *upgrade, uint64_t now_ms)
{
    ssize_t got = recv(upgrade->channel, upgrade->report, sizeof upgrade->report - 1, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR) && now_ms < upgrade->deadline_ms)
        return UPGRADE_GOES_ON;
    upgrade->report[got < 0 ? 0 : got] = '\0';
    if (strcmp(upgrade->report, WORD_READY) == 0)
        return UPGRADE_READY;
    end_heir(upgrade);
    return UPGRADE_FAILED;
}

/* ---- the heir ---- */

bool upgrade_take(struct upgrade *upgrade, struct listeners *listeners, struct control *control,
                  struct secrets *secrets, struct drains *drains, uint64_t now_ms)
{
    struct handover h;
    int fd;
    while (upgrade->elder >= 0) {
        if (!handover_receive(upgrade->elder, &h, &fd))
            return false;
        switch (h.kind) {
        case HANDOVER_SOCKET:
            if (!listeners_adopt(listeners, &h.addr, fd, h.inherited, h.ip4_only))
                return false;
            break;
        case HANDOVER_CONTROL:
            control_adopt(control, fd, h.path, (gid_t)h.group);
            break;
        case HANDOVER_SECRETS:
            secrets_adopt(secrets, h.current, h.previous, h.epoch, now_ms + h.left_ms);
            explicit_bzero(&h, sizeof h);
            break;
        case HANDOVER_DRAINED:
            if (drains_set(drains, str_from_z(h.origin), true) != DRAINS_DONE)
                return false;
            break;
        default:
            return true;
        }
    }
    return true;
}

void upgrade_say(struct upgrade *upgrade, bool ready, struct str report)
{
    if (upgrade->elder < 0)
        return;
    struct str said = ready ? STR(WORD_READY) : report;
    if (said.len > UPGRADE_REPORT_MAX - 1)
        said = str_sub(said, 0, UPGRADE_REPORT_MAX - 1);
    /* Should the elder have gone, we serve all the same. */
    if (said.len > 0 && send(upgrade->elder, said.at, said.len, MSG_NOSIGNAL) < 0)
        (void)0;
    close(upgrade->elder);
    upgrade->elder = -1;
}
