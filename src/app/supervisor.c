#include "app/supervisor.h"

#include "app/change.h"
#include "app/child.h"
#include "app/locks.h"
#include "app/privilege.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* The pauses before a worker that keeps ending is started again. */
#define RESTART_PAUSE_MS ((uint64_t)100)
#define RESTART_PAUSE_MS_MAX ((uint64_t)5000)
/* A worker that lived this long was well. */
#define RESTART_WELL_MS 10000
/* Handshakes under way when we are told to stop come to their end: a round trip of a large site. */
#define STOP_SETTLE_MS 20

/* ---- the worker ---- */

static void send_status(struct supervisor *s)
{
    char *memory = malloc(STATUS_BYTES_MAX);
    struct text out = text_over(memory, memory == NULL ? 0 : STATUS_BYTES_MAX);
    status_add_json(&s->status, &out, &s->form, s->crew.serving, s->now_ms);
    control_answer_all(&s->control, CONTROL_STATUS, text_ok(&out), text_str(&out), s->now_ms);
    free(memory);
}

static void look_after_log(struct supervisor *s, unsigned slot)
{
    if (!log_files_look(&s->logs, slot, s->now_ms))
        return;
    for (unsigned i = 0; i < CREW_MAX; i++)
        if (s->crew.hands[i].pid > 0 && !crew_send_log(&s->crew.hands[i], &s->logs, slot))
            crew_kill(&s->crew.hands[i]);
}

/* The worker speaks with strangers: it gets no control bytes onto the terminal. */
static void say_for_worker(struct load *load, const struct letter *m)
{
    char bytes[LETTER_TEXT_MAX];
    for (size_t i = 0; i < m->u.text.len; i++) {
        unsigned char c = (unsigned char)m->u.text.bytes[i];
        bytes[i] = (c < 0x20 && c != '\n') || c >= 0x7f ? '?' : (char)c;
    }
    load_say(load, "%.*s", (int)m->u.text.len, bytes);
}

/* Said of each worker, before it serves. */
static void on_locked(struct hand *hand, const struct letter_locks *locks)
{
    char memory[1024];
    struct text missing = text_over(memory, sizeof memory);
    struct locks_seen seen = locks_look(hand->pid);
    hand->locks = *locks;
    if (!locks->wanted && locks->missing[0] == '\0')
        log_warning("the sandbox is off: the worker runs without seccomp and Landlock");
    locks_add_missing(&missing, &seen, locks);
    if (missing.len > 0)
        log_warning("the worker lacks locks: %.*s", STR_ARG(text_str(&missing)));
}

static void on_worker_message(struct supervisor *s, struct hand *hand, const struct letter *m)
{
    bool of_change = s->phase == PHASE_TAKING && hand == s->taking;
    switch (m->kind) {
    case LETTER_LOCKED:
        on_locked(hand, &m->u.locks);
        break;
    case LETTER_READY:
        if (of_change && m->u.generation == s->last_generation)
            change_commit(s);
        else if (hand == s->crew.serving) {
            log_notice("a new worker serves (pid %d)", (int)hand->pid);
            change_tell(s);
        }
        break;
    case LETTER_TEXT:
        if (of_change)
            say_for_worker(&s->load, m);
        break;
    case LETTER_REFUSED:
        if (of_change && m->u.generation == s->last_generation) {
            if (hand != s->crew.serving)
                crew_kill(hand);
            change_refuse(s, 2);
        }
        break;
    case LETTER_LOG_WANTED:
        look_after_log(s, m->u.wanted_slot);
        break;
    case LETTER_COUNTERS:
    case LETTER_CERT:
        status_take(&s->status, m);
        break;
    case LETTER_ANSWERED:
        send_status(s);
        break;
    default:
        break;
    }
}

static void receive_from(struct supervisor *s, struct hand *hand)
{
    /* So many at once, that one worker cannot keep the supervisor from its other duties. */
    for (int i = 0; i < 256 && hand->pid > 0 && !hand->offended; i++) {
        struct letter m;
        int fds[LETTER_FDS_MAX];
        switch (channel_receive(hand->channel, SIDE_WORKER, &m, fds)) {
        case CHANNEL_EMPTY:
            return;
        case CHANNEL_GONE: /* ended, which SIGCHLD reports; or it closed, or sent nothing at all */
            crew_kill(hand);
            return;
        case CHANNEL_BAD:
            crew_offended(hand, "sent what it may not send");
            return;
        case CHANNEL_LETTER:
            if (conduct_allows(&hand->conduct, &m, s->now_ms))
                on_worker_message(s, hand, &m);
            else
                crew_offended(hand, "said what was not its turn to say");
        }
    }
}

static void restart_worker(struct supervisor *s)
{
    struct crew_order order = change_served_order(s);
    s->restart_ms = 0;
    s->crew.serving = crew_start(&s->crew, &order);
    if (s->crew.serving == NULL) {
        log_error("a worker cannot be started: %s", strerror(errno));
        s->restart_ms = s->now_ms + RESTART_PAUSE_MS_MAX;
    }
}

/* At once when it had been well; the listeners' queues wait meanwhile. */
static void plan_restart(struct supervisor *s, uint64_t lived_ms)
{
    s->restarts = lived_ms >= RESTART_WELL_MS ? 0 : s->restarts + 1;
    uint64_t pause = 0;
    if (s->restarts > 1)
        pause = RESTART_PAUSE_MS << (s->restarts < 8 ? s->restarts - 2 : 6);
    s->restart_ms = s->now_ms + (pause > RESTART_PAUSE_MS_MAX ? RESTART_PAUSE_MS_MAX : pause);
    if (s->restart_ms == 0)
        s->restart_ms = 1;
}

static void on_worker_end(struct supervisor *s, struct hand *hand, int wait_status)
{
    char how[128];
    bool served = hand == s->crew.serving, drained = hand->draining;
    bool of_change = s->phase == PHASE_TAKING && hand == s->taking;
    uint64_t lived_ms = s->now_ms - hand->started_ms;
    if (!drained || !WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0)
        log_error("the worker (pid %d) %s", (int)hand->pid,
                  child_end_text(wait_status, how, sizeof how));
    crew_forget(&s->crew, hand);
    if (served && !s->stopping)
        plan_restart(s, lived_ms);
    if (of_change) {
        load_say(&s->load, "error: the worker ended while it took the configuration");
        change_refuse(s, 1);
    }
    if (served) /* else the one that was asked is alive */
        control_answer_all(&s->control, CONTROL_STATUS, false, STR("the worker has just ended\n"),
                           s->now_ms);
}

static void reap(struct supervisor *s)
{
    for (unsigned i = 0; i < CREW_MAX; i++) {
        struct hand *hand = &s->crew.hands[i];
        int wait_status;
        if (hand->pid > 0 && waitpid(hand->pid, &wait_status, WNOHANG) == hand->pid) {
            receive_from(s, hand); /* its last words */
            if (hand->pid > 0)
                on_worker_end(s, hand, wait_status);
        }
    }
}

/* ---- signals and commands ---- */

static bool anybody_left(const struct supervisor *s)
{
    for (unsigned i = 0; i < CREW_MAX; i++)
        if (s->crew.hands[i].pid > 0)
            return true;
    return false;
}

/* With `again` nothing is waited for. */
static void leave(struct supervisor *s, bool again)
{
    s->leave_ms = 0;
    for (unsigned i = 0; i < CREW_MAX; i++) {
        struct hand *hand = &s->crew.hands[i];
        if (hand->pid > 0 && (again || !hand->draining))
            crew_drain(hand, again ? 0 : s->form.settings.drain_ms);
    }
    listeners_keep(&s->listeners, NULL, 0, NULL, NULL);
}

static void stop(struct supervisor *s)
{
    bool again = s->stopping;
    if (!again && !s->upgraded) {
        upgrade_fini(&s->upgrade);
        systemd_notify(&s->systemd, "STOPPING=1");
        if (s->generation > 0)
            log_notice("stopping: open requests are given %u s", s->form.settings.drain_ms / 1000);
    }
    s->stopping = true;
    s->reload_wanted = false;
    if (s->phase != PHASE_IDLE) {
        load_fini(&s->load);
        s->phase = PHASE_IDLE;
        control_answer_all(&s->control, CONTROL_RELOAD, false, STR("portcullis is being stopped\n"),
                           s->now_ms);
    }
    /* Sockets that we share with another instance, which serves on, are left as they are: what we
     * said to its callers would be said for good. */
    if (again || s->upgraded || s->generation == 0) {
        leave(s, again);
        return;
    }
    listeners_turn_away(&s->listeners);
    s->leave_ms = s->now_ms + STOP_SETTLE_MS;
}

/* ---- another version of the program ---- */

static void begin_upgrade(struct supervisor *s, struct control_client *client)
{
    char why[LETTER_PATH_MAX + 128];
    const struct upgrade_estate estate = {.listeners = &s->listeners,
                                          .control = &s->control,
                                          .secrets = &s->secrets,
                                          .drains = &s->drains,
                                          .systemd = &s->systemd,
                                          .now_ms = s->now_ms};
    if (s->stopping || s->phase != PHASE_IDLE || s->upgrade.channel >= 0) {
        control_answer(client, false, STR("something else is under way: try again\n"), s->now_ms);
        return;
    }
    log_notice("upgrading: %s is started beside this one", s->upgrade.program);
    if (upgrade_start(&s->upgrade, &estate, why, sizeof why))
        return;
    log_error("no upgrade: %s", why);
    control_answer(client, false, str_from_z(why), s->now_ms);
}

static void end_upgrade(struct supervisor *s)
{
    char said[128];
    pid_t pid = s->upgrade.pid;
    snprintf(said, sizeof said, "pid %d serves; pid %d finishes what is open\n", (int)pid,
             (int)getpid());
    log_notice("upgraded: %.*s", (int)strcspn(said, "\n"), said);
    systemd_notify(&s->systemd, "MAINPID=%d", (int)pid);
    upgrade_forget(&s->upgrade);
    s->upgraded = true;
    control_leave(&s->control);
    control_answer_all(&s->control, CONTROL_UPGRADE, true, str_from_z(said), s->now_ms);
    control_answer_all(&s->control, CONTROL_RELOAD, false,
                       STR("another instance has taken over: try again\n"), s->now_ms);
    stop(s);
}

static void refuse_upgrade(struct supervisor *s)
{
    char report[UPGRADE_REPORT_MAX + 128];
    struct text text = text_over(report, sizeof report);
    text_add_z(&text, s->upgrade.report);
    text_printf(&text, "refused: pid %d serves on\n", (int)getpid());
    log_error("the new program does not serve: pid %d serves on", (int)getpid());
    control_answer_all(&s->control, CONTROL_UPGRADE, false, text_str(&text), s->now_ms);
    if (s->reload_wanted) {
        s->reload_wanted = false;
        change_begin(s, CHANGE_ASKED);
    }
}

static void look_after_upgrade(struct supervisor *s)
{
    switch (upgrade_continue(&s->upgrade, s->now_ms)) {
    case UPGRADE_GOES_ON:
        break;
    case UPGRADE_READY:
        end_upgrade(s);
        break;
    case UPGRADE_FAILED:
        refuse_upgrade(s);
        break;
    }
}

static void reopen_logs(struct supervisor *s)
{
    for (unsigned slot = 0; slot < LOG_FILES_MAX; slot++)
        if (log_files_reopen(&s->logs, slot))
            for (unsigned i = 0; i < CREW_MAX; i++)
                if (s->crew.hands[i].pid > 0 && !crew_send_log(&s->crew.hands[i], &s->logs, slot))
                    crew_kill(&s->crew.hands[i]);
    log_notice("logs are opened again");
}

static void on_signal(struct supervisor *s, uint32_t number)
{
    switch (number) {
    case SIGHUP:
        change_begin(s, CHANGE_ASKED);
        break;
    case SIGUSR1:
        reopen_logs(s);
        break;
    case SIGTERM:
    case SIGINT:
        stop(s);
        break;
    default: /* SIGCHLD: looked at in each turn */
        break;
    }
}

/* All workers are told, also those that drain: they still send requests. */
static void drain_origin(struct supervisor *s, struct control_client *client, bool on)
{
    static const struct {
        bool ok;
        struct str says;
    } answers[2][4] = {
        {[DRAINS_DONE] = {true, STR_INIT("it gets requests again\n")},
         [DRAINS_ALREADY] = {false, STR_INIT("it is not drained\n")},
         [DRAINS_BAD] = {false, STR_INIT("no origin is written like that\n")}},
        {[DRAINS_DONE] = {true, STR_INIT("drained: it gets no new requests\n")},
         [DRAINS_ALREADY] = {true, STR_INIT("it is drained already\n")},
         [DRAINS_FULL] = {false, STR_INIT("too many origins are drained\n")},
         [DRAINS_BAD] = {false, STR_INIT("no origin is written like that\n")}},
    };
    enum drains_result result = drains_set(&s->drains, client->argument, on);
    for (unsigned i = 0; result == DRAINS_DONE && i < CREW_MAX; i++)
        if (s->crew.hands[i].pid > 0 && !crew_drain_origin(&s->crew.hands[i], client->argument, on))
            crew_kill(&s->crew.hands[i]);
    control_answer(client, answers[on][result].ok, answers[on][result].says, s->now_ms);
}

static void on_command(void *user, struct control_client *client)
{
    struct supervisor *s = user;
    switch (client->command) {
    case CONTROL_RELOAD:
        if (s->stopping)
            control_answer(client, false, STR("portcullis is being stopped\n"), s->now_ms);
        else
            change_begin(s, CHANGE_ASKED);
        break;
    case CONTROL_STOP:
        stop(s); /* answered when everything has ended */
        break;
    case CONTROL_UPGRADE:
        begin_upgrade(s, client);
        break;
    case CONTROL_STATUS:
        status_begin(&s->status, s->now_ms);
        if (s->crew.serving == NULL || !crew_ask(s->crew.serving))
            send_status(s);
        break;
    case CONTROL_DRAIN:
    case CONTROL_UNDRAIN:
        drain_origin(s, client, client->command == CONTROL_DRAIN);
        break;
    case CONTROL_ASK:
        if (s->crew.serving != NULL && crew_pass(s->crew.serving, client->fd))
            control_pass(client);
        else
            control_answer(client, false, STR("no worker serves at the moment\n"), s->now_ms);
        break;
    }
}

/* A worker asks for nothing here. Where it is another user it would not even be let in; where all
 * of us are one user only the pid tells it from the operator. */
static bool is_worker(void *user, pid_t pid)
{
    struct supervisor *s = user;
    struct hand *hand;
    if (!crew_is_worker(&s->crew, pid, &hand))
        return false;
    if (hand != NULL && !hand->offended)
        crew_offended(hand, "came to the control socket");
    return true;
}

static void read_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info)
        on_signal(s, info.ssi_signo);
}

/* ---- the turn ---- */

static int poll_timeout(const struct supervisor *s)
{
    if (s->leave_ms != 0)
        return s->leave_ms > s->now_ms ? (int)(s->leave_ms - s->now_ms) : 0;
    /* Files are looked at once a second; a restart that waits is never far. */
    if (s->restart_ms > s->now_ms && s->restart_ms - s->now_ms < 1000)
        return (int)(s->restart_ms - s->now_ms);
    return s->restart_ms != 0 ? 0 : 1000;
}

static void wait_for_news(struct supervisor *s)
{
    struct pollfd fds[CONTROL_CLIENTS_MAX + CREW_MAX + 4];
    unsigned count = control_poll(&s->control, fds);
    fds[count++] = (struct pollfd){.fd = s->signals, .events = POLLIN};
    if (s->phase == PHASE_LOADING && s->load.channel >= 0)
        fds[count++] = (struct pollfd){.fd = s->load.channel, .events = POLLIN};
    if (s->upgrade.channel >= 0)
        fds[count++] = (struct pollfd){.fd = s->upgrade.channel, .events = POLLIN};
    for (unsigned i = 0; i < CREW_MAX; i++)
        if (s->crew.hands[i].pid > 0)
            fds[count++] = (struct pollfd){.fd = s->crew.hands[i].channel, .events = POLLIN};
    if (poll(fds, count, poll_timeout(s)) < 0 && errno != EINTR)
        log_error("poll: %s", strerror(errno));
    s->now_ms = clock_mono_ms();
}

static void watch_time(struct supervisor *s)
{
    if (s->restart_ms != 0 && s->now_ms >= s->restart_ms && !s->stopping)
        restart_worker(s);
    if (s->leave_ms != 0 && s->now_ms >= s->leave_ms)
        leave(s, false);
    if (s->phase == PHASE_TAKING && s->now_ms >= s->taking_until_ms)
        crew_kill(s->taking);
    for (unsigned i = 0; i < CREW_MAX; i++) {
        struct hand *hand = &s->crew.hands[i];
        if (hand->pid > 0 && hand->draining && s->now_ms >= hand->kill_at_ms)
            crew_kill(hand);
    }
    if (secrets_turn(&s->secrets, s->now_ms))
        for (unsigned i = 0; i < CREW_MAX; i++)
            if (s->crew.hands[i].pid > 0 && !crew_send_secrets(&s->crew.hands[i], &s->secrets))
                crew_kill(&s->crew.hands[i]);
    if (status_late(&s->status, s->now_ms))
        send_status(s);
}

static void turn(struct supervisor *s)
{
    wait_for_news(s);
    read_signals(s);
    control_turn(&s->control, s->now_ms);
    if (s->phase == PHASE_LOADING)
        change_continue(s);
    if (s->upgrade.channel >= 0)
        look_after_upgrade(s);
    if (s->stop_wanted && !s->stopping)
        stop(s);
    for (unsigned i = 0; i < CREW_MAX; i++)
        if (s->crew.hands[i].pid > 0)
            receive_from(s, &s->crew.hands[i]);
    reap(s);
    watch_time(s);
    if (s->phase == PHASE_IDLE && !s->stopping && s->generation > 0 && s->upgrade.channel < 0 &&
        watch_look(&s->watch, s->now_ms))
        change_begin(s, CHANGE_FILE);
    if (s->phase == PHASE_IDLE && s->now_ms >= s->periodic_ms)
        change_begin(s, CHANGE_PERIODIC);
    systemd_watchdog(&s->systemd, s->now_ms);
    s->ended = s->stopping && !anybody_left(s);
}

/* ---- beginning and end ---- */

static bool block_signals(struct supervisor *s)
{
    sigset_t set;
    sigemptyset(&set);
    static const int ours[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGCHLD};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        signal(ours[i], SIG_DFL); /* a shell's background job starts with some ignored */
        sigaddset(&set, ours[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return false;
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals >= 0;
}

static bool init(struct supervisor *s, const struct supervisor_conf *conf)
{
    memset(s, 0, sizeof *s);
    s->path = conf->path;
    s->banner = conf->banner;
    s->pack = s->keys = -1;
    s->now_ms = clock_mono_ms();
    s->loader_conf = (struct loader_conf){
        .path = conf->path,
        .text = conf->text,
        .colour = isatty(STDERR_FILENO) && getenv("NO_COLOR") == NULL,
    };
    upgrade_init(&s->upgrade);
    systemd_init(&s->systemd);
    listeners_init(&s->listeners);
    listeners_inherit(&s->listeners, SYSTEMD_LISTEN_FIRST, s->systemd.listen_fds);
    log_files_init(&s->logs);
    control_init(&s->control, on_command, s);
    s->control.is_worker = is_worker;
    watch_init(&s->watch);
    secrets_init(&s->secrets, s->now_ms);
    crew_init(&s->crew);
    status_init(&s->status, s->now_ms);
    load_init(&s->load);
    privilege_hide_memory();
    privilege_raise_descriptors();
    if (!upgrade_take(&s->upgrade, &s->listeners, &s->control, &s->secrets, &s->drains,
                      s->now_ms)) {
        errno = EPROTO;
        upgrade_say(&s->upgrade, false,
                    STR("error: the two versions do not understand each other\n"));
        return false;
    }
    return block_signals(s);
}

static void fini(struct supervisor *s)
{
    control_answer_all(&s->control, CONTROL_STOP, true, STR("stopped\n"), clock_mono_ms());
    load_fini(&s->load);
    upgrade_fini(&s->upgrade);
    if (s->control.quiet)
        control_leave(&s->control);
    control_fini(&s->control);
    listeners_fini(&s->listeners);
    log_files_fini(&s->logs);
    watch_fini(&s->watch);
    secrets_fini(&s->secrets);
    if (s->pack >= 0)
        close(s->pack);
    if (s->keys >= 0)
        close(s->keys);
    close(s->signals);
}

int supervisor_run(const struct supervisor_conf *conf)
{
    struct supervisor *s = calloc(1, sizeof *s);
    if (s == NULL || !init(s, conf)) {
        log_error("portcullis cannot start: %s", strerror(errno));
        free(s);
        return 1;
    }
    log_notice("version " PC_VERSION ", configuration %s", conf->path);
    change_begin(s, CHANGE_FIRST);
    while (!s->ended)
        turn(s);
    fini(s);
    int status = s->exit_status;
    free(s);
    return status;
}
