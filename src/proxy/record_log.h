/* Hands decision records to the log: one ring per thread, the target as the configuration says. */
#ifndef PC_PROXY_RECORD_LOG_H
#define PC_PROXY_RECORD_LOG_H

#include "observe/access_record.h"

struct front;
struct log_conf;

void record_log_start(struct front *front);
/* Writes the summaries that are still due. */
void record_log_end(struct front *front);

/* Remembers a record for `why`, and hands it to those who read along (`tail`). */
void record_keep(struct front *front, const struct access_record *record);
/* One record to its target, or to nothing. */
void record_log(struct front *front, const struct log_conf *conf, struct access_record *record);
/* The same of a connection that never became a request: at most 10 a second and address. */
void record_log_connection(struct front *front, const struct log_conf *conf,
                           struct access_record *record);

#endif
