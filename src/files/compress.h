/*
 * Compression on the fly: whether an answer is compressed, and what that does to the heads of both
 * messages. The bytes go through files/encoder.h.
 *
 * Compressed are text types whose length is unknown or at least COMPRESS_BYTES_MIN; never what has
 * a Content-Encoding, Content-Range or digest already, event streams, what its sender marked
 * `Cache-Control: no-transform`, and the statuses 1xx, 204, 205, 206, 304.
 *
 * Never for cross-site requests: the length of a compressed answer tells whether what an attacker's
 * page made the browser send (a query, say) occurs in the answer beside a secret (BREACH). The page
 * must be able to make the browser ask, with its cookies, again and again; browsers say when they
 * do so (Sec-Fetch-Site; for those that do not, an Origin that is not this host).
 *
 * A strong entity tag names bytes that no longer go out, so "abc" becomes W/"abc-pc.gz". On the way
 * back such a tag in If-None-Match or If-Match becomes "abc" again, which the origin knows, and a
 * 304 about "abc" gets the tag that the client asked with. Weak tags pass as they are.
 *
 * Per exchange: compress_prepare() before files or an origin are asked, compress_answer() when the
 * head of the answer is there, then an encoder if that says so.
 */
#ifndef PC_FILES_COMPRESS_H
#define PC_FILES_COMPRESS_H

#include "files/coding.h"

/* Below this a packet is saved at best. */
#define COMPRESS_BYTES_MIN 1024

/* A route without compression has none. */
struct compress_conf {
    const struct str
        *types; /* media types, also "text/" followed by a star; none: mime_is_text() */
    unsigned type_count;
};

/* What the head of a request decided; in the memory of the exchange, zeroed at first. */
struct compress_plan {
    bool prepared;
    const struct compress_conf *conf; /* NULL: off */
    enum coding coding;               /* what this client would get */
    struct str asked;                 /* the If-None-Match that held tags of ours, or empty */
};

/*
 * `conf` may be NULL. Reads the client's request, then edits its conditions, so it comes after the
 * access record took what it wants and before the request is forwarded. At the arena's cap the
 * conditions stay as they are: no 304 then, nothing worse. A second call for the same exchange
 * (files first, then the origin behind `else`) changes nothing.
 */
void compress_prepare(struct compress_plan *plan, const struct compress_conf *conf,
                      struct message *request);

/*
 * Edits the head of an answer and tells what to encode its body with; identity: as it is. The head
 * of a HEAD's answer is edited as that of a GET would be, and identity is answered. Where a body is
 * to be encoded its framing is BODY_CHUNKED afterwards. Flush the encoder when an answer of unknown
 * length pauses. At the arena's cap the answer stays uncompressed.
 */
enum coding compress_answer(const struct compress_plan *plan, struct message *response);

#endif
