/*
 * The last records of a thread, for `portcullis why`: a ring of entries of one size, filled in
 * place when an exchange ends, so that remembering allocates nothing and costs some copies. What is
 * long is cut (`cut` then says so); Cookie and Authorization are not kept at all. Values are raw,
 * as in the record: whoever shows them masks them (access_log.h does).
 *
 * Everything here is of one thread, the loop's: others ask it (worker_thread_do()).
 */
#ifndef PC_OBSERVE_RECALL_H
#define PC_OBSERVE_RECALL_H

#include "observe/access_record.h"

enum {
    /* Of all threads together: 4.5 MB, taken at the start, so that no later request pays for it. */
    RECALL_RECORDS = 10000,
    /* A GET of a browser over TLS with its decisions takes about 430. */
    RECALL_ENTRY_BYTES = 448,
};

/* The members are recall.c's. */
struct recall_entry {
    uint64_t start_wall_us, connection_id;
    uint64_t bytes_in, body_in, bytes_out, body_out, total_us;
    uint32_t head_us, connected_us, sent_us, answer_us, connect_us; /* at most 71 minutes */
    uint32_t request_number, route_line, refused_line;
    char reference[ACCESS_REFERENCE_LEN];
    uint16_t status, origin_status, tries, used;
    uint8_t kind, version, scheme, end, refused_layer, decision_count, file_count, route_file,
        refused_file;
    bool tls_resumed, origin_pooled, websocket, has_query, decisions_cut, cut;
    /* Addresses, then strings behind their lengths, in the order of recall.c. */
    unsigned char bytes[RECALL_ENTRY_BYTES - 132];
};

struct recall;

/* The thread's share of RECALL_RECORDS. NULL without memory. */
struct recall *recall_new(unsigned threads) __attribute__((warn_unused_result));
void recall_end(struct recall *recall);

void recall_put(struct recall *recall, const struct access_record *record);

/* The `back`-th latest, from 0; NULL when there are not so many. Valid until the next put. */
const struct recall_entry *recall_at(const struct recall *recall, unsigned back);
/* Without unpacking it. */
bool recall_is(const struct recall_entry *entry, struct str reference);
bool recall_is_refusal_of(const struct recall_entry *entry, const struct addr *client);
/* The record as far as it was kept; its strings point into the entry. What was cut shows as
 * `decisions_cut`. */
void recall_read(const struct recall_entry *entry, struct access_record *record);

#endif
