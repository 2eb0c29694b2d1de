/*
 * Records as they end, for `portcullis tail`: one reader, a filter, and for each loop a ring of
 * lines that the worker's main thread empties. A loop never waits for a reader: where the ring is
 * half full the record is counted as lost, before it is even formatted. That bounds what a reader
 * can cost a loop to the formatting of TAIL_RING_BYTES / 2 in each of the reader's rounds.
 *
 * Lines are JSON as in the log, always masked.
 */
#ifndef PC_OBSERVE_TAIL_H
#define PC_OBSERVE_TAIL_H

#include "base/text.h"
#include "observe/access_record.h"

/* The least a ring of log lines may have. */
#define TAIL_RING_BYTES ((size_t)64 * 1024)

struct tail_filter {
    struct str host;                 /* without port, or the site's name; empty: any */
    struct str route;                /* as written; empty: any */
    uint16_t status_from, status_to; /* 0 and 0: any */
    bool has_net;
    struct cidr net;  /* of the client */
    uint64_t slow_us; /* at least so long */
};

/* "404", "5xx"; false for anything else. */
bool tail_status(struct str s, struct tail_filter *filter) __attribute__((warn_unused_result));
bool tail_admits(const struct tail_filter *filter, const struct access_record *record);

struct tail;

/* The filter's strings stay the caller's, for as long. NULL without memory. */
struct tail *tail_new(const struct tail_filter *filter, unsigned threads)
    __attribute__((warn_unused_result));
/* When no loop knows it any more. */
void tail_end(struct tail *tail);

/* On a loop: one record. */
void tail_offer(struct tail *tail, unsigned thread, const struct access_record *record);

/* On the main thread: appends what waits, a line each, until `out` holds `most` bytes. */
void tail_take(struct tail *tail, struct text *out, size_t most);
/* Records that were lost since the last call. */
uint64_t tail_lost(struct tail *tail);

#endif
