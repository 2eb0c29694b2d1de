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

/*
 * The same for a question to the worker (query_desk.h): its words, the name first.
 */
int instance_ask(struct arena *arena, struct str control_path, const struct str *words,
                 unsigned word_count, struct str *answer) __attribute__((warn_unused_result));
/*
 * The same, but the answer is handed out as it comes, perhaps without end; `on_text` says whether
 * to go on. What a failed question answers is in `why`.
 */
int instance_follow(struct arena *arena, struct str control_path, const struct str *words,
                    unsigned word_count, bool (*on_text)(void *user, struct str text), void *user,
                    struct str *why) __attribute__((warn_unused_result));

#endif
