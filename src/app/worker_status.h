/* The worker's answer to LETTER_ASK: counters, certificates, origins. */
#ifndef PC_APP_WORKER_STATUS_H
#define PC_APP_WORKER_STATUS_H

struct log_thread;
struct snapshot;
struct worker_thread;

#include <stdbool.h>

/* `snapshot` may be NULL: nothing is served yet. False when the supervisor is gone. */
bool worker_status_send(int channel, const struct worker_thread *threads, unsigned thread_count,
                        const struct snapshot *snapshot, const struct log_thread *log)
    __attribute__((warn_unused_result));

#endif
