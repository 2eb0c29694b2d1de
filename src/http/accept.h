/*
 * Should an error page be HTML or JSON (RFC 9110 12.5.1)? A member that cannot be read is passed
 * over. Accept-Encoding is files/coding.h's.
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
