/*
 * Conditional requests (RFC 9110 13): what becomes of a request once the representation it asks for
 * is known. What is malformed in a list of entity tags matches nothing, so that If-Match fails and
 * If-None-Match lets the answer go out whole; a date that is none is as if it were not there.
 */
#ifndef PC_HTTP_CONDITIONAL_H
#define PC_HTTP_CONDITIONAL_H

#include "http/etag.h"
#include "http/message.h"

/* What is known of the representation that would be sent. */
struct conditional_now {
    bool exists;
    bool has_etag;
    struct etag etag;
    bool has_modified;
    int64_t modified_s, now_s; /* since 1970; now_s decides whether Last-Modified is strong */
};

enum conditional {
    CONDITIONAL_PROCEED,      /* do the method; a Range field counts */
    CONDITIONAL_WHOLE,        /* do the method, ignoring Range: If-Range does not hold */
    CONDITIONAL_NOT_MODIFIED, /* 304 */
    CONDITIONAL_FAILED,       /* 412 */
};

/* In the order of RFC 9110 13.2.2. To be asked only when the answer would else be a 2xx. */
enum conditional conditional_evaluate(const struct message *request,
                                      const struct conditional_now *now);

#endif
