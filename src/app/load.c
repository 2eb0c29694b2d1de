#include "app/load.h"

#include "app/child.h"
#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void load_init(struct load *load)
{
    memset(load, 0, sizeof *load);
    load->channel = load->pack = load->keys = -1;
}

static void add_report(struct load *load, struct str s)
{
    if (load->report == NULL)
        load->report = malloc(LOAD_REPORT_BYTES);
    if (load->report == NULL)
        return;
    size_t room = LOAD_REPORT_BYTES - load->report_len;
    size_t len = s.len < room ? s.len : room;
    memcpy(load->report + load->report_len, s.at, len);
    load->report_len += len;
}

void load_say(struct load *load, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (len < 0)
        return;
    size_t n = (size_t)len < sizeof line - 1 ? (size_t)len : sizeof line - 2;
    if (n == 0 || line[n - 1] != '\n')
        line[n++] = '\n';
    add_report(load, str_from(line, n));
}

static void end_process(struct load *load)
{
    if (load->pid > 0) {
        kill(load->pid, SIGKILL);
        while (waitpid(load->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    load->pid = 0;
    if (load->channel >= 0)
        close(load->channel);
    load->channel = -1;
}

void load_fini(struct load *load)
{
    end_process(load);
    if (load->pack >= 0)
        close(load->pack);
    if (load->keys >= 0)
        close(load->keys);
    free(load->report);
    load_init(load);
}

bool load_start(struct load *load, struct loader_conf *conf, struct watch *watch)
{
    load_init(load);
    load->began_ms = clock_mono_ms();
    watch_begin(watch);
    load->pid = child_start(loader_main, conf, conf->served_pack, &load->channel);
    if (load->pid < 0) {
        load->pid = 0;
        load_say(load, "error: the loader cannot be started: %s", strerror(errno));
        return false;
    }
    load->deadline_ms = clock_mono_ms() + LOAD_MS_MAX;
    return true;
}

static enum load_state finish(struct load *load, bool ok, struct watch *watch)
{
    end_process(load);
    watch_end(watch, !ok, clock_mono_ms() - load->began_ms);
    return ok ? LOAD_OK : LOAD_FAILED;
}

static enum load_state fail(struct load *load, const char *why, struct watch *watch)
{
    load_say(load, "error: %s", why);
    return finish(load, false, watch);
}

/* Its channel is closed: it has ended, or is about to. */
static enum load_state fail_ended(struct load *load, struct watch *watch)
{
    char how[128] = "could not be started";
    int wait_status;
    if (load->pid > 0 && waitpid(load->pid, &wait_status, 0) == load->pid) {
        child_end_text(wait_status, how, sizeof how);
        load->pid = 0;
    }
    load_say(load, "error: the loader %s before its answer was complete", how);
    return finish(load, false, watch);
}

/* One letter; LOAD_GOES_ON unless it was the last. */
static enum load_state take(struct load *load, const struct letter *m, const int fds[2],
                            struct watch *watch)
{
    switch (m->kind) {
    case LETTER_TEXT:
        add_report(load, str_from(m->u.text.bytes, m->u.text.len));
        return LOAD_GOES_ON;
    case LETTER_WATCH:
        watch_add(watch, m->u.watch);
        return LOAD_GOES_ON;
    case LETTER_LOADED:
        load->pack = fds[0];
        load->keys = fds[1];
        break;
    default:
        break;
    }
    if (!load_form_take(&load->form, m))
        return fail(load, "the loader answered what does not fit together", watch);
    if (m->kind != LETTER_LOADED)
        return LOAD_GOES_ON;
    if (m->u.loaded.ok && !load_form_complete(&load->form))
        return fail(load, "the loader's answer is incomplete", watch);
    return finish(load, m->u.loaded.ok, watch);
}

enum load_state load_continue(struct load *load, struct watch *watch, uint64_t now_ms)
{
    for (;;) {
        struct letter m;
        int fds[LETTER_FDS_MAX];
        switch (channel_receive(load->channel, SIDE_LOADER, &m, fds)) {
        case CHANNEL_EMPTY:
            if (now_ms >= load->deadline_ms)
                return fail(load, "reading the files took more than a minute: given up", watch);
            return LOAD_GOES_ON;
        case CHANNEL_GONE:
            return fail_ended(load, watch);
        case CHANNEL_BAD:
            return fail(load, "the loader sent what it may not send", watch);
        case CHANNEL_LETTER:
            break;
        }
        enum load_state state = take(load, &m, fds, watch);
        if (state != LOAD_GOES_ON)
            return state;
    }
}

static bool same_bytes(int a, int b, off_t size)
{
    char left[16384], right[16384];
    for (off_t at = 0; at < size;) {
        ssize_t n = pread(a, left, sizeof left, at);
        if (n <= 0 || pread(b, right, sizeof right, at) != n || memcmp(left, right, (size_t)n) != 0)
            return false;
        at += n;
    }
    return true;
}

bool load_same_pack(int a, int b)
{
    struct stat sa, sb;
    if (a < 0 || b < 0)
        return a == b;
    return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_size == sb.st_size &&
           same_bytes(a, b, sa.st_size);
}
