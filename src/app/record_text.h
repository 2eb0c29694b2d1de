/*
 * A line of the access log (JSON) for people: in full, as `why` shows it, or on one line, as `tail`
 * does. The line may come from a file that anybody wrote: it is read strictly, and whatever is
 * printed is escaped for a terminal. Values are masked unless `unmask`, also where the log was not:
 * in queries and Referer, Cookie and Authorization altogether.
 */
#ifndef PC_APP_RECORD_TEXT_H
#define PC_APP_RECORD_TEXT_H

#include "base/text.h"

/* Each answers false when the line is no record; then nothing was added. */
bool record_text_full(struct arena *arena, struct str line, bool unmask, struct text *out)
    __attribute__((warn_unused_result));
bool record_text_line(struct arena *arena, struct str line, struct text *out)
    __attribute__((warn_unused_result));
/* The line itself, masked. */
bool record_text_json(struct arena *arena, struct str line, bool unmask, struct text *out)
    __attribute__((warn_unused_result));

#endif
