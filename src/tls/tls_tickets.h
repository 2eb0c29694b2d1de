/*
 * Ticket keys. The secret of an epoch (a day, say) comes from above, so that all threads, restarted
 * workers and reloads agree; the key of a site is HMAC-SHA512(secret, id), where the id stands for
 * the site's TLS settings, its client-certificate policy included: GnuTLS binds tickets of TLS 1.3
 * to nothing else. The epoch before the current one still resumes, but is given out no more.
 *
 * GnuTLS derives the real key from ours and the clock; its first 16 bytes are the ticket's first 16
 * (its "name"). One thread sets, all may read.
 */
#ifndef PC_TLS_TLS_TICKETS_H
#define PC_TLS_TLS_TICKETS_H

#include "base/str.h"

struct tls_tickets;

enum {
    TLS_SECRET_BYTES = 32,
    TLS_TICKET_ID_BYTES = 32,
    TLS_TICKET_KEY_BYTES = 64, /* as GnuTLS wants it */
    /* How long a ticket is good, and the longest chain of resumptions after a full handshake. */
    TLS_TICKET_SECONDS = 6 * 3600,
};

/* With a random secret until one is set. NULL without memory. */
struct tls_tickets *tls_tickets_new(void) __attribute__((warn_unused_result));
void tls_tickets_end(struct tls_tickets *tickets);

/* `previous` may be NULL: the first epoch. */
void tls_tickets_set(struct tls_tickets *tickets, const uint8_t current[TLS_SECRET_BYTES],
                     const uint8_t *previous);

/*
 * The key for a handshake in which `ticket` was presented (or nothing): that of the previous epoch
 * when the ticket is of it, else the current one. `*old` tells which: with an old key no new ticket
 * may be sent. `now` in seconds since 1970. False when libcrypto fails.
 */
bool tls_tickets_key(struct tls_tickets *tickets, const uint8_t id[TLS_TICKET_ID_BYTES],
                     struct str ticket, int64_t now, uint8_t key[TLS_TICKET_KEY_BYTES], bool *old)
    __attribute__((warn_unused_result));

#endif
