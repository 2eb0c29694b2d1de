#include "app/change.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Issued certificates have ten days left when they are due; warnings shall come daily. */
#define PERIODIC_MS ((uint64_t)24 * 3600 * 1000)

/* ---- telling ---- */

static void print_report(const struct load *load)
{
    if (load->report_len > 0 && write(STDERR_FILENO, load->report, load->report_len) < 0)
        return;
}

static void answer_reloads(struct supervisor *s, bool ok)
{
    control_answer_all(&s->control, CONTROL_RELOAD, ok,
                       str_from(s->load.report, s->load.report_len), s->now_ms);
}

/* ---- a load, step by step ---- */

void change_begin(struct supervisor *s, enum change_reason reason)
{
    if (s->stopping)
        return;
    if (s->phase != PHASE_IDLE || s->upgrade.channel >= 0) {
        s->reload_wanted = true;
        return;
    }
    s->reason = reason;
    s->phase = PHASE_LOADING;
    s->periodic_ms = s->now_ms + PERIODIC_MS;
    if (s->generation > 0)
        systemd_notify(&s->systemd, "RELOADING=1\nMONOTONIC_USEC=%llu",
                       (unsigned long long)clock_mono_us());
    /* A failure to start is found by load_continue() as a channel that is gone. */
    s->loader_conf.served_pack = reason >= CHANGE_FILE ? s->pack : -1;
    if (!load_start(&s->load, &s->loader_conf, &s->watch))
        log_error("the loader cannot be started");
}

void change_tell(struct supervisor *s)
{
    s->status.history.worker_starts = s->crew.starts;
    if (s->crew.serving != NULL && !crew_tell(s->crew.serving, &s->status.history))
        crew_kill(s->crew.serving);
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
        change_begin(s, CHANGE_ASKED);
    }
}

/*
 * Sockets that were opened for a worker with more threads take part in the kernel's choice already,
 * and closing one would reset what waits in it: the one that serves on takes them too.
 */
static void share_new_sockets(struct supervisor *s)
{
    struct hand *hand = s->crew.serving;
    for (unsigned i = 0; hand != NULL && i < s->form.addr_count; i++) {
        struct listener_group *group = listeners_find(&s->listeners, &s->form.addrs[i]);
        if (group != NULL && !group->inherited && group->served < group->count &&
            !crew_listen(hand, group, group->served))
            crew_kill(hand);
    }
}

/* The change is given up: everything stays, or goes back to, what is served. */
void change_refuse(struct supervisor *s, int first_status)
{
    print_report(&s->load);
    if (s->generation == 0) {
        upgrade_say(&s->upgrade, false, str_from(s->load.report, s->load.report_len));
        load_fini(&s->load);
        s->phase = PHASE_IDLE;
        s->exit_status = first_status;
        s->stop_wanted = true;
        return;
    }
    load_say(&s->load, "refused: generation %llu serves on", (unsigned long long)s->generation);
    log_error("the new configuration is refused: generation %llu serves on",
              (unsigned long long)s->generation);
    if (s->crew.serving == NULL && s->restart_ms == 0)
        s->restart_ms = s->now_ms;
    share_new_sockets(s);
    listeners_keep(&s->listeners, s->form.addrs, s->form.addr_count, NULL, NULL);
    log_files_keep(&s->logs, &s->form);
    status_set_refused(&s->status);
    change_tell(s);
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
    rest = text_str(&notices);
    while (str_split(&rest, '\n', &line))
        if (!str_empty(line))
            load_say(&s->load, "notice: %.*s", STR_ARG(line));
    if (ok && !log_files_want(&s->logs, form, why, sizeof why)) {
        load_say(&s->load, "error: %s", why);
        ok = false;
    }
    return ok && open_control(s, form);
}

struct crew_order change_served_order(const struct supervisor *s)
{
    return (struct crew_order){
        .form = &s->form,
        .path = s->path,
        .generation = s->generation,
        .pack = s->pack,
        .keys = s->keys,
        .listeners = &s->listeners,
        .logs = &s->logs,
        .secrets = &s->secrets,
        .drains = &s->drains,
    };
}

static struct crew_order new_order(const struct supervisor *s)
{
    struct crew_order order = change_served_order(s);
    order.form = &s->load.form;
    order.generation = s->last_generation;
    order.pack = s->load.pack;
    order.keys = s->load.keys;
    return order;
}

/* The worker gets the new configuration, or a fresh one does when it could not follow. */
static void hand_over(struct supervisor *s)
{
    s->last_generation++;
    struct crew_order order = new_order(s);
    struct hand *hand = s->crew.serving;
    const char *why = load_form_wants_fresh_worker(&s->form, &s->load.form);
    if (hand == NULL || why != NULL) {
        s->restart_ms = 0; /* should the old one have just ended: this is its successor */
        hand = crew_start(&s->crew, &order);
        if (hand == NULL) {
            load_say(&s->load, "error: a worker cannot be started: %s", strerror(errno));
            change_refuse(s, 1);
            return;
        }
    } else if (!crew_order(hand, &order)) {
        crew_kill(hand); /* stuck; its end refuses the change */
    }
    s->phase = PHASE_TAKING;
    s->taking = hand;
    s->taking_until_ms = s->now_ms + CREW_READY_MS_MAX;
}

void change_continue(struct supervisor *s)
{
    switch (load_continue(&s->load, &s->watch, s->now_ms)) {
    case LOAD_GOES_ON:
        return;
    case LOAD_FAILED:
        change_refuse(s, 2);
        return;
    case LOAD_OK:
        break;
    }
    /* Files were touched, not changed. */
    if (s->reason >= CHANGE_FILE && load_same_pack(s->load.pack, s->pack) &&
        load_same_pack(s->load.keys, s->keys) &&
        load_form_wants_fresh_worker(&s->form, &s->load.form) == NULL) {
        if (s->reason == CHANGE_PERIODIC)
            print_report(&s->load); /* certificates that expire */
        answer_reloads(s, true);
        end_change(s);
        return;
    }
    if (!open_all(s, &s->load.form)) {
        change_refuse(s, 1);
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
        if (!crew_listen(s->crew.serving, group, 0))
            crew_kill(s->crew.serving);
    }
}

static void say_ready(const struct supervisor *s)
{
    unsigned long long generation = s->generation;
    switch (s->reason) {
    case CHANGE_FIRST:
        log_notice("serving %s", s->path);
        break;
    case CHANGE_ASKED:
        log_notice("reloaded: generation %llu is served", generation);
        break;
    case CHANGE_FILE:
        log_notice("%s has changed: generation %llu is served", s->watch.what, generation);
        break;
    case CHANGE_PERIODIC:
        log_notice("files were read again: generation %llu is served", generation);
        break;
    }
    if (s->reason == CHANGE_FIRST && s->banner != NULL) {
        fputs(s->banner, stdout);
        fflush(stdout);
    }
}

/* Every thread serves by the new configuration. */
void change_commit(struct supervisor *s)
{
    struct hand *old = s->crew.serving;
    print_report(&s->load);
    s->crew.serving = s->taking;
    s->generation = s->last_generation;
    if (old != NULL && old != s->taking) {
        const char *why = load_form_wants_fresh_worker(&s->form, &s->load.form);
        load_say(&s->load, "%s%sa new worker has begun; the old one finishes what is open",
                 why == NULL ? "" : why, why == NULL ? "" : ": ");
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
    change_tell(s);
    say_ready(s);
    s->control.quiet = false;
    upgrade_say(&s->upgrade, true, STR(""));
    load_say(&s->load, "generation %llu is served", (unsigned long long)s->generation);
    answer_reloads(s, true);
    end_change(s);
}
