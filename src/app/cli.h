/*
 * Words of the command line against what a command says it takes. Options may stand anywhere behind
 * the command; `--name VALUE` and `--name=VALUE` are the same; `--` ends them.
 */
#ifndef PC_APP_CLI_H
#define PC_APP_CLI_H

#include "base/str.h"

/* 0 fine, 1 the operation failed, 2 wrong usage or configuration. */
enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct cli;

struct cli_option {
    const char *name;       /* "--config" */
    const char *short_name; /* "-c" or NULL */
    const char *value;      /* "FILE", or NULL for a switch */
    const char *help;
};

enum { CLI_OPTIONS_MAX = 8, CLI_SAID_MAX = 256 };

struct command {
    const char *name;
    const char *operands; /* "FROM TO..." or "" */
    unsigned operands_min, operands_max;
    struct cli_option options[CLI_OPTIONS_MAX]; /* ends with one without a name */
    const char *help;                           /* one line */
    const char *more;                           /* paragraphs for --help and the manual page */
    bool hidden;
    int (*run)(const struct cli *cli);
};

struct cli {
    const struct command *command;
    const char
        *values[CLI_OPTIONS_MAX]; /* by the option's place; "" for a switch; NULL: not said */
    const char *const *operands;
    unsigned operand_count;
    bool help; /* --help was among them */
    /* Every value that was said, in its order: of options that may stand several times. */
    struct {
        unsigned option; /* its place */
        const char *value;
    } said[CLI_SAID_MAX];
    unsigned said_count;
};

/*
 * `words` are those behind the command's name; they are put into another order. False with a
 * sentence in `why`.
 */
bool cli_parse(struct cli *cli, const struct command *command, const char **words, unsigned count,
               char *why, size_t why_bytes) __attribute__((warn_unused_result));
/* The value of an option, or NULL; of several the last. */
const char *cli_value(const struct cli *cli, const char *name);
/* All values of an option in turn: start with `*at` 0; NULL at the end. */
const char *cli_next(const struct cli *cli, const char *name, unsigned *at);
static inline bool cli_has(const struct cli *cli, const char *name)
{
    return cli_value(cli, name) != NULL;
}

#endif
