#include "app/supervisor.h"

#include "app/child.h"
#include "app/control.h"
#include "app/crew.h"
#include "app/load.h"
#include "app/log_files.h"
#include "app/privilege.h"
#include "app/status.h"
#include "app/systemd.h"
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
#define RESTART_PAUSE_MS 100
#define RESTART_PAUSE_MS_MAX 5000
/* A worker that lived this long was well. */
#define RESTART_WELL_MS 10000

enum phase {
    PHASE_IDLE,
    PHASE_LOADING, /* the loader reads and checks */
    PHASE_TAKING,  /* the worker compiles */
};

struct supervisor {
    const struct supervisor_conf *conf;
    struct loader_conf loader_conf;
    struct systemd systemd;
    struct listeners listeners;
    struct log_files logs;
    struct control control;
    struct watch watch;
    struct secrets secrets;
    struct crew crew;
    struct status status;
    int signals;
    uint64_t now_ms;

    /* What is served: form and packs of the last good load. Generation 0: nothing yet. */
    struct load_form form;
    int pack, keys;
    uint64_t generation;

    /* The change under way. */
    enum phase phase;
    struct load load;
    struct hand *taking; /* the worker that compiles; perhaps a fresh one */
    uint64_t taking_until_ms;
    uint64_t last_generation; /* ever given out */
    bool reload_wanted;       /* asked for while another was under way */
    bool from_watch;          /* begun because a file had changed */

    unsigned restarts;   /* in a row */
    uint64_t restart_ms; /* when the worker is to be started again; 0: no */

    bool stopping;
    int exit_status;
    bool ended;
};

/* ---- telling ---- */

/* What loader or worker had to say; they are not trusted with the terminal's control bytes. */
static void print_report(const struct load *load)
{
    for (size_t i = 0; i < load->report_len; i++) {
        unsigned char c = (unsigned char)load->report[i];
        if ((c < 0x20 && c != '\n' && c != '\t' && c != 0x1b) || c == 0x7f)
            load->report[i] = '?';
    }
    if (load->report_len > 0 && write(STDERR_FILENO, load->report, load->report_len) < 0)
        return;
}

static void answer_reloads(struct supervisor *s, bool ok)
{
    control_answer_all(&s->control, CONTROL_RELOAD, ok,
                       str_from(s->load.report, s->load.report_len), s->now_ms);
}

static void stop(struct supervisor *s, int exit_status);

/* ---- a load, step by step ---- */

static void begin_load(struct supervisor *s, bool from_watch)
{
    if (s->stopping)
        return;
    if (s->phase != PHASE_IDLE) {
        s->reload_wanted = true;
        return;
    }
    s->from_watch = from_watch;
    s->phase = PHASE_LOADING;
    if (s->generation > 0)
        systemd_notify(&s->systemd, "RELOADING=1\nMONOTONIC_USEC=%llu",
                       (unsigned long long)clock_mono_us());
    /* A failure to start is found by load_continue() as a channel that is gone. */
    if (!load_start(&s->load, &s->loader_conf, &s->watch))
        log_error("the loader cannot be started");
}

static void end_change(struct supervisor *s)
{
    load_fini(&s->load);
    s->phase = PHASE_IDLE;
    s->taking = NULL;
    systemd_notify(&s->systemd, "READY=1\nSTATUS=serving generation %llu",
                   (unsigned long long)s->generation);
    if (s->reload_wanted) {
        s->reload_wanted = false;
        begin_load(s, false);
    }
}

/* The change is given up: everything stays, or goes back to, what is served. */
static void refuse_change(struct supervisor *s, int first_status)
{
    print_report(&s->load);
    if (s->generation == 0) {
        load_fini(&s->load);
        s->phase = PHASE_IDLE;
        stop(s, first_status);
        return;
    }
    load_say(&s->load, "refused: generation %llu serves on", (unsigned long long)s->generation);
    log_error("the new configuration is refused: generation %llu serves on",
              (unsigned long long)s->generation);
    listeners_keep(&s->listeners, s->form.addrs, s->form.addr_count, NULL, NULL);
    log_files_keep(&s->logs, &s->form);
    status_set_refused(&s->status);
    answer_reloads(s, false);
    end_change(s);
}

static bool open_control(struct supervisor *s, const struct load_form *form)
{
    char why[512];
    const struct letter_settings *now = &form->settings;
    gid_t group = now->control_gid == UINT32_MAX ? (gid_t)-1 : (gid_t)now->control_gid;
    s->control.worker = now->uid;
    if (s->control.fd >= 0 && strcmp(s->control.path, now->control_path) == 0 &&
        s->control.group == group)
        return true;
    if (s->control.fd >= 0 && strcmp(s->control.path, now->control_path) == 0)
        control_close(&s->control);
    if (control_open(&s->control, now->control_path, group, why, sizeof why))
        return true;
    load_say(&s->load, "error: %s", why);
    return false;
}

/* Everything the supervisor itself has to bring: sockets, log files, the control socket. */
static bool open_all(struct supervisor *s, const struct load_form *form)
{
    char memory[4096], why[512];
    struct text errors = text_over(memory, sizeof memory / 2);
    struct text notices = text_over(memory + sizeof memory / 2, sizeof memory / 2);
    bool ok = listeners_want(&s->listeners, form->addrs, form->addr_count, load_form_threads(form),
                             &errors, &notices);
    struct str rest = text_str(&errors), line;
    while (str_split(&rest, '\n', &line))
        if (!str_empty(line))
            load_say(&s->load, "error: %.*s", STR_ARG(line));
    if (notices.len > 0)
        load_say(&s->load, "notice: %.*s", STR_ARG(text_str(&notices)));
    if (ok && !log_files_want(&s->logs, form, why, sizeof why)) {
        load_say(&s->load, "error: %s", why);
        ok = false;
    }
    return ok && open_control(s, form);
}

static void order_of(struct supervisor *s, bool of_load, struct crew_order *order)
{
    *order = (struct crew_order){
        .form = of_load ? &s->load.form : &s->form,
        .path = s->conf->path,
        .generation = of_load ? s->last_generation : s->generation,
        .pack = of_load ? s->load.pack : s->pack,
        .keys = of_load ? s->load.keys : s->keys,
        .listeners = &s->listeners,
        .logs = &s->logs,
        .secrets = &s->secrets,
    };
}

/* The worker gets the new configuration, or a fresh one does when it could not follow. */
static void hand_over(struct supervisor *s)
{
    struct crew_order order;
    s->last_generation++;
    order_of(s, true, &order);
    struct hand *hand = s->crew.serving;
    bool fresh = hand == NULL || load_form_wants_fresh_worker(&s->form, &s->load.form);
    if (fresh) {
        hand = crew_start(&s->crew, &order);
        if (hand == NULL) {
            load_say(&s->load, "error: a worker cannot be started: %s", strerror(errno));
            refuse_change(s, 1);
            return;
        }
    } else if (!crew_order(hand, &order)) {
        crew_kill(hand); /* stuck; its end refuses the change */
    }
    s->phase = PHASE_TAKING;
    s->taking = hand;
    s->taking_until_ms = s->now_ms + CREW_READY_MS_MAX;
}

static void continue_load(struct supervisor *s)
{
    switch (load_continue(&s->load, &s->watch, s->now_ms)) {
    case LOAD_GOES_ON:
        return;
    case LOAD_FAILED:
        refuse_change(s, 2);
        return;
    case LOAD_OK:
        break;
    }
    /* A file was touched, not changed. */
    if (s->from_watch && load_same_pack(s->load.pack, s->pack) &&
        load_same_pack(s->load.keys, s->keys)) {
        answer_reloads(s, true);
        end_change(s);
        return;
    }
    if (!open_all(s, &s->load.form)) {
        refuse_change(s, 1);
        return;
    }
    hand_over(s);
}

static void unlisten(void *user, const struct letter_addr *addr)
{
    struct supervisor *s = user;
    if (s->crew.serving != NULL)
        crew_unlisten(s->crew.serving, addr);
}

/* An address that went from plain to TLS or back: the same sockets, served otherwise. */
static void relisten_changed(struct supervisor *s)
{
    for (unsigned i = 0; i < s->load.form.addr_count; i++) {
        const struct letter_addr *addr = &s->load.form.addrs[i];
        struct listener_group *group = listeners_find(&s->listeners, addr);
        if (group == NULL || group->addr.tls == addr->tls || s->crew.serving == NULL)
            continue;
        group->addr.tls = addr->tls;
        crew_unlisten(s->crew.serving, addr);
        if (!crew_listen(s->crew.serving, group))
            crew_kill(s->crew.serving);
    }
}

static void say_ready(struct supervisor *s)
{
    if (s->generation == 1) {
        log_notice("serving %s", s->conf->path);
        if (s->conf->banner != NULL) {
            fputs(s->conf->banner, stdout);
            fflush(stdout);
        }
        return;
    }
    if (s->from_watch)
        log_notice("%s has changed: generation %llu is served", s->watch.what,
                   (unsigned long long)s->generation);
    else
        log_notice("reloaded: generation %llu is served", (unsigned long long)s->generation);
}

/* Every thread serves by the new configuration. */
static void commit(struct supervisor *s)
{
    struct hand *old = s->crew.serving;
    print_report(&s->load);
    s->crew.serving = s->taking;
    s->generation = s->last_generation;
    if (old != NULL && old != s->taking) {
        load_say(&s->load, "a new worker has begun; the old one finishes what is open");
        crew_drain(old, s->form.settings.drain_ms);
    } else {
        relisten_changed(s);
    }
    s->form = s->load.form;
    listeners_keep(&s->listeners, s->form.addrs, s->form.addr_count, unlisten, s);
    log_files_keep(&s->logs, &s->form);
    if (s->pack >= 0)
        close(s->pack);
    if (s->keys >= 0)
        close(s->keys);
    s->pack = s->load.pack;
    s->keys = s->load.keys;
    s->load.pack = s->load.keys = -1;
    status_set_served(&s->status, s->generation, s->form.warnings);
    say_ready(s);
    load_say(&s->load, "generation %llu is served", (unsigned long long)s->generation);
    answer_reloads(s, true);
    end_change(s);
}

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

static void on_worker_message(struct supervisor *s, struct hand *hand, const struct letter *m)
{
    bool of_change = s->phase == PHASE_TAKING && hand == s->taking;
    switch (m->kind) {
    case LETTER_READY:
        if (of_change && m->u.generation == s->last_generation)
            commit(s);
        break;
    case LETTER_TEXT:
        if (of_change)
            load_say(&s->load, "%.*s", (int)m->u.text.len, m->u.text.bytes);
        break;
    case LETTER_REFUSED:
        if (of_change && m->u.generation == s->last_generation) {
            if (hand != s->crew.serving)
                crew_kill(hand);
            refuse_change(s, 2);
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
    for (int i = 0; i < 256 && hand->pid > 0; i++) {
        struct letter m;
        int fds[LETTER_FDS_MAX];
        switch (channel_receive(hand->channel, SIDE_WORKER, &m, fds)) {
        case CHANNEL_EMPTY:
        case CHANNEL_GONE: /* its end is reported by SIGCHLD */
            return;
        case CHANNEL_BAD:
            log_error("the worker (pid %d) sent what it may not send: it is replaced",
                      (int)hand->pid);
            crew_kill(hand);
            return;
        case CHANNEL_LETTER:
            on_worker_message(s, hand, &m);
        }
    }
}

static void restart_worker(struct supervisor *s)
{
    struct crew_order order;
    s->restart_ms = 0;
    order_of(s, false, &order);
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
        refuse_change(s, 1);
    }
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

static void stop(struct supervisor *s, int exit_status)
{
    bool again = s->stopping;
    if (!again) {
        s->exit_status = exit_status;
        systemd_notify(&s->systemd, "STOPPING=1");
        if (s->generation > 0)
            log_notice("stopping: open requests are given %u s", s->form.settings.drain_ms / 1000);
    }
    s->stopping = true;
    s->reload_wanted = false;
    if (s->phase != PHASE_IDLE) {
        load_say(&s->load, "error: portcullis is being stopped");
        answer_reloads(s, false);
        load_fini(&s->load);
        s->phase = PHASE_IDLE;
    }
    for (unsigned i = 0; i < CREW_MAX; i++) {
        struct hand *hand = &s->crew.hands[i];
        if (hand->pid > 0 && (again || !hand->draining))
            crew_drain(hand, again ? 0 : s->form.settings.drain_ms);
    }
    listeners_keep(&s->listeners, NULL, 0, NULL, NULL);
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
        begin_load(s, false);
        break;
    case SIGUSR1:
        reopen_logs(s);
        break;
    case SIGTERM:
    case SIGINT:
        stop(s, 0);
        break;
    default: /* SIGCHLD: looked at in each turn */
        break;
    }
}

static void on_command(void *user, struct control_client *client)
{
    struct supervisor *s = user;
    switch (client->command) {
    case CONTROL_RELOAD:
        if (s->stopping)
            control_answer(client, false, STR("portcullis is being stopped\n"), s->now_ms);
        else
            begin_load(s, false);
        break;
    case CONTROL_STOP:
        stop(s, 0); /* answered when everything has ended */
        break;
    case CONTROL_STATUS:
        status_begin(&s->status, s->now_ms);
        if (s->crew.serving == NULL || !crew_ask(s->crew.serving))
            send_status(s);
        break;
    }
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
    /* Files are looked at once a second; a restart that waits is never far. */
    if (s->restart_ms > s->now_ms && s->restart_ms - s->now_ms < 1000)
        return (int)(s->restart_ms - s->now_ms);
    return s->restart_ms != 0 ? 0 : 1000;
}

static void wait_for_news(struct supervisor *s)
{
    struct pollfd fds[CONTROL_CLIENTS_MAX + CREW_MAX + 3];
    unsigned count = control_poll(&s->control, fds);
    fds[count++] = (struct pollfd){.fd = s->signals, .events = POLLIN};
    if (s->phase == PHASE_LOADING && s->load.channel >= 0)
        fds[count++] = (struct pollfd){.fd = s->load.channel, .events = POLLIN};
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
        continue_load(s);
    for (unsigned i = 0; i < CREW_MAX; i++)
        if (s->crew.hands[i].pid > 0)
            receive_from(s, &s->crew.hands[i]);
    reap(s);
    watch_time(s);
    if (s->phase == PHASE_IDLE && !s->stopping && s->generation > 0 &&
        watch_look(&s->watch, s->now_ms))
        begin_load(s, true);
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
    s->conf = conf;
    s->pack = s->keys = -1;
    s->now_ms = clock_mono_ms();
    s->loader_conf = (struct loader_conf){
        .path = conf->path,
        .text = conf->text,
        .colour = isatty(STDERR_FILENO) && getenv("NO_COLOR") == NULL,
    };
    systemd_init(&s->systemd);
    listeners_init(&s->listeners);
    listeners_inherit(&s->listeners, SYSTEMD_LISTEN_FIRST, s->systemd.listen_fds);
    log_files_init(&s->logs);
    control_init(&s->control, on_command, s);
    watch_init(&s->watch);
    secrets_init(&s->secrets, s->now_ms);
    crew_init(&s->crew);
    status_init(&s->status, s->now_ms);
    load_init(&s->load);
    privilege_hide_memory();
    privilege_raise_descriptors();
    return block_signals(s);
}

static void fini(struct supervisor *s)
{
    control_answer_all(&s->control, CONTROL_STOP, true, STR("stopped\n"), clock_mono_ms());
    load_fini(&s->load);
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
    begin_load(s, false);
    while (!s->ended)
        turn(s);
    fini(s);
    int status = s->exit_status;
    free(s);
    return status;
}
