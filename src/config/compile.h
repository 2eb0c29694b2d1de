/*
 * A configuration as text becomes a snapshot: read, checked against the table, compiled. The
 * loader, `check` and `explain` compile from disk, the worker from the pack that the loader made;
 * both run this very code on the same texts.
 *
 * Goes on after errors, so that one run tells them all. Sites that are made of the same lines, the
 * same inherited settings and the same files as one of the old snapshot are shared with it.
 *
 * What the supervisor takes (listeners, logs, state, control, user, workers, drain, roots of
 * `files`) stands in the snapshot itself. Empty are what the file does not say: `state_dir`,
 * `control_path` and `user` have defaults that depend on who starts the program.
 */
#ifndef PC_CONFIG_COMPILE_H
#define PC_CONFIG_COMPILE_H

#include "base/diag.h"
#include "config/compile_hooks.h"
#include "config/source.h"
#include "proxy/snapshot.h"

/*
 * NULL when there was an error, told in `diag`; the snapshot is given up with snapshot_retire() or
 * snapshot_end(). `old` may be NULL and must stay until this returns. `hooks` may be NULL.
 */
struct snapshot *compile_snapshot(struct source_set *sources, struct str path,
                                  const struct snapshot *old, const struct compile_hooks *hooks,
                                  struct diag *diag) __attribute__((warn_unused_result));

#endif
