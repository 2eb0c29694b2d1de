/* check, fmt, config, docs: what can be done with a configuration without serving it. */
#ifndef PC_APP_CONFIG_COMMANDS_H
#define PC_APP_CONFIG_COMMANDS_H

struct cli;

int config_check(const struct cli *cli);
int config_fmt(const struct cli *cli);
int config_print(const struct cli *cli);

#endif
