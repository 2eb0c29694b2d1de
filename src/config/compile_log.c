#include "config/compile_log.h"

#include "base/arena.h"
#include "base/hash.h"
#include "config/value.h"

/* The supervisor holds a descriptor for each. */
#define LOGS_MAX 64

/* Where a file was named first: two lines must agree on its rotation. */
struct log_use {
    struct log_target target;
    const struct statement *statement;
};

static struct log_target target_of(struct compile *c, const struct statement *s)
{
    struct log_target target = {.path = STR("stderr")};
    if (s != NULL && compile_is(&s->words[1], "syslog"))
        target.path = STR("syslog");
    else if (s != NULL && !compile_is(&s->words[1], "stderr"))
        target.path = compile_path(c, &s->words[1]);
    for (size_t i = 2; s != NULL && i + 3 < s->count; i++)
        if (compile_is(&s->words[i], "rotate")) {
            (void)!value_size(s->words[i + 1].text, &target.rotate_bytes);
            target.keep = (unsigned)compile_number(&s->words[i + 3]);
            break;
        }
    target.id = hash_stable(1, target.path);
    target.id += target.id == 0;
    return target;
}

static void check_use(struct compile *c, const struct statement *s)
{
    struct log_target target = target_of(c, s);
    const struct log_use *before = map_get(&c->logs, target.path);
    if (before != NULL) {
        if (before->target.rotate_bytes != target.rotate_bytes ||
            before->target.keep != target.keep) {
            diag_error(c->diag, &s->words[1].pos, "one file, rotated in two ways");
            diag_hint(c->diag, "line %u says another size or number",
                      (unsigned)before->statement->words[0].pos.line);
        }
        return;
    }
    struct log_use *use = ARENA_NEW(c->scratch, struct log_use);
    if (use == NULL || !map_set(&c->logs, target.path, use)) {
        compile_no_memory(c);
        return;
    }
    *use = (struct log_use){target, s};
}

void compile_log_line(struct compile *c, const struct statement *s)
{
    bool off = compile_is(&s->words[1], "off");
    bool is_file =
        !off && !compile_is(&s->words[1], "stderr") && !compile_is(&s->words[1], "syslog");
    for (size_t i = 2; i < s->count; i++) {
        bool rotate = compile_is(&s->words[i], "rotate");
        if (off || (rotate && !is_file)) {
            diag_error(c->diag, &s->words[i].pos, "'%.*s' has no meaning for 'log %.*s'",
                       STR_ARG(s->words[i].text), STR_ARG(s->words[1].text));
            return;
        }
        if (rotate)
            break;
    }
    c->settings->log = s;
    c->settings->changed = true;
    if (!off)
        check_use(c, s);
}

void compile_log_show(struct compile *c, const struct statement *s)
{
    c->settings->changed = true;
    for (size_t i = 1; i < s->count; i++) {
        c->settings->show_query |= compile_is(&s->words[i], "query");
        c->settings->show_cookies |= compile_is(&s->words[i], "cookies");
        c->settings->show_authorization |= compile_is(&s->words[i], "authorization");
    }
}

static void add_target(struct compile *c, const struct log_target *target)
{
    struct site_build *b = c->build;
    for (size_t i = 0; i < b->log_count; i++)
        if (b->logs[i].id == target->id)
            return;
    struct log_target *logs =
        compile_grow(c, b->logs, b->log_count, &b->log_capacity, sizeof *logs);
    if (logs == NULL)
        return;
    b->logs = logs;
    logs[b->log_count] = *target;
    logs[b->log_count++].path = compile_dup(c, target->path);
}

void compile_log_build(struct compile *c, const struct settings *settings, struct log_conf *conf)
{
    const struct statement *s = settings->log;
    conf->show_query = settings->show_query;
    conf->show_cookies = settings->show_cookies;
    conf->show_authorization = settings->show_authorization;
    if (s != NULL && compile_is(&s->words[1], "off"))
        return;
    struct log_target target = target_of(c, s);
    conf->target = target.id;
    for (size_t i = 2; s != NULL && i < s->count; i++)
        conf->combined |= compile_is(&s->words[i], "combined");
    add_target(c, &target);
}

/* ---- all of them ---- */

static bool has_target(const struct snapshot *snapshot, uint64_t id)
{
    for (size_t i = 0; i < snapshot->log_count; i++)
        if (snapshot->logs[i].id == id)
            return true;
    return false;
}

void compile_log_collect(struct compile *c)
{
    struct snapshot *snapshot = c->snapshot;
    snapshot->logs = arena_array(snapshot->arena, LOGS_MAX, sizeof *snapshot->logs);
    if (snapshot->logs == NULL) {
        compile_no_memory(c);
        return;
    }
    for (size_t i = 0; i < c->site_count; i++) {
        const struct site *site = c->sites[i];
        for (size_t j = 0; j < site->log_count; j++) {
            if (has_target(snapshot, site->logs[j].id))
                continue;
            if (snapshot->log_count == LOGS_MAX) {
                diag_error(c->diag, NULL, "more than %d log files", LOGS_MAX);
                return;
            }
            struct log_target *log = &snapshot->logs[snapshot->log_count++];
            *log = site->logs[j];
            log->path = str_dup(snapshot->arena, log->path);
        }
    }
}
