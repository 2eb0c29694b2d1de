/*
 * Starts loader and worker: a fork with one end of a channel and nothing else but the standard
 * descriptors. The child ignores the signals that a terminal sends to the whole group (it obeys the
 * supervisor) and dies with its parent.
 */
#ifndef PC_APP_CHILD_H
#define PC_APP_CHILD_H

#include "base/str.h"

#include <sys/types.h>

/* Where a kept descriptor stands in the child. */
#define CHILD_KEPT 4

/*
 * `run` gets the child's end and must not return. The parent's end is put into `*channel`. `kept`
 * is one further descriptor that the child has as CHILD_KEPT, or -1: none. -1 with errno when there
 * can be no child.
 */
pid_t child_start(void (*run)(int channel, void *argument), void *argument, int kept, int *channel)
    __attribute__((warn_unused_result));

/* In the child, again after its user has changed, which takes the arrangement away. */
void child_die_with_parent(void);

/* "was killed by signal 11 (Segmentation fault)", "ended with status 1" */
const char *child_end_text(int wait_status, char *out, size_t size);

#endif
