/*
 * Where things lie: the configuration when `-c` is not given, and the directory for what has to
 * outlive the process (internal CA, control socket). The state directory is the starter's alone,
 * mode 0700: one that others own or may write to is refused, since keys lie in it.
 */
#ifndef PC_APP_STATE_DIR_H
#define PC_APP_STATE_DIR_H

#include "base/str.h"

#include <sys/types.h>

struct arena;

/* What the choice depends on; tests fill it in. */
struct state_facts {
    uid_t uid;
    const char *home, *xdg_state_home; /* NULL or "": not set */
};
struct state_facts state_facts_now(void);

/* /var/lib/portcullis for root, else $XDG_STATE_HOME/portcullis or ~/.local/state/portcullis. */
struct str state_dir_default(struct arena *arena, const struct state_facts *facts);
/* Makes it, parents included, or checks it. False with the reason in `why`. */
bool state_dir_prepare(const char *path, char *why, size_t why_bytes)
    __attribute__((warn_unused_result));

/*
 * ./portcullis.conf, else /etc/portcullis/portcullis.conf; as root only the latter. The path of the
 * system's file when there is neither, for the error that follows.
 */
const char *state_config_path(const struct state_facts *facts);

#endif
