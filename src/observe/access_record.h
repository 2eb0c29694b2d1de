/*
 * The decision record: what happened to one exchange, who decided it and why. Whoever drives an
 * exchange fills one in as it goes, by assignment, and hands it to access_log_add() when the
 * exchange ends; a connection that never became a request (handshake failed, timed out, refused)
 * fills in one of its own. This floor knows nothing of exchanges, routes or TLS.
 *
 * A zeroed record is a valid one about which nothing is known: empty strings, zero numbers and
 * ADDR_NONE mean "does not apply" and are left out of the log. Strings are borrowed: they must live
 * until the record was formatted, so arenas of the exchange, session or snapshot will do. They hold
 * bytes as received, unmasked and unescaped; masking and escaping is the formatter's business.
 */
#ifndef PC_OBSERVE_ACCESS_RECORD_H
#define PC_OBSERVE_ACCESS_RECORD_H

#include "base/where.h"
#include "net/addr.h"

enum access_kind {
    ACCESS_REQUEST,    /* an exchange */
    ACCESS_CONNECTION, /* a connection that never became a request */
    ACCESS_SUMMARY,    /* `count` connections from `client` that were not recorded one by one */
};

/* Where in an exchange's life something was decided, in order of time. */
enum access_stage {
    ACCESS_STAGE_LISTENER,
    ACCESS_STAGE_TLS,
    ACCESS_STAGE_PARSE,
    ACCESS_STAGE_ROUTE,
    ACCESS_STAGE_ADMIT,
    ACCESS_STAGE_PREPARE,
    ACCESS_STAGE_FORWARD,
    ACCESS_STAGE_RESPOND,
};

struct access_decision {
    uint8_t stage;      /* enum access_stage */
    struct str verdict; /* one or two words: "allowed", "denied", "site *", "retried" */
    struct str why;     /* a sentence; may be empty */
    struct where where; /* the line of the configuration that decided, if one did */
};

/* The longest life of today has eight stages; retries and rewrites add a few. */
enum { ACCESS_DECISIONS_MAX = 12 };

/* Which part refused. The client's faults, the origin's and our own are told apart. */
enum access_layer {
    ACCESS_NOT_REFUSED,
    ACCESS_BY_LISTENER, /* too many connections, no site here */
    ACCESS_BY_TLS,      /* handshake, SNI, ALPN */
    ACCESS_BY_PARSER,   /* the client's message is malformed or ambiguous */
    ACCESS_BY_LIMIT,    /* size limits and the client's timeouts */
    ACCESS_BY_ROUTE,    /* no such host or path, allow and deny lines, respond */
    ACCESS_BY_FILES,    /* no such file, not readable */
    ACCESS_BY_ORIGIN,   /* unreachable, timed out, malformed answer */
    ACCESS_BY_PROXY,    /* our own trouble: memory, descriptors, an arena's cap, shutdown */
};

/* How it ended; of a refused exchange: how its answer ended. */
enum access_end {
    ACCESS_END_UNKNOWN,
    ACCESS_COMPLETE,
    ACCESS_CLIENT_ABORTED,   /* closed or reset before it had everything */
    ACCESS_CLIENT_TIMED_OUT, /* sent or took nothing for too long */
    ACCESS_ORIGIN_ABORTED,   /* closed or reset in the middle of its answer */
    ACCESS_ORIGIN_TIMED_OUT, /* sent nothing for too long in the middle of its answer */
    ACCESS_SHUT_DOWN,        /* we were told to stop and the drain time was over */
    ACCESS_FAILED,           /* our own trouble in the middle of the answer */
};

/* Bits of `show`: what is not masked (directive log_show). */
enum { ACCESS_SHOW_QUERY = 1, ACCESS_SHOW_COOKIES = 2, ACCESS_SHOW_AUTHORIZATION = 4 };

/* 80 random bits as Crockford's base32 in lower case (no i, l, o, u). */
enum { ACCESS_REFERENCE_LEN = 16 };

struct access_record {
    uint8_t kind; /* enum access_kind */
    uint8_t show; /* ACCESS_SHOW_ bits */

    uint64_t start_wall_us; /* since 1970: of the first byte of the request, or of the accept */
    char reference[ACCESS_REFERENCE_LEN];
    uint64_t connection_id;  /* unique in the life of the worker */
    uint32_t request_number; /* on its connection, from 1 */
    uint64_t count;          /* of ACCESS_SUMMARY */

    /* Downstream: the 4-tuple, and who that is (the peer, or by trusted_proxies another). */
    struct addr peer, local, client;
    struct str sni, tls_version, cipher, alpn; /* "1.3", "TLS_AES_128_GCM_SHA256", "http/1.1" */
    bool tls_resumed;

    /* The request. */
    uint8_t version; /* 10, 11; 0 where no head was parsed */
    struct str method, scheme, host;
    struct str path, query; /* raw; query without "?" */
    bool has_query;
    struct str canonical_path; /* the one that decided; empty where there is none */
    struct str request_type, user_agent, referer;
    struct str cookies, authorization; /* logged only where `show` says so */

    /* What the configuration made of it. */
    struct str site, route; /* names and pattern as written in the file */
    struct where route_where;
    struct access_decision decisions[ACCESS_DECISIONS_MAX];
    uint8_t decision_count;
    bool decisions_cut; /* there were more */

    /* Towards the origin: the 4-tuple of the last connection. */
    struct str origin; /* as written in the file */
    struct addr origin_local, origin_peer;
    uint16_t origin_status;
    uint16_t tries;     /* origins tried; 0: none was asked */
    bool origin_pooled; /* the last try went over a kept connection */

    /* The answer. */
    uint16_t status; /* 0: none was sent */
    struct str response_type;
    struct str encoding; /* that we compressed with: "gzip", "br", "zstd" */
    bool websocket;      /* became one */
    uint8_t end;         /* enum access_end */

    uint8_t refused_layer;   /* enum access_layer */
    struct str refused_by;   /* "route deny", "origin timeout", "head parser" */
    struct str refused_why;  /* a sentence */
    struct where refused_at; /* the deciding line, if one did */

    /* Bytes as on the wire above TLS. */
    uint64_t bytes_in, body_in;   /* head and body; body alone, without chunk marks */
    uint64_t bytes_out, body_out; /* the same of the answer */

    /* Microseconds from the start; 0: did not happen. See access_record_mark(). */
    uint64_t head_us;      /* the head was complete */
    uint64_t connected_us; /* a connection to the origin was at hand */
    uint64_t sent_us;      /* the request was sent, body included */
    uint64_t answer_us;    /* the first byte of the origin's answer came */
    uint64_t total_us;     /* the end */
    uint64_t connect_us;   /* a duration: connecting took this long; 0 on a kept connection */
};

/* Zeroes the record, draws a reference and notes the wall clock. */
void access_record_init(struct access_record *record, enum access_kind kind);

/* Splits a request target, as received, at its first "?". */
void access_record_set_target(struct access_record *record, struct str target);

/* One more decision; what does not fit is left out and noted. `where` may be NULL. */
void access_record_decide(struct access_record *record, enum access_stage stage, struct str verdict,
                          struct str why, const struct where *where);

/* The first refusal is the one that counts: later calls change nothing. `where` may be NULL. */
void access_record_refuse(struct access_record *record, enum access_layer layer, struct str by,
                          struct str why, const struct where *where);

/* Time since the start on the monotonic clock, at least 1 so that it differs from "never". */
static inline uint64_t access_record_mark(uint64_t start_mono_us, uint64_t now_mono_us)
{
    return now_mono_us > start_mono_us ? now_mono_us - start_mono_us : 1;
}

static inline struct str access_record_reference(const struct access_record *record)
{
    return str_from(record->reference, ACCESS_REFERENCE_LEN);
}

/* Words for the log: "request", "parse", "origin", "client-aborted". */
struct str access_kind_name(enum access_kind kind);
struct str access_stage_name(enum access_stage stage);
struct str access_layer_name(enum access_layer layer);
struct str access_end_name(enum access_end end);

#endif
