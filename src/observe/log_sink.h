/*
 * Where log lines end up: one descriptor with a buffer, used by the log thread alone (but for the
 * counters). Lines gather in the buffer and leave by few write(2). A sink never waits for long:
 * what a pipe, terminal or syslog does not take stays in the buffer, and a full buffer drops lines
 * and counts them. Errors (disk full) drop what was to be written, count it, are said on stderr at
 * most once a minute, and the next write tries again.
 *
 * A file is never left with half a line in front of a whole one: after a torn write a newline comes
 * first.
 */
#ifndef PC_OBSERVE_LOG_SINK_H
#define PC_OBSERVE_LOG_SINK_H

#include "base/str.h"

#include <stdatomic.h>

enum {
    /* A nap's worth of lines; also what a stuck reader may lag behind. */
    LOG_SINK_BUFFER = 64 * 1024,
    LOG_SINK_NAME_MAX = 256,
};

struct log_sink_conf {
    struct str name;       /* for messages; copied, cut to LOG_SINK_NAME_MAX - 1 */
    bool syslog;           /* a connected datagram socket to /dev/log */
    uint64_t rotate_bytes; /* 0: never */
};

enum log_want {
    LOG_WANT_NOTHING,
    LOG_WANT_ROTATE, /* the file has reached its size: rename, open anew, set the descriptor */
    LOG_WANT_REOPEN, /* syslog is gone: connect anew, set the descriptor */
};

struct log_sink_counters {
    atomic_uint_fast64_t lines, bytes, dropped;
};

struct log_sink {
    bool used, syslog;
    char name[LOG_SINK_NAME_MAX];
    uint64_t rotate_bytes;

    int fd;              /* owned; -1: none yet */
    bool regular;        /* a file: writing does not wait for a reader */
    bool socket;         /* a stream socket, as stderr is under the journal */
    bool blocked;        /* the reader takes nothing at the moment */
    bool mid_line;       /* the first byte in the buffer goes on with a line begun */
    bool mend;           /* the file ends in half a line: a newline is due */
    bool broken;         /* syslog is gone */
    uint64_t file_bytes; /* size of the file, by our count */
    uint64_t asked_ms;   /* when log_sink_wants() last said so; 0: never for this descriptor */

    char *buffer;
    size_t start, end; /* the bytes waiting */

    struct log_sink_counters counters;
    int error; /* errno of the last failure */
    uint64_t reported, report_at_ms;
};

void log_sink_init(struct log_sink *sink);
/* Closes the descriptor, drops what waits. The sink may be opened again; counters go on. */
void log_sink_close(struct log_sink *sink);
/* False without memory. An open sink keeps its descriptor and what waits. */
bool log_sink_open(struct log_sink *sink, const struct log_sink_conf *conf)
    __attribute__((warn_unused_result));
/* Takes `fd` over, and closes the one before. -1 is none: lines wait as far as the buffer goes. */
void log_sink_set_fd(struct log_sink *sink, int fd);

/* Adds a line, given in two parts, and its newline; writes when the buffer is full. */
void log_sink_add(struct log_sink *sink, struct str a, struct str b);
void log_sink_flush(struct log_sink *sink);
static inline bool log_sink_waiting(const struct log_sink *sink)
{
    return sink->start != sink->end;
}

/* What it needs from above, said once per descriptor (REOPEN again every 5 s). */
enum log_want log_sink_wants(struct log_sink *sink, uint64_t now_ms);
/* Says on stderr what was lost, at most once a minute. True while there is something left to say.
 */
bool log_sink_report(struct log_sink *sink, uint64_t now_ms);

#endif
