/* Entity tags (RFC 9110 8.8.3): reading one or a list of them, and comparing two. */
#ifndef PC_HTTP_ETAG_H
#define PC_HTTP_ETAG_H

#include "base/str.h"

struct etag {
    struct str opaque; /* between the quotes */
    bool weak;
};

/* The whole of `s` is one entity tag. */
bool etag_parse(struct str s, struct etag *etag);
/* Takes the next tag of a list of them; tags may hold commas. False at the end, and with `*bad` set
 * where the list is malformed. Empty members are skipped. */
bool etag_next(struct str *rest, struct etag *etag, bool *bad);
/* RFC 9110 8.8.3.2 */
bool etag_same_strong(struct etag a, struct etag b);
bool etag_same_weak(struct etag a, struct etag b);

#endif
