#include "app/explain_command.h"

#include "app/cli.h"
#include "app/explain_origins.h"
#include "app/explain_query.h"
#include "app/explain_text.h"
#include "app/instance.h"
#include "app/issue_ca.h"
#include "app/query_desk.h"
#include "app/state_dir.h"
#include "base/arena.h"
#include "base/log.h"
#include "config/compile.h"
#include "http/header.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARENA_BYTES ((size_t)512 * 1024 * 1024)
#define OUT_BYTES ((size_t)64 * 1024 * 1024)

struct job {
    const struct cli *cli;
    struct arena *arena;
    struct str words[QUERY_WORDS_MAX];
    unsigned count;
};

/* ---- the question ---- */

static bool add_word(struct job *job, struct str word)
{
    if (job->count == QUERY_WORDS_MAX || word.at == NULL) {
        log_error("this is too much for one question");
        return false;
    }
    job->words[job->count++] = word;
    return true;
}

static bool add_pair(struct job *job, const char *name, struct str value)
{
    return add_word(job, str_from_z(name)) && add_word(job, value);
}

/* Every address of 127.0.0.0/8 is this machine's, whatever its interface lists. */
static bool is_ours(const struct ifaddrs *all, const struct addr *addr)
{
    if (addr_is_loopback(addr))
        return true;
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        struct addr own;
        if (i->ifa_addr == NULL)
            continue;
        socklen_t len = i->ifa_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                           : sizeof(struct sockaddr_in);
        if ((i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6) &&
            addr_from_sockaddr(&own, i->ifa_addr, len) && addr_eq_host(&own, addr))
            return true;
    }
    return false;
}

static bool add_address(struct job *job, const struct ifaddrs *all, const struct addrinfo *info)
{
    struct addr addr;
    if (!addr_from_sockaddr(&addr, info->ai_addr, info->ai_addrlen))
        return true;
    struct text text = text_in(job->arena, 128);
    addr_add_text(&text, &addr);
    return add_pair(job, is_ours(all, &addr) ? "ours" : "elsewhere", text_str(&text));
}

/* As a client on this machine would: that is what tells whether the name leads here. */
static bool resolve(struct job *job, struct str name)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    struct ifaddrs *all = NULL;
    const char *z = str_to_z(job->arena, name);
    if (z == NULL)
        return false;
    int error = getaddrinfo(z, NULL, &hints, &found);
    if (error != 0)
        return add_pair(job, "unresolved", str_from_z(gai_strerror(error)));
    if (getifaddrs(&all) != 0)
        all = NULL;
    bool fine = true;
    for (const struct addrinfo *info = found; info != NULL && fine; info = info->ai_next)
        fine = add_address(job, all, info);
    freeifaddrs(all);
    freeaddrinfo(found);
    return fine;
}

static bool add_headers(struct job *job)
{
    const char *header;
    for (unsigned at = 0; (header = cli_next(job->cli, "--header", &at)) != NULL;)
        if (!add_pair(job, "header", str_from_z(header)))
            return false;
    return true;
}

/* False after telling why: what is answered later would refuse it as well, but this is wrong usage.
 */
static bool words_fine(const struct cli *cli)
{
    const char *header, *from = cli_value(cli, "--from");
    struct addr addr;
    if (!header_name_ok(str_from_z(cli->operands[0]))) {
        log_error("'%s' is no method", log_escape(str_from_z(cli->operands[0])));
        return false;
    }
    if (from != NULL && !addr_parse_ip(str_from_z(from), &addr)) {
        log_error("--from wants an IP address, not '%s'", log_escape(str_from_z(from)));
        return false;
    }
    for (unsigned at = 0; (header = cli_next(cli, "--header", &at)) != NULL;) {
        size_t colon = str_find_byte(str_from_z(header), ':');
        if (colon == SIZE_MAX || colon == 0) {
            log_error("a header is written as 'Name: value', not '%s'",
                      log_escape(str_from_z(header)));
            return false;
        }
    }
    return true;
}

/* False after telling why. */
static bool ask(struct job *job)
{
    struct ask url = {0};
    const char *why, *from = cli_value(job->cli, "--from"), *body = cli_value(job->cli, "--data");
    if (!ask_read_url(job->arena, str_from_z(job->cli->operands[1]), &url, &why)) {
        log_error("%s: %s", log_escape(str_from_z(job->cli->operands[1])), why);
        return false;
    }
    if (!add_pair(job, "method", str_from_z(job->cli->operands[0])) ||
        !add_pair(job, "url", str_from_z(job->cli->operands[1])) || !add_headers(job))
        return false;
    if (!words_fine(job->cli))
        return false;
    if (from != NULL && !add_pair(job, "from", str_from_z(from)))
        return false;
    if (body != NULL &&
        !add_pair(job, "body", str_printf(job->arena, "%llu", (unsigned long long)strlen(body))))
        return false;
    return resolve(job, url.name);
}

/* ---- the answer ---- */

static int put(const struct job *job, struct str json)
{
    struct text out = text_in(job->arena, OUT_BYTES);
    if (!cli_has(job->cli, "--json")) {
        if (!explain_text_add(job->arena, json, &out)) {
            log_error("the answer makes no sense");
            return EXIT_FAILED;
        }
        json = text_str(&out);
    }
    bool fine = fwrite(json.at, 1, json.len, stdout) == json.len && fflush(stdout) == 0;
    return fine ? EXIT_FINE : EXIT_FAILED;
}

static int told(struct str why)
{
    while (why.len != 0 && why.at[why.len - 1] == '\n')
        why.len--;
    log_error("%s", log_escape(why));
    return EXIT_FAILED;
}

/* Loads as `check` does, in this process alone. */
static int from_file(struct job *job, const char *path)
{
    struct prescan prescan;
    struct issue_ca ca;
    struct diag diag;
    struct source_set *sources = source_set_disk();
    if (sources == NULL)
        return told(STR("out of memory"));
    diag_init(&diag, job->arena);
    prescan_read(&prescan, job->arena, sources, path);
    issue_ca_init(&ca, &prescan, job->arena, &diag, false);
    const struct compile_hooks hooks = issue_ca_hooks(&ca);
    struct snapshot *snapshot = compile_snapshot(sources, str_from_z(path), NULL, &hooks, &diag);
    int status = EXIT_USAGE;
    if (snapshot == NULL) {
        log_error("%s has errors: portcullis check tells them", path);
    } else {
        const struct explain_words words = {job->words, job->count};
        const struct explain_live fresh = {.origins = explain_origins_fresh};
        struct text out = text_in(job->arena, OUT_BYTES);
        status = explain_query(job->arena, &words, snapshot, &fresh, &out)
                     ? put(job, text_str(&out))
                     : told(text_str(&out));
    }
    snapshot_end(snapshot);
    source_set_end(sources); /* wipes keys */
    return status;
}

static int from_instance(struct job *job)
{
    struct state_facts facts = state_facts_now();
    const char *control = cli_value(job->cli, "--control");
    struct str path = control != NULL
                          ? str_from_z(control)
                          : instance_control_path(job->arena, state_config_path(&facts));
    struct str answer;
    int got = instance_ask(job->arena, path, job->words, job->count, &answer);
    if (got == 0)
        return put(job, answer);
    told(answer);
    if (got < 0)
        log_error("a file is explained without an instance: portcullis explain -c FILE");
    return EXIT_FAILED;
}

int explain_command(const struct cli *cli)
{
    struct job *job = calloc(1, sizeof *job);
    const char *file = cli_value(cli, "--config");
    int status = EXIT_USAGE;
    if (file != NULL && cli_has(cli, "--control")) {
        free(job);
        log_error("-c explains a file, --control asks an instance: one of them");
        return EXIT_USAGE;
    }
    if (job == NULL)
        return EXIT_FAILED;
    job->cli = cli;
    job->arena = arena_new(ARENA_BYTES, 65536);
    if (job->arena == NULL)
        status = EXIT_FAILED;
    else if ((file != NULL || add_word(job, STR("explain"))) && ask(job))
        status = file != NULL ? from_file(job, file) : from_instance(job);
    arena_end(job->arena);
    free(job);
    return status;
}
