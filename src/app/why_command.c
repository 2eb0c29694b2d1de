#include "app/why_command.h"

#include "app/cli.h"
#include "app/instance.h"
#include "app/issue_ca.h"
#include "app/log_search.h"
#include "app/record_text.h"
#include "app/state_dir.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/compile.h"
#include "config/value.h"
#include "net/addr.h"
#include "observe/tail.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ARENA_BYTES ((size_t)1024 * 1024 * 1024)
/* One record laid out: a line of 16 KiB, each byte of it escaped. */
#define RECORD_BYTES ((size_t)256 * 1024)

/* ---- where to ask ---- */

static const char *config_of(const struct cli *cli)
{
    const char *config = cli_value(cli, "--config");
    if (config != NULL)
        return config;
    static struct state_facts facts;
    facts = state_facts_now();
    return state_config_path(&facts);
}

static struct str control_of(const struct cli *cli, struct arena *arena)
{
    const char *control = cli_value(cli, "--control");
    return control != NULL ? str_from_z(control) : instance_control_path(arena, config_of(cli));
}

static const char *told(struct str why)
{
    while (why.len != 0 && why.at[why.len - 1] == '\n')
        why.len--;
    return log_escape(why);
}

static bool put(struct str s)
{
    return fwrite(s.at, 1, s.len, stdout) == s.len;
}

/* ---- why ---- */

struct why {
    const struct cli *cli;
    struct arena *arena;
    bool json, unmask;
    struct log_search search;
    unsigned shown;
};

static void show(struct why *why, struct str line)
{
    struct arena *arena = arena_new(16 * RECORD_BYTES, 65536);
    struct text out = text_in(arena, RECORD_BYTES);
    bool fits = arena != NULL && (why->json ? record_text_json(arena, line, why->unmask, &out)
                                            : record_text_full(arena, line, why->unmask, &out));
    if (fits) {
        if (why->shown++ > 0 && !why->json)
            put(STR("\n"));
        put(text_str(&out));
    }
    arena_end(arena);
}

/* What the running instance remembers. False when it refuses to say. */
static bool ask_instance(struct why *why)
{
    struct str words[] = {STR("why"), STR("ref"), why->search.reference, STR("unmask"), STR("1")};
    struct str answer, line;
    if (str_empty(why->search.reference)) {
        words[1] = STR("from");
        words[2] = why->search.client;
    }
    int got = instance_ask(why->arena, control_of(why->cli, why->arena), words, why->unmask ? 5 : 3,
                           &answer);
    if (got == 1) {
        log_error("%s", told(answer));
        return false;
    }
    if (got < 0)
        log_notice("%s: logs are looked through", told(answer));
    while (got == 0 && str_split(&answer, '\n', &line))
        show(why, line);
    return true;
}

static struct snapshot *load(struct why *why, struct source_set *sources, const char *path)
{
    struct prescan prescan;
    struct issue_ca ca;
    struct diag diag;
    diag_init(&diag, why->arena);
    prescan_read(&prescan, why->arena, sources, path);
    issue_ca_init(&ca, &prescan, why->arena, &diag, false);
    const struct compile_hooks hooks = issue_ca_hooks(&ca);
    return compile_snapshot(sources, str_from_z(path), NULL, &hooks, &diag);
}

static void search_log(struct why *why, struct str path)
{
    const char *z = str_to_z(why->arena, path);
    if (z == NULL || path.at[0] != '/') {
        log_notice("records also go to %s, which is not looked through", log_escape(path));
        return;
    }
    if (!log_search_file(&why->search, why->arena, z))
        log_notice("%s: %s", log_escape(path), strerror(errno));
}

/* The logs that the configuration names. */
static void search_logs(struct why *why)
{
    const char *path = config_of(why->cli);
    struct source_set *sources = source_set_disk();
    struct snapshot *snapshot = sources ? load(why, sources, path) : NULL;
    if (snapshot == NULL)
        log_notice("%s cannot be read, or has errors: its logs are not looked through",
                   log_escape(str_from_z(path)));
    for (size_t i = 0; snapshot != NULL && i < snapshot->log_count; i++)
        search_log(why, snapshot->logs[i].path);
    snapshot_end(snapshot);
    source_set_end(sources); /* wipes keys */
    for (unsigned i = 0; i < why->search.count && i < why->search.most; i++)
        show(why, why->search.lines[i]);
}

/* A reference is ours, or what a client or another proxy gave as X-Request-Id. */
static bool read_question(struct why *why)
{
    const char *from = cli_value(why->cli, "--from");
    struct addr addr;
    why->json = cli_has(why->cli, "--json");
    why->unmask = cli_has(why->cli, "--unmask");
    why->search.most = from != NULL ? LOG_SEARCH_MOST : 1;
    if ((from != NULL) == (why->cli->operand_count != 0)) {
        log_error("say a reference, or --from with an address");
        return false;
    }
    if (why->unmask && geteuid() != 0) {
        log_error("only root may see what is masked");
        return false;
    }
    if (from == NULL) {
        why->search.reference = str_from_z(why->cli->operands[0]);
        return !str_empty(why->search.reference);
    }
    if (!addr_parse_ip(str_from_z(from), &addr)) {
        log_error("'%s' is no address", log_escape(str_from_z(from)));
        return false;
    }
    struct text canonical = text_in(why->arena, 128);
    addr_add_text(&canonical, &addr);
    why->search.client = text_str(&canonical);
    return true;
}

int why_command(const struct cli *cli)
{
    static struct why why; /* too big for a stack */
    why = (struct why){.cli = cli, .arena = arena_new(ARENA_BYTES, 65536)};
    int status = EXIT_USAGE;
    if (why.arena != NULL && read_question(&why)) {
        bool asked = ask_instance(&why);
        if (asked && why.shown == 0)
            search_logs(&why);
        if (asked && why.shown == 0)
            log_error("nothing is known of this %s: neither remembered nor in %u log file%s",
                      cli_has(cli, "--from") ? "address" : "reference", why.search.files,
                      why.search.files == 1 ? "" : "s");
        status = why.shown > 0 && fflush(stdout) == 0 ? EXIT_FINE : EXIT_FAILED;
    }
    arena_end(why.arena);
    return status;
}

/* ---- tail ---- */

struct reader {
    bool json;
    bool replaced; /* its worker said so */
    bool fine;     /* standard output takes what is written */
    char line[64 * 1024];
    size_t len;
};

static void show_news(struct reader *r, struct str line)
{
    struct arena *arena = arena_new(16 * RECORD_BYTES, 65536);
    struct text out = text_in(arena, RECORD_BYTES);
    if (str_starts(line, STR("{\"kind\":\"replaced\""))) {
        r->replaced = true;
    } else if (str_starts(line, STR("{\"kind\":\"lost\""))) {
        struct str count = str_skip(line, sizeof "{\"kind\":\"lost\",\"count\":" - 1);
        log_warning("%.*s records were lost: they came faster than they were read",
                    STR_ARG(str_sub(count, 0, str_find_byte(count, '}'))));
    } else if (arena != NULL && (r->json ? record_text_json(arena, line, false, &out)
                                         : record_text_line(arena, line, &out))) {
        r->fine = put(text_str(&out)) && fflush(stdout) == 0;
    }
    arena_end(arena);
}

/* Lines come in pieces. */
static bool on_text(void *user, struct str text)
{
    struct reader *r = user;
    for (size_t i = 0; i < text.len && r->fine; i++) {
        if (text.at[i] == '\n') {
            show_news(r, str_from(r->line, r->len));
            r->len = 0;
        } else if (r->len < sizeof r->line) {
            r->line[r->len++] = text.at[i];
        }
    }
    return r->fine;
}

static void add_option(const struct cli *cli, const char *option, struct str *words,
                       unsigned *count)
{
    const char *value = cli_value(cli, option);
    if (value == NULL)
        return;
    words[(*count)++] = str_from_z(option + 2);
    words[(*count)++] = str_from_z(value);
}

/* For a while after the worker has ended: a new one is mostly there at once. */
#define FOLLOW_AGAIN_MS ((uint64_t)10000)

static int follow(const struct cli *cli, struct arena *arena, const struct str *words,
                  unsigned count)
{
    static struct reader reader;
    struct str why, control = control_of(cli, arena);
    uint64_t until_ms = 0;
    reader = (struct reader){.json = cli_has(cli, "--json"), .fine = true};
    for (;;) {
        reader.len = 0;
        int got = instance_follow(arena, control, words, count, on_text, &reader, &why);
        if (!reader.fine)
            return EXIT_FAILED;
        if (got == 0) { /* it answered, and has ended */
            log_notice(reader.replaced ? "the worker is being replaced: its successor is followed"
                                       : "the worker has ended: its successor is followed");
            until_ms = clock_mono_ms() + FOLLOW_AGAIN_MS;
            reader.replaced = false;
        } else if (clock_mono_ms() >= until_ms) {
            log_error("%s", told(why));
            return EXIT_FAILED;
        }
        poll(NULL, 0, 100);
    }
}

/* False after telling why: what the worker would refuse as well, but this is wrong usage. */
static bool tail_options_fine(const struct cli *cli)
{
    const char *status = cli_value(cli, "--status"), *from = cli_value(cli, "--from");
    struct tail_filter filter;
    struct cidr net;
    if (status != NULL && !tail_status(str_from_z(status), &filter)) {
        log_error("--status wants a status such as 404, or a class such as 5xx, not '%s'",
                  log_escape(str_from_z(status)));
        return false;
    }
    if (from != NULL && cidr_parse(str_from_z(from), &net) != CIDR_OK) {
        log_error("--from wants addresses such as 10.0.0.0/8, not '%s'",
                  log_escape(str_from_z(from)));
        return false;
    }
    return true;
}

int tail_command(const struct cli *cli)
{
    struct arena *arena = arena_new(ARENA_BYTES, 65536);
    struct str words[16] = {STR("tail")};
    unsigned count = 1;
    const char *slow = cli_value(cli, "--slow");
    uint64_t slow_ms;
    if (arena == NULL)
        return EXIT_FAILED;
    if (slow != NULL && !value_duration(str_from_z(slow), &slow_ms)) {
        log_error("--slow wants a duration such as 500ms or 2s, not '%s'",
                  log_escape(str_from_z(slow)));
        arena_end(arena);
        return EXIT_USAGE;
    }
    if (!tail_options_fine(cli)) {
        arena_end(arena);
        return EXIT_USAGE;
    }
    if (slow != NULL) {
        words[count++] = STR("slow");
        words[count++] = str_printf(arena, "%llu", (unsigned long long)slow_ms);
    }
    static const char *const options[] = {"--host", "--route", "--status", "--from"};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        add_option(cli, options[i], words, &count);
    int status = follow(cli, arena, words, count);
    arena_end(arena);
    return status;
}
