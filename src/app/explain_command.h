/* `explain`: what would happen to a request, from a file or a running instance. */
#ifndef PC_APP_EXPLAIN_COMMAND_H
#define PC_APP_EXPLAIN_COMMAND_H

struct cli;

int explain_command(const struct cli *cli);

#endif
