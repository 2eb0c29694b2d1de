/* `why`: the record of a request that was; `tail`: records as they end. */
#ifndef PC_APP_WHY_COMMAND_H
#define PC_APP_WHY_COMMAND_H

struct cli;

int why_command(const struct cli *cli);
int tail_command(const struct cli *cli);

#endif
