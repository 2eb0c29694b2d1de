#include "app/config_commands.h"

#include "app/cli.h"
#include "app/issue_ca.h"
#include "app/state_dir.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"
#include "config/compile.h"
#include "config/tree.h"
#include "config/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARENA_BYTES ((size_t)512 * 1024 * 1024)
#define OUT_BYTES ((size_t)256 * 1024 * 1024)

/* What the three have in common. */
struct job {
    struct arena *arena;
    struct source_set *sources;
    struct diag diag;
    const char *path;
};

static bool job_init(struct job *job, const struct cli *cli)
{
    struct state_facts facts = state_facts_now();
    const char *path = cli_value(cli, "--config");
    job->path = path != NULL ? path : state_config_path(&facts);
    job->arena = arena_new(ARENA_BYTES, 65536);
    job->sources = source_set_disk();
    if (job->arena == NULL || job->sources == NULL) {
        log_error("out of memory");
        source_set_end(job->sources);
        arena_end(job->arena);
        return false;
    }
    diag_init(&job->diag, job->arena);
    return true;
}

static int job_fini(struct job *job, int status)
{
    source_set_end(job->sources);
    arena_end(job->arena);
    return status;
}

static bool wants_colour(FILE *file)
{
    const char *no = getenv("NO_COLOR");
    return isatty(fileno(file)) && (no == NULL || no[0] == '\0');
}

static bool put(FILE *file, struct str s)
{
    bool put_all = s.len == 0 || fwrite(s.at, 1, s.len, file) == s.len;
    return put_all && fflush(file) == 0;
}

static void put_diag(struct job *job, FILE *file)
{
    struct text out = text_in(job->arena, OUT_BYTES);
    diag_render(&job->diag, &out, wants_colour(file));
    put(file, text_str(&out));
}

/* ---- check ---- */

static void put_verdict(struct job *job, bool ok)
{
    put_diag(job, stderr);
    if (ok)
        printf("%s is fine: %u warning%s\n", job->path, job->diag.warnings,
               job->diag.warnings == 1 ? "" : "s");
    else
        fprintf(stderr, "%s: %u error%s\n", job->path, job->diag.errors,
                job->diag.errors == 1 ? "" : "s");
}

static void put_json(struct job *job)
{
    struct text out = text_in(job->arena, OUT_BYTES);
    diag_render_json(&job->diag, &out);
    text_add_byte(&out, '\n');
    put(stdout, text_str(&out));
}

int config_check(const struct cli *cli)
{
    struct job job;
    struct prescan prescan;
    struct issue_ca ca;
    if (!job_init(&job, cli))
        return EXIT_FAILED;
    prescan_read(&prescan, job.arena, job.sources, job.path);
    issue_ca_init(&ca, &prescan, job.arena, &job.diag, false);
    struct compile_hooks hooks = issue_ca_hooks(&ca);
    hooks.try_expects = true;
    struct snapshot *snapshot =
        compile_snapshot(job.sources, str_from_z(job.path), NULL, &hooks, &job.diag);
    bool ok = snapshot != NULL && job.diag.errors == 0;
    snapshot_end(snapshot);
    if (cli_has(cli, "--json"))
        put_json(&job);
    else
        put_verdict(&job, ok);
    return job_fini(&job, ok ? EXIT_FINE : EXIT_USAGE);
}

/* ---- fmt ---- */

/* The file alone: includes and ${} stay as written. NULL after telling what is wrong. */
static const struct source *parse_alone(struct job *job, struct tree *tree)
{
    const struct source *source = source_get(job->sources, SOURCE_CONF, str_from_z(job->path));
    if (source == NULL || !str_empty(source->why)) {
        struct str why = source == NULL ? STR("out of memory") : source->why;
        log_error("%s: %s", job->path, log_escape(why));
        return NULL;
    }
    if (tree_parse_text(tree, job->arena, str_from_z(job->path), source->bytes, &job->diag))
        return source;
    put_diag(job, stderr);
    return NULL;
}

/* Beside it, then in its place, with its mode and owner. */
static bool replace_file(struct job *job, struct str bytes)
{
    struct stat st;
    struct str beside = str_printf(job->arena, "%s.new", job->path);
    if (beside.at == NULL || stat(job->path, &st) != 0)
        return false;
    int fd = open(beside.at, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 07777);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL)
        return false;
    bool ok = fchown(fd, st.st_uid, st.st_gid) == 0 && fchmod(fd, st.st_mode & 07777) == 0;
    ok = put(file, bytes) && ok && fsync(fd) == 0;
    ok = fclose(file) == 0 && ok && rename(beside.at, job->path) == 0;
    if (!ok)
        unlink(beside.at);
    return ok;
}

static int fmt_file(struct job *job, bool only_check)
{
    struct tree tree = {0};
    const struct source *source = parse_alone(job, &tree);
    if (source == NULL)
        return EXIT_USAGE;
    struct text out = text_in(job->arena, OUT_BYTES);
    tree_print(&tree, &out);
    if (!text_ok(&out) || str_eq(text_str(&out), source->bytes))
        return text_ok(&out) ? EXIT_FINE : EXIT_FAILED;
    if (only_check) {
        fprintf(stderr, "%s is not in canonical layout\n", job->path);
        return EXIT_FAILED;
    }
    if (replace_file(job, text_str(&out)))
        return EXIT_FINE;
    log_error("%s cannot be written: %s", job->path, strerror(errno));
    return EXIT_FAILED;
}

int config_fmt(const struct cli *cli)
{
    struct job job;
    if (!job_init(&job, cli))
        return EXIT_FAILED;
    return job_fini(&job, fmt_file(&job, cli_has(cli, "--check")));
}

/* ---- config --json ---- */

static int print_twin(struct job *job)
{
    struct tree tree = {0};
    if (parse_alone(job, &tree) == NULL)
        return EXIT_USAGE;
    struct text out = text_in(job->arena, OUT_BYTES);
    twin_print(&tree, &out);
    return text_ok(&out) && put(stdout, text_str(&out)) ? EXIT_FINE : EXIT_FAILED;
}

int config_print(const struct cli *cli)
{
    struct job job;
    if (!cli_has(cli, "--json")) {
        log_error("'config' prints JSON: portcullis config --json");
        return EXIT_USAGE;
    }
    if (!job_init(&job, cli))
        return EXIT_FAILED;
    return job_fini(&job, print_twin(&job));
}
