#include "app/commands.h"

#include "app/cert_commands.h"
#include "app/cli.h"
#include "app/config_commands.h"
#include "app/explain_command.h"
#include "app/help.h"
#include "app/live_commands.h"
#include "app/serve_commands.h"
#include "app/why_command.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"
#include "config/completion.h"
#include "config/directive.h"
#include "config/reference.h"
#include "config/schema.h"
#include "observe/access_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTION_NONE                                                                                \
    {                                                                                              \
        NULL, NULL, NULL, NULL                                                                     \
    }
#define OPTION_CONFIG                                                                              \
    {                                                                                              \
        "--config", "-c", "FILE", "the configuration"                                              \
    }
#define OPTION_CONTROL                                                                             \
    {                                                                                              \
        "--control", NULL, "PATH", "the control socket of the instance"                            \
    }
#define OPTION_JSON                                                                                \
    {                                                                                              \
        "--json", NULL, NULL, "for programs"                                                       \
    }

/* Manual pages of all commands together are a small part of that. */
#define OUT_BYTES ((size_t)8 * 1024 * 1024)

static int show_help(const struct cli *cli);
static int show_version(const struct cli *cli);
static int show_docs(const struct cli *cli);

static const struct command table[] = {
    {"run",
     "",
     0,
     0,
     {OPTION_CONFIG},
     "serve, in the foreground",
     "Without -c the configuration is ./portcullis.conf, else /etc/portcullis/portcullis.conf; for "
     "root only the latter.\n\nSIGHUP reloads, SIGTERM and SIGINT stop gracefully (a second one at "
     "once), SIGUSR1 opens the logs again. Certificates, keys, pages and included files are read "
     "again when they change.\n\nUnder systemd it takes sockets (LISTEN_FDS) and tells when it is "
     "ready (Type=notify).",
     false,
     serve_run},
    {"proxy",
     "FROM TO...",
     2,
     64,
     {OPTION_NONE},
     "serve one line without a file",
     "portcullis proxy :8443 localhost:3000\n\nFROM without a scheme speaks HTTPS, with a "
     "certificate of the local CA (tls internal); 80 and 8080 speak plain HTTP, as does "
     "http://HOST:PORT. TO is one origin or several.",
     false,
     serve_proxy},
    {"check",
     "",
     0,
     0,
     {OPTION_CONFIG, OPTION_JSON},
     "tell every error of a configuration",
     "Reads everything that serving would read, changes nothing, and tells all errors and warnings "
     "with line, column and remedy.",
     false,
     config_check},
    {"fmt",
     "",
     0,
     0,
     {OPTION_CONFIG, {"--check", NULL, NULL, "change nothing; 1 when it would be changed"}},
     "bring a configuration into canonical layout",
     "Comments are kept. Included files are left alone.",
     false,
     config_fmt},
    {"explain",
     "METHOD URL",
     2,
     2,
     {OPTION_CONFIG,
      OPTION_CONTROL,
      {"--from", NULL, "IP", "the client's address"},
      {"--header", "-H", "FIELD", "a field, as 'Name: value'; may stand several times"},
      {"--data", "-d", "BODY", "the body: its size counts"},
      OPTION_JSON},
     "tell what would happen to a request, and why",
     "Runs the serving code itself without sending or changing anything, and prints stage by stage "
     "what it decides: listener, certificate, site and route (also what nearly matched), allow and "
     "deny, limits, the file found, the head that would go to the origin, and the answer; each "
     "with "
     "the line of the configuration.\n\nWith -c the file is explained, as check reads it, and "
     "nothing needs to run. Without -c the running instance is asked, with the state of its "
     "origins.\n\nWithout --from the client is 203.0.113.1: an address of nobody, which no list "
     "knows. Secrets are masked as in the log.",
     false,
     explain_command},
    {"why",
     "[REF]",
     0,
     1,
     {OPTION_CONFIG,
      OPTION_CONTROL,
      {"--from", NULL, "IP", "the latest refusals of this address instead"},
      {"--unmask", NULL, NULL, "show what is masked; for root"},
      OPTION_JSON},
     "tell what became of a request, and why",
     "REF is the reference on an error page, in X-Request-Id and in the log. The running instance "
     "remembers the last 10,000 requests, whatever the log is set to; what it does not know is "
     "looked for in the log files that the configuration names, also in rotated ones.\n\nPrints "
     "who "
     "asked for what, and stage by stage what was decided, why, and by which line of the "
     "configuration. Values in queries are masked, also where the log shows them; Cookie and "
     "Authorization are never remembered.",
     false,
     why_command},
    {"tail",
     "",
     0,
     0,
     {OPTION_CONFIG,
      OPTION_CONTROL,
      {"--host", NULL, "HOST", "of this host or site alone"},
      {"--route", NULL, "PATTERN", "of the route with this pattern"},
      {"--status", NULL, "STATUS", "404, or 5xx for a class"},
      {"--from", NULL, "CIDR", "of clients in this network"},
      {"--slow", NULL, "DURATION", "that took at least so long"},
      OPTION_JSON},
     "print requests as they end",
     "A line each, until it is interrupted; masked, whatever the log shows. Goes on through "
     "reloads, and says so when the worker has been replaced. Serving never waits for it: what "
     "comes faster than it is read is left out and counted. At most four may read at a time.",
     false,
     tail_command},
    {"config",
     "",
     0,
     0,
     {OPTION_CONFIG, OPTION_JSON},
     "print a configuration as JSON",
     "The JSON twin holds everything that the file holds, and is accepted wherever a file is.",
     false,
     config_print},
    {"reload",
     "",
     0,
     0,
     {OPTION_CONFIG, OPTION_CONTROL},
     "let a running instance read its configuration again",
     "A configuration with errors is refused, the errors are told, and the old one serves on.",
     false,
     live_reload},
    {"status",
     "",
     0,
     0,
     {OPTION_CONFIG, OPTION_CONTROL, OPTION_JSON},
     "show a running instance",
     NULL,
     false,
     live_status},
    {"upgrade",
     "",
     0,
     0,
     {OPTION_CONFIG, OPTION_CONTROL},
     "let the program's file, replaced meanwhile, take a running instance's place",
     "It is started with the same words, gets the listening sockets, and serves before the old one "
     "finishes what is open and ends: no connection is lost. When it cannot serve, the old one "
     "goes on. Only the path that the instance was started from is run.",
     false,
     live_upgrade},
    {"stop",
     "",
     0,
     0,
     {OPTION_CONFIG, OPTION_CONTROL},
     "stop a running instance gracefully",
     "Open requests are given the time that `drain` says. Returns when the instance has ended.",
     false,
     live_stop},
    {"drain",
     "ORIGIN",
     1,
     1,
     {OPTION_CONFIG, OPTION_CONTROL},
     "let an origin finish: it gets no new requests",
     "ORIGIN is written as in the configuration, such as localhost:3000. What is under way goes "
     "on; "
     "`status` shows how many of its connections are in use. Reloads and a worker's end do not "
     "change it, stopping portcullis does.",
     false,
     live_drain},
    {"undrain",
     "ORIGIN",
     1,
     1,
     {OPTION_CONFIG, OPTION_CONTROL},
     "give a drained origin requests again",
     "It begins with a tenth of its share, which grows over ten seconds.",
     false,
     live_undrain},
    {"cert",
     "list|trust",
     1,
     1,
     {OPTION_CONFIG, OPTION_JSON, {"--yes", NULL, NULL, "do not ask"}},
     "show certificates; trust the local CA",
     "list shows every certificate that the configuration names, and when it expires.\n\ntrust "
     "installs the CA of `tls internal` in this machine's store, as "
     "/usr/local/share/ca-certificates/portcullis.crt.",
     false,
     cert_command},
    {"docs",
     "configuration|schema|vim|completion|log|man [COMMAND]",
     1,
     2,
     {OPTION_NONE},
     "print what is made from the program's own tables",
     NULL,
     true,
     show_docs},
    {"version", "", 0, 0, {OPTION_NONE}, "print the version", NULL, false, show_version},
    {"help",
     "[COMMAND]",
     0,
     1,
     {OPTION_NONE},
     "print this, or the help of a command",
     NULL,
     false,
     show_help},
};

enum { COUNT = sizeof table / sizeof table[0] };

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static const struct command *must_find(const char *name)
{
    const struct command *command = find_command(name);
    if (command == NULL)
        log_error("there is no command '%s'; 'portcullis help' lists them",
                  log_escape(str_from_z(name)));
    return command;
}

/* Runs `add` and prints what it made. */
static int print_made(void (*add)(struct text *out, const void *argument), const void *argument)
{
    struct arena *arena = arena_new(4 * OUT_BYTES, 65536);
    if (arena == NULL)
        return EXIT_FAILED;
    struct text out = text_in(arena, OUT_BYTES);
    add(&out, argument);
    bool ok = text_ok(&out) && fwrite(out.at, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
    arena_end(arena);
    return ok ? EXIT_FINE : EXIT_FAILED;
}

/* ---- help, version ---- */

static void add_help(struct text *out, const void *command)
{
    if (command == NULL)
        help_add_overview(out, table, COUNT);
    else
        help_add_command(out, command);
}

static int show_help(const struct cli *cli)
{
    const struct command *command = NULL;
    if (cli->operand_count > 0 && (command = must_find(cli->operands[0])) == NULL)
        return EXIT_USAGE;
    return print_made(add_help, command);
}

static int show_version(const struct cli *cli)
{
    (void)cli;
    printf("portcullis " PC_VERSION "\n");
    return EXIT_FINE;
}

/* ---- docs ---- */

static void add_configuration(struct text *out, const void *nothing)
{
    (void)nothing;
    reference_print(directives, directive_count, out);
}

static void add_schema(struct text *out, const void *nothing)
{
    (void)nothing;
    schema_print(directives, directive_count, out);
}

static void add_vim(struct text *out, const void *nothing)
{
    (void)nothing;
    completion_print_vim(directives, directive_count, out);
}

static void add_log(struct text *out, const void *nothing)
{
    (void)nothing;
    access_log_fields_markdown(out);
}

static void add_man(struct text *out, const void *command)
{
    help_add_man(out, table, COUNT, command);
}

/* The options of a command, and its operands where they are a choice of words. */
static void add_words(struct text *out, const struct command *command)
{
    text_add_z(out, "--help");
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name != NULL; i++)
        text_printf(out, " %s%s%s", command->options[i].name,
                    command->options[i].short_name != NULL ? " " : "",
                    command->options[i].short_name != NULL ? command->options[i].short_name : "");
    if (command->run == cert_command)
        text_add_z(out, " list trust");
    text_add_byte(out, '\0');
}

static void add_completion(struct text *out, const void *nothing)
{
    static char words[COUNT][256];
    struct completion_command commands[COUNT + 1] = {{NULL, NULL}};
    size_t count = 0;
    (void)nothing;
    for (size_t i = 0; i < COUNT; i++) {
        if (table[i].hidden)
            continue;
        struct text text = text_over(words[count], sizeof words[count] - 1);
        add_words(&text, &table[i]);
        commands[count] = (struct completion_command){table[i].name, words[count]};
        count++;
    }
    completion_print_bash(commands, out);
}

static const struct {
    const char *name;
    void (*add)(struct text *out, const void *nothing);
} topics[] = {
    {"configuration", add_configuration}, {"schema", add_schema}, {"vim", add_vim},
    {"completion", add_completion},       {"log", add_log},       {"man", add_man},
};

static int show_docs(const struct cli *cli)
{
    const struct command *command = NULL;
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        if (strcmp(topics[i].name, cli->operands[0]) != 0)
            continue;
        if (cli->operand_count > 1 && (command = must_find(cli->operands[1])) == NULL)
            return EXIT_USAGE;
        return print_made(topics[i].add, command);
    }
    log_error("'docs' knows %s", cli->command->operands);
    return EXIT_USAGE;
}

/* ---- dispatch ---- */

static int run_command(const struct command *command, const char **words, unsigned count)
{
    struct cli cli;
    char why[256];
    if (!cli_parse(&cli, command, words, count, why, sizeof why)) {
        log_error("%s", log_escape(str_from_z(why)));
        return EXIT_USAGE;
    }
    return cli.help ? print_made(add_help, command) : command->run(&cli);
}

int commands_main(int argc, char **argv)
{
    const char *name = argc < 2 ? "help" : argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    const struct command *command = must_find(name);
    if (command == NULL)
        return EXIT_USAGE;
    unsigned count = argc < 2 ? 0 : (unsigned)argc - 2;
    const char **words = calloc(count + 1, sizeof *words);
    if (words == NULL)
        return EXIT_FAILED;
    for (unsigned i = 0; i < count; i++)
        words[i] = argv[i + 2];
    int status = run_command(command, words, count);
    free(words);
    return argc < 2 ? EXIT_USAGE : status;
}
