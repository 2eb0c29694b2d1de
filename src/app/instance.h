/* Talks to a running instance over its control socket. */
#ifndef PC_APP_INSTANCE_H
#define PC_APP_INSTANCE_H

#include "base/str.h"

struct arena;

/*
 * Where the instance of a configuration listens for commands: its `control`, else control.sock in
 * its `state`. Only these two lines are read, so that a file with errors still finds its instance.
 */
struct str instance_control_path(struct arena *arena, const char *config_path);

/*
 * Sends a command and waits for the answer. 1 when it failed there, 0 when it was done, -1 when
 * nobody answers; then `answer` is the reason. The text is the arena's.
 */
int instance_command(struct arena *arena, struct str control_path, const char *command,
                     struct str *answer) __attribute__((warn_unused_result));

#endif
