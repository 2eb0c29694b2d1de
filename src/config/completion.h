/* Help for shells and editors, from the tables: `portcullis docs completion`, `portcullis docs
 * vim`. */
#ifndef PC_CONFIG_COMPLETION_H
#define PC_CONFIG_COMPLETION_H

#include "base/text.h"
#include "config/directive.h"

/* Words of the command line; what follows `-c` is a file. Ends with a member whose name is NULL. */
struct completion_command {
    const char *name;
    const char *words; /* options and further words, separated by spaces */
};

void completion_print_bash(const struct completion_command *commands, struct text *out);
void completion_print_vim(const struct directive *table, size_t count, struct text *out);

#endif
