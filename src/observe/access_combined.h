/*
 * A decision record in the "combined" format of Apache and nginx:
 *
 *     10.6.34.100 - - [21/Nov/2026:12:34:56 +0000] "GET /a?b=*** HTTP/1.1" 200 512 "-" "curl/7.88"
 *
 * The status is 000 where none was sent, the bytes are those of the answer's body, times are UTC.
 */
#ifndef PC_OBSERVE_ACCESS_COMBINED_H
#define PC_OBSERVE_ACCESS_COMBINED_H

#include "base/text.h"
#include "observe/access_record.h"

/* Appends at most ACCESS_COMBINED_MAX bytes, no newline. A part that has no room is "-". */
enum { ACCESS_COMBINED_MAX = 16 * 1024 };
void access_combined_add(struct text *text, const struct access_record *record);

/* "HTTP/1.1" of 11; empty for what is no version. */
struct str access_combined_protocol(uint8_t version);

#endif
