#include "app/cli.h"

#include <stdio.h>
#include <string.h>

/* The option of a word: its place, or -1. `*value` is what stands behind a "=". */
static int find_option(const struct command *command, const char *word, const char **value)
{
    *value = NULL;
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name != NULL; i++) {
        const struct cli_option *option = &command->options[i];
        size_t len = strlen(option->name);
        if (option->short_name != NULL && strcmp(word, option->short_name) == 0)
            return i;
        if (strncmp(word, option->name, len) != 0)
            continue;
        if (word[len] == '=')
            *value = word + len + 1;
        if (word[len] == '\0' || word[len] == '=')
            return i;
    }
    return -1;
}

struct words {
    const char **at;
    unsigned count, next;
};

static bool take_option(struct cli *cli, struct words *words, const char *word, char *why,
                        size_t why_bytes)
{
    const char *value;
    int at = find_option(cli->command, word, &value);
    if (at < 0) {
        snprintf(why, why_bytes, "'%s' has no option %s", cli->command->name, word);
        return false;
    }
    bool wants = cli->command->options[at].value != NULL;
    if (wants && value == NULL && words->next < words->count)
        value = words->at[words->next++];
    if (wants != (value != NULL)) {
        snprintf(why, why_bytes, "%s %s", cli->command->options[at].name,
                 wants ? "wants a value" : "takes no value");
        return false;
    }
    cli->values[at] = wants ? value : "";
    if (cli->said_count == CLI_SAID_MAX) {
        snprintf(why, why_bytes, "at most %d options are taken", CLI_SAID_MAX);
        return false;
    }
    cli->said[cli->said_count].option = (unsigned)at;
    cli->said[cli->said_count++].value = cli->values[at];
    return true;
}

bool cli_parse(struct cli *cli, const struct command *command, const char **words, unsigned count,
               char *why, size_t why_bytes)
{
    struct words rest = {words, count, 0};
    unsigned operands = 0;
    bool options_over = false;
    *cli = (struct cli){.command = command, .operands = words};
    while (rest.next < rest.count) {
        const char *word = words[rest.next++];
        if (!options_over && strcmp(word, "--") == 0) {
            options_over = true;
        } else if (!options_over && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            cli->help = true;
        } else if (!options_over && word[0] == '-' && word[1] != '\0') {
            if (!take_option(cli, &rest, word, why, why_bytes))
                return false;
        } else {
            words[operands++] = word;
        }
    }
    cli->operand_count = operands;
    if (cli->help || (operands >= command->operands_min && operands <= command->operands_max))
        return true;
    snprintf(why, why_bytes, operands < command->operands_min ? "'%s' wants %s" : "'%s' takes %s",
             command->name, command->operands[0] == '\0' ? "no further words" : command->operands);
    return false;
}

const char *cli_next(const struct cli *cli, const char *name, unsigned *at)
{
    while (*at < cli->said_count) {
        unsigned i = (*at)++;
        if (strcmp(cli->command->options[cli->said[i].option].name, name) == 0)
            return cli->said[i].value;
    }
    return NULL;
}

const char *cli_value(const struct cli *cli, const char *name)
{
    for (int i = 0; i < CLI_OPTIONS_MAX && cli->command->options[i].name != NULL; i++)
        if (strcmp(cli->command->options[i].name, name) == 0)
            return cli->values[i];
    return NULL;
}
