/*
 * Who the client is behind proxies we trust, and what we tell the origin: X-Forwarded-For and
 * Forwarded (RFC 7239).
 *
 * Lists are read from the right, member by member, since only what a trusted proxy appended is
 * worth anything: each hop that is itself trusted vouches for the one to its left. The first hop
 * that is not trusted is the client. Where a member is no address ("unknown", "_hidden", garbage)
 * the last believable hop is, that is the one to its right. Members are separated at every comma,
 * also inside quotes: no node name holds one, and an unclosed quote of the client's must not
 * swallow what a proxy appended.
 */
#ifndef PC_HTTP_FORWARDED_H
#define PC_HTTP_FORWARDED_H

#include "base/text.h"
#include "http/message.h"
#include "net/addr.h"

/*
 * The client's address: the peer, unless that is trusted; then the rightmost hop of
 * X-Forwarded-For that is not, or of Forwarded where there is no X-Forwarded-For. Without a port
 * when it came from a field.
 */
void forwarded_client(const struct message *message, const struct addr *peer,
                      const struct cidr *trusted, size_t trusted_count, struct addr *client);

bool forwarded_is_trusted(const struct addr *addr, const struct cidr *trusted, size_t count);

/*
 * The value of our X-Forwarded-For: the peer, behind the received list when `keep` (the peer is
 * trusted).
 */
void forwarded_add_xff(struct text *out, const struct message *message, bool keep,
                       const struct addr *peer);

enum forwarded_form {
    FORWARDED_STANDARD, /* for="[2001:db8::1]";host="a:8443";proto=https */
    FORWARDED_UNQUOTED, /* for=[2001:db8::1];host=a:8443;proto=https, for origins that do not
                           unquote */
};

/* "for=…" alone. */
void forwarded_add_node(struct text *out, enum forwarded_form form, const struct addr *addr);

/* The value of our Forwarded; `host` (may be empty) is what the client asked for, `proto` its
 * scheme. */
void forwarded_add(struct text *out, const struct message *message, bool keep,
                   enum forwarded_form form, const struct addr *peer, struct str host,
                   struct str proto);

#endif
