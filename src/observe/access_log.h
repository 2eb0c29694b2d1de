/*
 * A decision record as one line of text, without its newline: a JSON object (RFC 8259) whose
 * members stand in the order of one table, or the "combined" format that Apache and nginx write.
 * What came from the network is escaped, so that no terminal and no parser of logs is fooled: the
 * line holds no control byte, no DEL, C1 or bidirectional mark, and nothing but well-formed UTF-8.
 *
 * Masked are, unless the record's `show` says otherwise: values in the query and in the Referer's
 * (names of parameters stay), a Referer's user part and fragment. Cookies and Authorization are
 * left out altogether.
 */
#ifndef PC_OBSERVE_ACCESS_LOG_H
#define PC_OBSERVE_ACCESS_LOG_H

#include "base/text.h"
#include "observe/access_record.h"

enum access_log_format { ACCESS_LOG_JSON, ACCESS_LOG_COMBINED };

/* The longest line. Readers of logs (journald, rsyslog, pipes of collectors) cut beyond this. */
enum { ACCESS_LOG_LINE_MAX = 16 * 1024 };

/*
 * Appends one line of at most ACCESS_LOG_LINE_MAX bytes; the text must have that much room. A value
 * that is too long is shortened, a field that does not fit is left out; `cut` then says so, and the
 * line is whole JSON in any case. A summary has no combined form: nothing is appended.
 */
void access_log_add(struct text *text, const struct access_record *record,
                    enum access_log_format format);

/* The table of fields for docs/log.md: name, type, unit, meaning. */
void access_log_fields_markdown(struct text *text);

#endif
