#include "config/compile_file.h"

#include "base/arena.h"
#include "config/compile_access.h"
#include "config/value.h"

#include <string.h>

/* More threads than this are a slip; each thread has a slot in every part. */
#define WORKERS_MAX SNAPSHOT_THREADS_MAX

void compile_file_defaults(struct compile *c)
{
    c->snapshot->drain_ms = 30000;
    c->snapshot->head_limits = (struct head_limits){
        .line_bytes_max = 8 * 1024, .fields_max = 100, .size_bytes_max = 32 * 1024};
}

void compile_file_workers(struct compile *c, const struct statement *s)
{
    if (compile_is(&s->words[1], "auto"))
        return;
    uint64_t n = compile_number(&s->words[1]);
    if (n == 0 || n > WORKERS_MAX) {
        diag_error(c->diag, &s->words[1].pos, "between 1 and %d threads", WORKERS_MAX);
        diag_hint(c->diag, "'auto' is one for each core");
        return;
    }
    c->snapshot->workers = (unsigned)n;
}

void compile_file_user(struct compile *c, const struct statement *s)
{
    c->snapshot->user = compile_dup(c, s->words[1].text);
    if (str_eq(c->snapshot->user, STR("root"))) {
        diag_warning(c->diag, &s->words[1].pos,
                     "the process that talks to the network runs as root");
        diag_hint(c->diag, "without 'user' it runs as portcullis, or nobody");
    }
}

void compile_file_state(struct compile *c, const struct statement *s)
{
    c->snapshot->state_dir = compile_dup(c, compile_path(c, &s->words[1]));
}

void compile_file_control(struct compile *c, const struct statement *s)
{
    c->snapshot->control_path = compile_dup(c, compile_path(c, &s->words[1]));
    if (s->count > 3)
        c->snapshot->control_group = compile_dup(c, s->words[3].text);
}

void compile_file_sandbox(struct compile *c, const struct statement *s)
{
    c->snapshot->sandbox_off = compile_is(&s->words[1], "off");
    if (c->snapshot->sandbox_off)
        diag_warning(c->diag, &s->words[0].pos,
                     "the process that talks to the network runs without seccomp and Landlock");
}

void compile_file_trusted_proxies(struct compile *c, const struct statement *s)
{
    struct snapshot *snapshot = c->snapshot;
    size_t more, had = snapshot->trusted_count;
    struct cidr *nets = compile_access_nets(c, s, 1, &more);
    struct cidr *all = arena_array(snapshot->arena, had + more, sizeof *all);
    if (nets == NULL || all == NULL) {
        compile_no_memory(c);
        return;
    }
    if (had != 0)
        memcpy(all, snapshot->trusted_proxies, had * sizeof *all);
    memcpy(all + had, nets, more * sizeof *all);
    snapshot->trusted_proxies = all;
    snapshot->trusted_count = had + more;
    for (size_t i = 0; i < more; i++)
        if (nets[i].bits == 0) {
            diag_warning(c->diag, &s->words[1 + i].pos,
                         "everybody may say who the client is: X-Forwarded-For is believed");
            diag_hint(c->diag, "name the proxies in front of this one");
        }
}

void compile_file_drain(struct compile *c, const struct statement *s)
{
    c->snapshot->drain_ms = compile_ms(&s->words[1]);
}

/* Below these no browser's request fits; above them one request is a load of its own. */
static const struct {
    struct str name;
    uint64_t least, most;
    const char *range;
} head_ranges[] = {
    {STR_INIT("line"), 512, (uint64_t)1 << 20, "between 512b and 1m"},
    {STR_INIT("fields"), 10, 10000, "between 10 and 10000"},
    {STR_INIT("size"), 1024, (uint64_t)4 << 20, "between 1k and 4m"},
};

static void set_head_limit(struct compile *c, const struct word *name, const struct word *value)
{
    uint64_t n = 0;
    size_t i = 0;
    while (i < 2 && !str_eq(name->text, head_ranges[i].name))
        i++;
    if (i == 1)
        n = compile_number(value);
    else if (!value_size(value->text, &n))
        return;
    if (n < head_ranges[i].least || n > head_ranges[i].most) {
        diag_error(c->diag, &value->pos, "'head_limit %.*s' is %s", STR_ARG(name->text),
                   head_ranges[i].range);
        return;
    }
    struct head_limits *limits = &c->snapshot->head_limits;
    *(i == 0   ? &limits->line_bytes_max
      : i == 1 ? &limits->fields_max
               : &limits->size_bytes_max) = (uint32_t)n;
}

void compile_file_head_limit(struct compile *c, const struct statement *s)
{
    for (size_t i = 1; i + 1 < s->count; i += 2)
        set_head_limit(c, &s->words[i], &s->words[i + 1]);
    const struct head_limits *limits = &c->snapshot->head_limits;
    if (limits->line_bytes_max > limits->size_bytes_max) {
        diag_error(c->diag, &s->words[0].pos, "one line may be longer than the whole head");
        diag_hint(c->diag, "size is %u bytes, line %u", (unsigned)limits->size_bytes_max,
                  (unsigned)limits->line_bytes_max);
    }
}

void compile_file_resolver(struct compile *c)
{
    const struct source *source = source_get(c->sources, SOURCE_DATA, STR("/etc/resolv.conf"));
    if (source != NULL && source->why.len == 0)
        c->snapshot->resolv_conf = compile_dup(c, source->bytes);
    source = source_get(c->sources, SOURCE_DATA, STR("/etc/hosts"));
    if (source != NULL && source->why.len == 0)
        c->snapshot->hosts_file = compile_dup(c, source->bytes);
}
