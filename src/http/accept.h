/*
 * What the client would rather have (RFC 9110 12.5.1):
 * whether an error page should be HTML or JSON. A member that cannot be read is passed over.
 */
#ifndef PC_HTTP_ACCEPT_H
#define PC_HTTP_ACCEPT_H

#include "http/message.h"

/*
 * JSON rather than HTML: a higher weight, or the same one named more precisely, as in
 * "application/json" beside a range for everything. Without Accept, or with that range alone,
 * false.
 */
bool accept_prefers_json(const struct message *request);

#endif
