/* Help and manual pages, made from the table of commands. */
#ifndef PC_APP_HELP_H
#define PC_APP_HELP_H

#include "app/cli.h"

struct text;

/* All commands, a line each. */
void help_add_overview(struct text *out, const struct command *table, size_t count);
void help_add_command(struct text *out, const struct command *command);
/* man(7); `command` NULL: the program's own page. */
void help_add_man(struct text *out, const struct command *table, size_t count,
                  const struct command *command);

#endif
