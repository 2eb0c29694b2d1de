/*
 * What the client would rather have (RFC 9110 12.5): Accept-Encoding among the codings we know, and
 * whether an error page should be HTML or JSON. A member that cannot be read is passed over.
 */
#ifndef PC_HTTP_ACCEPT_H
#define PC_HTTP_ACCEPT_H

#include "http/message.h"

/* Of equal weight the first is preferred: the smallest text for the least of our time. */
enum coding { CODING_BR, CODING_ZSTD, CODING_GZIP, CODING_IDENTITY, CODING_COUNT };

/* "br", "zstd", "gzip", "identity" */
struct str accept_coding_name(enum coding coding);

/*
 * The best coding of those in `available` (bits 1 << coding; identity need not be among them).
 * Without Accept-Encoding, or where it leaves nothing, CODING_IDENTITY: an answer the client asked
 * not to get is better than a 406 (12.5.3).
 */
enum coding accept_encoding(const struct message *request, unsigned available);

/*
 * JSON rather than HTML: a higher weight, or the same one named more precisely, as in
 * "application/json" beside a range for everything. Without Accept, or with that range alone,
 * false.
 */
bool accept_prefers_json(const struct message *request);

#endif
