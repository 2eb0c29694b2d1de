/*
 * What every incremental parser answers. A parser fed one byte at a time answers as if fed at once.
 */
#ifndef PC_HTTP_PARSE_H
#define PC_HTTP_PARSE_H

#include <stdint.h>

enum parse {
    PARSE_DONE, /* the thing is whole */
    PARSE_MORE, /* fine so far, more bytes are needed */
    PARSE_BAD,  /* it can never become whole; `struct parse_error` says why */
};

/* `why` is a fixed sentence without full stop, for the record; it holds no byte of the peer's. */
struct parse_error {
    uint16_t status; /* to a client; of an answer 502 */
    const char *why;
};

/* Fills `error` and answers PARSE_BAD. */
static inline enum parse parse_bad(struct parse_error *error, unsigned status, const char *why)
{
    *error = (struct parse_error){.status = (uint16_t)status, .why = why};
    return PARSE_BAD;
}

#endif
