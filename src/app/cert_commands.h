/* cert list and cert trust. */
#ifndef PC_APP_CERT_COMMANDS_H
#define PC_APP_CERT_COMMANDS_H

struct cli;

int cert_command(const struct cli *cli);

#endif
