/*
 * Heads of HTTP/1 messages: find the end, then read. RFC 9112 to the letter, and where it lets a
 * recipient choose between guessing and refusing, this refuses:
 *
 * - Lines end with CRLF. A bare LF or CR, NUL and control bytes but HTAB in values, folded lines,
 *   white space before the colon and empty names are errors (2.2, 5.1, 5.2), in answers too.
 * - Versions: HTTP/1.0 and HTTP/1.1; a higher minor one is read as 1.1 (RFC 9110 2.5), another
 *   major one is a 505, any other spelling a 400.
 * - Content-Length: once, 1 to 19 digits; a second one is an error even when equal, and so are
 *   lists and signs (6.3). Transfer-Encoding: once, exactly `chunked`, in HTTP/1.1 only, never
 *   beside Content-Length (6.1). `X, chunked` in a request is a 501; what does not end in `chunked`
 *   has no known length and is a 400.
 * - Request target (3.2): origin-form, absolute-form of http and https, `*` with OPTIONS. CONNECT
 * is a 405 here, so that nothing behind ever sees it. Space, control bytes, non-ASCII and '#' in a
 *   target are a 400; what its path may hold is uri.h's.
 * - Host: exactly one in HTTP/1.1, at most one in 1.0, valid (authority.h), never empty, and the
 *   same as the authority of an absolute-form (stricter than 3.2.2, which would prefer the latter).
 * - Expect: `100-continue` or a 417; ignored in HTTP/1.0 (RFC 9110 10.1.1).
 * - Status: three digits, 100 to 599; the reason may be empty or missing with its space. In 1xx and
 *   204 Content-Length and Transfer-Encoding are errors. 205 is framed like other answers, but a
 *   Content-Length above 0 is an error, since some clients read no body there.
 *
 * Upgrade, hop-by-hop fields and names with '_' are left to the caller.
 */
#ifndef PC_HTTP_H1_HEAD_H
#define PC_HTTP_H1_HEAD_H

#include "http/message.h"
#include "http/parse.h"

struct head_limits {
    uint32_t line_bytes_max; /* of one line without its CRLF */
    uint32_t fields_max;
    uint32_t size_bytes_max; /* of the head, or of a trailer section, with all its CRLFs */
};

/* Where the search for the end stands; zero at the start of a head. */
struct h1_scan {
    size_t at, line; /* next byte to look at; first byte of the line it is in */
    uint32_t fields;
    bool skipped_empty; /* the one empty line before a request (RFC 9112 2.2) */
    bool in_fields;     /* behind the first line */
    bool word_done;     /* behind the first word of the first line */
};

/*
 * Looks for the end of a head in the bytes received so far, which begin with it and grow from call
 * to call (they may move). Linear over all calls. DONE: the head is the first `*head_bytes`. BAD as
 * soon as it can be seen: bare CR or LF, control bytes, a first word that is neither a method nor
 * HTTP-version (a TLS ClientHello, say), 414 for a long first line, 431 for other limits.
 */
enum parse h1_scan_head(struct h1_scan *scan, struct str so_far, const struct head_limits *limits,
                        size_t *head_bytes, struct parse_error *error);

/*
 * Read a whole head, as h1_scan_head() measured it. The caller has message_init()ed the message;
 * `head` lives as long as its arena. They answer DONE or BAD; after BAD the message holds what was
 * read until then, for the record only. Errors of answers have status 502. Arena at its cap: 431.
 */
enum parse h1_parse_request(struct str head, const struct head_limits *limits,
                            struct message *message, struct parse_error *error);
/* `of_request` is the method of the request that is answered: HEAD's answers have no body. */
enum parse h1_parse_response(struct str head, const struct head_limits *limits,
                             enum method of_request, struct message *message,
                             struct parse_error *error);

/*
 * Field lines up to and including the empty line; `section` must end there. Adds to the message.
 * Also reads trailer sections. Says nothing about what the fields mean.
 */
enum parse h1_parse_fields(struct str section, const struct head_limits *limits,
                           struct message *message, struct parse_error *error);

#endif
