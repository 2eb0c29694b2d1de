#include "app/cert_commands.h"

#include "app/cli.h"
#include "app/issue_ca.h"
#include "app/state_dir.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "tls/tls_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARENA_BYTES ((size_t)256 * 1024 * 1024)
#define OUT_BYTES ((size_t)16 * 1024 * 1024)

/* Where Debian and Ubuntu look for further CAs, and who puts them in the store. */
#define STORE_FILE "/usr/local/share/ca-certificates/portcullis.crt"
#define STORE_COMMAND "update-ca-certificates"

struct job {
    struct arena *arena;
    struct source_set *sources;
    struct prescan prescan;
    const char *path;
};

/* ---- list ---- */

static void add_row(struct text *out, const struct source *source, const struct tls_facts *facts,
                    bool json, bool first)
{
    int64_t left_s = facts->chain_not_after - (int64_t)(clock_wall_us() / 1000000);
    uint64_t end_us = facts->chain_not_after < 0 ? 0 : (uint64_t)facts->chain_not_after * 1000000;
    if (json) {
        text_add_z(out, first ? "{\"file\":" : ",\n{\"file\":");
        text_add_json(out, source->name);
        text_add_z(out, ",\"not_after\":\"");
        clock_add_rfc3339(out, end_us);
        text_printf(out, "\",\"days_left\":%lld,\"names\":[", (long long)left_s / 86400);
    } else {
        text_add_escaped(out, source->name);
        text_printf(out, "\n    %s for %lld days, until ", left_s < 0 ? "expired" : "good",
                    (long long)(left_s < 0 ? 0 : left_s / 86400));
        clock_add_rfc3339(out, end_us);
        text_printf(out, ", %s\n   ", tls_key_kind_name(facts->kind));
    }
    for (size_t i = 0; i < facts->name_count; i++) {
        text_add_z(out, json ? (i == 0 ? "" : ",") : " ");
        if (json)
            text_add_json(out, facts->names[i]);
        else
            text_add_escaped(out, facts->names[i]);
    }
    text_add_z(out, json ? "]}" : "\n");
}

/* Every certificate that compiling the configuration has read or issued. */
static int list(struct job *job, bool json)
{
    struct diag diag;
    struct issue_ca ca;
    diag_init(&diag, job->arena);
    issue_ca_init(&ca, &job->prescan, job->arena, &diag, false);
    const struct compile_hooks hooks = issue_ca_hooks(&ca);
    struct text out = text_in(job->arena, OUT_BYTES);
    struct snapshot *snapshot =
        compile_snapshot(job->sources, str_from_z(job->path), NULL, &hooks, &diag);
    bool first = true;
    text_add_z(&out, json ? "[" : "");
    for (const struct source *s = source_first(job->sources); s != NULL; s = s->next) {
        struct tls_facts facts;
        char memory[256];
        struct text why = text_over(memory, sizeof memory);
        if (s->kind != SOURCE_CERT || !str_empty(s->why) ||
            !tls_facts_inspect(job->arena, s->bytes, s->name, &facts, &why))
            continue;
        add_row(&out, s, &facts, json, first);
        first = false;
    }
    text_add_z(&out, json ? "]\n" : "");
    if (out.len != 0)
        fwrite(out.at, 1, out.len, stdout);
    if (snapshot == NULL)
        log_error("%s has errors: portcullis check tells them", job->path);
    snapshot_end(snapshot);
    return snapshot == NULL ? EXIT_USAGE : EXIT_FINE;
}

/* ---- trust ---- */

static bool copy_file(const char *from, const char *to)
{
    char bytes[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return false;
    ssize_t len = read(in, bytes, sizeof bytes);
    close(in);
    int out = len <= 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (out < 0)
        return false;
    bool ok = write(out, bytes, (size_t)len) == len;
    return close(out) == 0 && ok;
}

static bool run_store_command(void)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        execlp(STORE_COMMAND, STORE_COMMAND, (char *)NULL);
        _exit(127);
    }
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

static bool confirmed(const struct cli *cli, const char *cert)
{
    char answer[16];
    if (cli_has(cli, "--yes"))
        return true;
    printf("This machine will trust every certificate that %s signs\n"
           "(for the names it is limited to). Go on? [y/N] ",
           cert);
    fflush(stdout);
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

static int trust(struct job *job, const struct cli *cli)
{
    struct str cert = issue_ca_cert_path(job->arena, job->prescan.state_dir);
    if (cert.at == NULL || access(cert.at, R_OK) != 0) {
        log_error("there is no local CA at %s: it is made when a configuration with `tls internal` "
                  "is first served",
                  cert.at == NULL ? "" : cert.at);
        return EXIT_FAILED;
    }
    if (!confirmed(cli, cert.at)) {
        log_error("nothing was changed");
        return EXIT_FAILED;
    }
    if (!copy_file(cert.at, STORE_FILE)) {
        log_error(STORE_FILE " cannot be written: %s", strerror(errno));
        return EXIT_FAILED;
    }
    if (!run_store_command()) {
        log_error(STORE_COMMAND " failed");
        return EXIT_FAILED;
    }
    printf("%s is trusted on this machine (curl, wget, most programs).\n"
           "Firefox and Chromium have stores of their own; for Chromium:\n"
           "    certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n portcullis -i %s\n",
           cert.at, cert.at);
    return EXIT_FINE;
}

int cert_command(const struct cli *cli)
{
    struct state_facts facts = state_facts_now();
    const char *path = cli_value(cli, "--config"), *what = cli->operands[0];
    struct job job = {.path = path != NULL ? path : state_config_path(&facts)};
    int status = EXIT_FAILED;
    job.arena = arena_new(ARENA_BYTES, 65536);
    job.sources = source_set_disk();
    if (job.arena != NULL && job.sources != NULL) {
        prescan_read(&job.prescan, job.arena, job.sources, job.path);
        if (strcmp(what, "list") == 0) {
            status = list(&job, cli_has(cli, "--json"));
        } else if (strcmp(what, "trust") == 0) {
            status = trust(&job, cli);
        } else {
            log_error("'cert' knows list and trust, not '%s'", log_escape(str_from_z(what)));
            status = EXIT_USAGE;
        }
    }
    source_set_end(job.sources);
    arena_end(job.arena);
    return status;
}
