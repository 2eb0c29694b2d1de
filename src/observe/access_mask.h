/*
 * What a log must not tell: values in queries, user parts and fragments of URLs. Names of
 * parameters stay, since they say which function was called. The result is not escaped.
 */
#ifndef PC_OBSERVE_ACCESS_MASK_H
#define PC_OBSERVE_ACCESS_MASK_H

#include "base/text.h"
#include "observe/access_record.h"

/* Of one value, before escaping: more of a 32 KiB head would only push the other fields out. */
enum { ACCESS_VALUE_MAX = 2 * 1024 };

/* "a=1&b=2&c" as "a=***&b=***&***": what has no name is taken for a value. */
void access_mask_query(struct text *text, struct str query);
/* A URL with its user part (RFC 3986 3.2.1), query values and fragment masked. */
void access_mask_url(struct text *text, struct str url);

/* At most ACCESS_VALUE_MAX bytes of `s`; sets `*cut` where there were more. */
struct str access_mask_shorten(struct str s, bool *cut);

/* Memory for a value that is masked, which may lengthen it. */
struct access_mask_scratch {
    char bytes[ACCESS_VALUE_MAX];
};

/* Query and Referer of a record as its `show` allows, shortened; they may lie in the scratch. */
struct str access_mask_query_of(const struct access_record *record,
                                struct access_mask_scratch *scratch, bool *cut);
struct str access_mask_referer_of(const struct access_record *record,
                                  struct access_mask_scratch *scratch, bool *cut);

#endif
