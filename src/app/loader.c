#include "app/loader.h"

#include "app/channel.h"
#include "app/child.h"
#include "app/issue_ca.h"
#include "app/sandbox_roots.h"
#include "app/state_dir.h"
#include "base/arena.h"
#include "base/text.h"
#include "config/compile.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of all that can be said about a load; a file of 10,000 wrong lines is answered by its first. */
#define REPORT_BYTES_MAX ((size_t)512 * 1024)
/* What is read of internal certificates lies in it too: some KiB each. */
#define REPORT_ARENA_BYTES ((size_t)256 * 1024 * 1024)

struct loader {
    int channel;
    const struct loader_conf *conf;
    struct arena *arena;
    struct source_set *sources;
    struct diag diag;
};

static bool say(struct loader *l, const struct letter *m, const int *fds, unsigned count)
{
    return channel_send(l->channel, m, fds, count);
}

/* ---- who and where ---- */

/* The worker's user: as written, else portcullis, else nobody. */
static const struct passwd *look_up_user(struct loader *l, struct str name)
{
    if (!str_empty(name)) {
        const char *z = str_to_z(l->arena, name);
        return z == NULL ? NULL : getpwnam(z);
    }
    const struct passwd *user = getpwnam("portcullis");
    return user != NULL ? user : getpwnam("nobody");
}

static bool find_user(struct loader *l, struct str name, struct letter_settings *out)
{
    out->uid = geteuid();
    out->gid = getegid();
    if (geteuid() != 0) {
        const struct passwd *self = getpwuid(geteuid());
        return self == NULL ||
               letter_set_text(out->user, sizeof out->user, str_from_z(self->pw_name));
    }
    const struct passwd *user = look_up_user(l, name);
    if (user == NULL) {
        diag_error(&l->diag, NULL, "there is no user '%.*s' to run the worker as", STR_ARG(name));
        return false;
    }
    if (user->pw_uid == 0)
        diag_warning(&l->diag, NULL,
                     "the worker runs as root: a fault in it is a fault of the host");
    out->uid = user->pw_uid;
    out->gid = user->pw_gid;
    return letter_set_text(out->user, sizeof out->user, str_from_z(user->pw_name));
}

static bool find_group(struct loader *l, struct str name, struct letter_settings *out)
{
    out->control_gid = UINT32_MAX;
    if (str_empty(name))
        return true;
    const char *z = str_to_z(l->arena, name);
    const struct group *group = z == NULL ? NULL : getgrnam(z);
    if (group == NULL) {
        diag_error(&l->diag, NULL, "there is no group '%.*s' for the control socket",
                   STR_ARG(name));
        return false;
    }
    out->control_gid = group->gr_gid;
    return true;
}

static struct str control_path(struct loader *l, const struct snapshot *s)
{
    if (!str_empty(s->control_path))
        return s->control_path;
    return str_printf(l->arena, "%.*s/control.sock", STR_ARG(s->state_dir));
}

static bool fill_settings(struct loader *l, const struct snapshot *s, struct letter_settings *out)
{
    char why[256];
    out->workers = s->workers;
    out->drain_ms = s->drain_ms;
    out->sandbox = !s->sandbox_off;
    out->needs = (s->uses_unix ? SANDBOX_NEED_UNIX : 0) | (s->uses_regex ? SANDBOX_NEED_JIT : 0);
    struct str control = control_path(l, s);
    if (!letter_set_text(out->state_dir, sizeof out->state_dir, s->state_dir) ||
        !state_dir_prepare(out->state_dir, why, sizeof why)) {
        diag_error(&l->diag, NULL, "%s", why);
        return false;
    }
    if (!letter_set_text(out->control_path, sizeof out->control_path, control)) {
        diag_error(&l->diag, NULL,
                   "the control socket's path has more than 107 bytes; say a shorter one: "
                   "control /run/portcullis.sock");
        return false;
    }
    bool user = find_user(l, s->user, out);
    return find_group(l, s->control_group, out) && user;
}

/* ---- the form ---- */

/* Those of sites, then that of `metrics`. */
static bool send_addresses(struct loader *l, const struct snapshot *s)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        const struct listener *listener = &s->listeners[i];
        struct letter m;
        letter_init(&m, LETTER_ADDRESS);
        m.u.address = letter_addr_from(&listener->addr, listener->any_family, listener->tls);
        if (!say(l, &m, NULL, 0))
            return false;
    }
    if (s->metrics.addr.family == ADDR_NONE)
        return true;
    struct letter m;
    letter_init(&m, LETTER_ADDRESS);
    m.u.address = letter_addr_from(&s->metrics.addr, s->metrics.any_family, false);
    m.u.address.metrics = 1;
    return say(l, &m, NULL, 0);
}

static bool send_logs(struct loader *l, const struct snapshot *s)
{
    for (size_t i = 0; i < s->log_count; i++) {
        struct letter m;
        letter_init(&m, LETTER_LOG_FILE);
        m.u.log_file.id = s->logs[i].id;
        m.u.log_file.index = (uint32_t)i;
        m.u.log_file.rotate_bytes = s->logs[i].rotate_bytes;
        m.u.log_file.keep = s->logs[i].keep;
        if (!letter_set_text(m.u.log_file.path, sizeof m.u.log_file.path, s->logs[i].path)) {
            diag_error(&l->diag, NULL, "the log file's path is too long: %.*s",
                       STR_ARG(s->logs[i].path));
            return false;
        }
        if (!say(l, &m, NULL, 0))
            return false;
    }
    return true;
}

static bool send_roots(struct loader *l, const struct snapshot *s)
{
    struct sandbox_roots *roots = ARENA_NEW(l->arena, struct sandbox_roots);
    if (roots == NULL || !sandbox_roots_choose(roots, s, l->sources, l->arena, &l->diag))
        return false;
    for (unsigned i = 0; i < roots->count; i++) {
        struct letter m;
        letter_init(&m, LETTER_ROOT);
        m.u.root = roots->roots[i];
        if (!say(l, &m, NULL, 0))
            return false;
    }
    return true;
}

/* The folder whose change means that a glob or a list of a folder may come out differently. */
static struct str folder_of(struct str question)
{
    struct str pattern = str_skip(question, str_find_byte(question, ':') + 1); /* source.h */
    size_t end = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.at[i] == '*' || pattern.at[i] == '?' || pattern.at[i] == '[')
            return str_sub(pattern, 0, end == 0 ? 1 : end);
        if (pattern.at[i] == '/')
            end = i;
    }
    return pattern;
}

/*
 * The main file is the operator's to reload: it may be half edited. Everything it names is watched,
 * since certificates, lists and included pieces are written by programs.
 */
static bool is_watched(const struct loader *l, const struct source *source)
{
    if (source->kind == SOURCE_FACT)
        return false;
    return source->kind != SOURCE_CONF || !str_eq(source->name, str_from_z(l->conf->path));
}

static bool send_watched(struct loader *l)
{
    char here[PATH_MAX] = "/";
    if (getcwd(here, sizeof here) == NULL)
        here[0] = '\0';
    for (const struct source *s = source_first(l->sources); s != NULL; s = s->next) {
        if (!is_watched(l, s))
            continue;
        struct str path = s->kind == SOURCE_LIST ? folder_of(s->name) : s->name;
        struct letter m;
        letter_init(&m, LETTER_WATCH);
        struct text text = text_over(m.u.watch, sizeof m.u.watch - 1);
        if (!str_starts(path, STR("/")))
            text_printf(&text, "%s/", here);
        text_add(&text, path);
        /* A path that is too long, or a name that is none (an issued certificate): not watched. */
        if (!text_ok(&text) || m.u.watch[0] != '/' || strpbrk(m.u.watch, "\n\r\t") != NULL)
            continue;
        if (!say(l, &m, NULL, 0))
            return false;
    }
    return true;
}

static bool send_form(struct loader *l, const struct snapshot *s)
{
    struct letter m;
    letter_init(&m, LETTER_SETTINGS);
    return fill_settings(l, s, &m.u.settings) && say(l, &m, NULL, 0) && send_addresses(l, s) &&
           send_logs(l, s) && send_roots(l, s);
}

/* ---- the end ---- */

static void send_report(struct loader *l)
{
    struct text report = text_in(l->arena, REPORT_BYTES_MAX);
    diag_render(&l->diag, &report, l->conf->colour);
    unsigned level = l->diag.errors > 0 ? DIAG_ERROR : DIAG_NOTICE;
    if (!channel_send_text(l->channel, level, text_str(&report)))
        _exit(1);
}

static void send_loaded(struct loader *l, bool ok)
{
    struct letter m;
    int fds[2] = {-1, -1};
    unsigned count = 0;
    if (ok && !source_set_pack(l->sources, &fds[0], &fds[1])) {
        diag_error(&l->diag, NULL, "the texts cannot be handed over: %s", strerror(errno));
        ok = false;
    }
    send_report(l);
    letter_init(&m, LETTER_LOADED);
    m.u.loaded.ok = ok;
    m.u.loaded.warnings = l->diag.warnings;
    if (ok)
        count = fds[1] >= 0 ? 2 : 1;
    if (!say(l, &m, fds, count))
        _exit(1);
}

static bool keep_main_file(struct loader *l, struct str path)
{
    struct source_set *served = source_set_unpack(CHILD_KEPT, -1);
    if (served == NULL)
        return false;
    const struct source *s = source_get(served, SOURCE_CONF, path);
    bool kept = s != NULL && s->why.len == 0 && source_adopt(l->sources, s);
    source_set_end(served);
    return kept;
}

static bool load(struct loader *l)
{
    struct str path = str_from_z(l->conf->path);
    bool kept = l->conf->text.at != NULL ? source_put(l->sources, SOURCE_CONF, path, l->conf->text)
                                         : l->conf->served_pack < 0 || keep_main_file(l, path);
    if (!kept) {
        diag_error(&l->diag, NULL, "no memory");
        return false;
    }
    struct prescan prescan;
    struct issue_ca ca;
    prescan_read(&prescan, l->arena, l->sources, l->conf->path);
    issue_ca_init(&ca, &prescan, l->arena, &l->diag, true);
    struct compile_hooks hooks = issue_ca_hooks(&ca);
    hooks.try_expects = true;
    struct snapshot *s = compile_snapshot(l->sources, path, NULL, &hooks, &l->diag);
    if (s != NULL && str_empty(s->state_dir))
        s->state_dir = prescan.state_dir;
    bool sent = send_watched(l);
    return s != NULL && l->diag.errors == 0 && issue_ca_keep(&ca) && send_form(l, s) && sent;
}

void loader_main(int channel, void *argument)
{
    struct loader l = {.channel = channel, .conf = argument};
    l.arena = arena_new(REPORT_ARENA_BYTES, 4096);
    l.sources = source_set_disk();
    if (l.arena == NULL || l.sources == NULL)
        _exit(1);
    diag_init(&l.diag, l.arena);
    bool ok = load(&l);
    send_loaded(&l, ok);
    source_set_end(l.sources); /* wipes keys */
    _exit(0);
}
