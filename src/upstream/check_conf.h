/* How origins of a route are checked (`check`). A part of upstream_conf, of the same life. */
#ifndef PC_UPSTREAM_CHECK_CONF_H
#define PC_UPSTREAM_CHECK_CONF_H

#include "base/str.h"

struct check_conf {
    bool tcp;          /* connecting, with TLS where the origin has it, is all; else a GET of: */
    struct str target; /* origin-form */
    struct str host;   /* for the Host field; empty: the origin's own */
    uint32_t every_ms; /* CHECK_EVERY_MIN_MS at least */
    uint32_t timeout_ms;
    unsigned status_min, status_max; /* what is well */
    uint32_t fall, rise; /* in a row until an origin is down, and until it is up again */
    uint64_t identity;   /* of all above */
};

/* More often would be a load of its own. */
enum { CHECK_EVERY_MIN_MS = 50 };

#endif
