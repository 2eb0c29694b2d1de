/*
 * Cookies as browsers and servers really write them (RFC 6265 5.2, 5.4): split at every ';', quotes
 * mean nothing, odd bytes are passed on.
 */
#ifndef PC_HTTP_COOKIE_H
#define PC_HTTP_COOKIE_H

#include "base/text.h"
#include "http/message.h"

/*
 * Takes the next pair of a Cookie value. A pair without '=' has an empty name; empty pairs are
 * skipped; spaces around name and value are dropped, quotes are kept.
 */
bool cookie_next(struct str *rest, struct str *name, struct str *value);
/* The first cookie of this name (case matters) over all Cookie fields. `value` may be NULL. */
bool cookie_get(const struct message *message, struct str name, struct str *value);
/* A Cookie or Set-Cookie value with names and attributes as they are and every cookie's value as
 * "***". */
void cookie_add_masked(struct text *out, struct str value, bool is_set_cookie);

struct cookie_route {
    struct str prefix;      /* that was stripped: "/dicom", without final slash; may be empty */
    struct str origin_host; /* without port; may be empty */
};

/*
 * A Set-Cookie value of the origin's for the public side:
 *
 * - `Path=/x` becomes `Path=/prefix/x`; one that is the prefix or below it already stays, and so
 *   does one that does not begin with '/', which browsers ignore. Without Path nothing is added:
 * the browser takes the public URL's. The Path of `__Host-` cookies must be "/", so it stays too.
 * - `Domain` that is the origin's host is removed: the cookie then belongs to the public host
 * alone. Any other Domain stays.
 *
 * False when nothing had to change; then nothing was added to `out`.
 */
bool cookie_rewrite(struct text *out, struct str set_cookie, const struct cookie_route *route);

#endif
