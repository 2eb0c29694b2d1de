/*
 * One HTTP message head, the same for all protocol versions: the received bytes kept once (in the
 * exchange's arena) and an array of small entries into them. Codecs produce and consume it; router,
 * WAF, log and forwarder read the same array, so there is no second parse and nothing to disagree
 * about. Edits allocate in the arena; nothing is ever written into received bytes.
 */
#ifndef PC_HTTP_MESSAGE_H
#define PC_HTTP_MESSAGE_H

#include "base/arena.h"
#include "http/header.h"

enum method {
    METHOD_OTHER,
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_PATCH,
    METHOD_OPTIONS,
    METHOD_TRACE,
    METHOD_CONNECT,
};

enum {
    FIELD_REMOVED = 1, /* not forwarded; look-ups by the accessors below skip it */
    FIELD_ADDED = 2,   /* by us, not received */
};

struct field {
    struct str name;  /* as received */
    struct str value; /* without white space at its ends */
    uint16_t id;      /* enum header_id */
    uint16_t flags;
};

/* How the end of the body is known (RFC 9112 6). */
enum body_framing {
    BODY_NONE,    /* there is none */
    BODY_LENGTH,  /* content_length bytes, at least 1 */
    BODY_CHUNKED, /* until its own end mark: chunked, or END_STREAM */
    BODY_TO_END,  /* an answer until the connection's end */
};

struct message {
    struct arena *arena;
    struct field *fields;
    uint32_t count, capacity;
    uint64_t
        known[(HEADER_COUNT + 63) / 64]; /* ids that were ever added: most questions end here */

    uint8_t version; /* 10, 11, 20, 30 */
    uint8_t method;  /* enum method; of an answer: of the request it answers */
    uint16_t status; /* of an answer, else 0 */
    struct str method_text, target, reason;
    struct str scheme, authority; /* of absolute-form and HTTP/2; empty else */

    uint8_t framing; /* enum body_framing */
    bool close;      /* the peer's last message on this connection, by version and Connection */
    bool expect_continue;
    uint64_t content_length; /* of BODY_LENGTH; also what a HEAD's or 304's answer declares */
    bool has_content_length;
};

/* Zeroes the message; the array of fields grows in the arena. */
void message_init(struct message *message, struct arena *arena);

/* The first live field of this name, or NULL. `message_find` is for names without an id. */
const struct field *message_get(const struct message *message, enum header_id id);
const struct field *message_find(const struct message *message, struct str name);
/* All live fields of one name: start with `*at` 0. */
const struct field *message_next(const struct message *message, enum header_id id, uint32_t *at);
/* The value, or an empty string. */
struct str message_value(const struct message *message, enum header_id id);

/*
 * Adds at the end, marked FIELD_ADDED. The bytes are not copied. False for a name or value that
 * must not be written (header_name_ok, header_value_ok), and at the arena's cap.
 */
bool message_add(struct message *message, struct str name, struct str value)
    __attribute__((warn_unused_result));
bool message_add_id(struct message *message, enum header_id id, struct str value)
    __attribute__((warn_unused_result));
/* Removes every field of the name, then adds one. */
bool message_set(struct message *message, struct str name, struct str value)
    __attribute__((warn_unused_result));
bool message_set_id(struct message *message, enum header_id id, struct str value)
    __attribute__((warn_unused_result));
/*
 * For codecs, which have held the bytes against header_name_ok() and header_value_ok() while they
 * read them: adds a received field without looking again. False at the arena's cap.
 */
bool message_push(struct message *message, struct str name, struct str value)
    __attribute__((warn_unused_result));
/* A received field of another message, as it is. */
bool message_push_field(struct message *message, const struct field *field)
    __attribute__((warn_unused_result));
void message_remove(struct message *message, struct str name);
void message_remove_id(struct message *message, enum header_id id);

enum method method_lookup(struct str text); /* methods are case-sensitive */
/* RFC 9110 9.2.1, 9.2.2 */
bool method_is_safe(enum method method);
bool method_is_idempotent(enum method method);
/* The text of a status for HTTP/1 ("Not Found"), never empty. */
struct str status_reason(unsigned status);

#endif
