/*
 * The typed values of the language. Units are obligatory where a number has one, and each value has
 * one spelling: `30s`, never `30` or `1m30s`; `64k`, bytes as `512b`; `on` and `off` alone. Numbers
 * have no sign and no leading zero, so nothing can be read as octal.
 */
#ifndef PC_CONFIG_VALUE_H
#define PC_CONFIG_VALUE_H

#include "base/text.h"
#include "net/addr.h"

/* 500ms 30s 5m 1h 1d; at most VALUE_DURATION_MAX_MS. */
bool value_duration(struct str s, uint64_t *ms) __attribute__((warn_unused_result));
/* Ten years: beyond it a number is a slip, and sums of two cannot overflow. */
#define VALUE_DURATION_MAX_MS ((uint64_t)3650 * 24 * 3600 * 1000)
/* 512b 64k 2m 2g 1t: powers of 1024. */
bool value_size(struct str s, uint64_t *bytes) __attribute__((warn_unused_result));
#define VALUE_SIZE_MAX ((uint64_t)1 << 50)
bool value_number(struct str s, uint64_t *n) __attribute__((warn_unused_result));
#define VALUE_NUMBER_MAX ((uint64_t)1000000000)
bool value_switch(struct str s, bool *on) __attribute__((warn_unused_result));
bool value_port(struct str s, uint16_t *port) __attribute__((warn_unused_result)); /* 1 to 65535 */
bool value_status(struct str s, unsigned *status)
    __attribute__((warn_unused_result)); /* 100 to 599 */
/* `200` or `200-399`: from the first to the last. */
bool value_statuses(struct str s, unsigned *first, unsigned *last)
    __attribute__((warn_unused_result));

/* `host` without brackets; for `unix:` the path. */
struct value_address {
    struct str scheme; /* "http", "https", "h2c", "unix"; empty: none was written */
    struct str host;   /* empty: none was written */
    uint16_t port;     /* 0: none was written */
};

/* Where we listen: `80`, `443`, `http://127.0.0.1:8080`, `https://:8443`, `http://[::1]:80`. */
bool value_address(struct str s, struct value_address *address) __attribute__((warn_unused_result));
/*
 * Where an origin is: `HOST:PORT`, `[::1]:3000`, `http://HOST[:PORT]`, `https://HOST[:PORT]`,
 * `unix:/path`. No path, no user, no query. A bare word is no origin but an upstream's name.
 */
bool value_origin(struct str s, struct value_address *origin) __attribute__((warn_unused_result));

/*
 * The name of a site: `*`, `*.example.com`, `example.com`, an address. Letters of any case and one
 * trailing dot are taken; value_host_canonical() makes them alike.
 */
bool value_host(struct str s) __attribute__((warn_unused_result));
/* Lower case, without the trailing dot. */
struct str value_host_canonical(struct arena *arena, struct str host);

/* A name of the configuration's own: letters, digits, `_`, `-`, `.`; begins with a letter or digit.
 */
bool value_name(struct str s) __attribute__((warn_unused_result));
/* The name of a header field or a method: a token (RFC 9110 5.6.2). */
bool value_token(struct str s) __attribute__((warn_unused_result));

/*
 * The types that `args` of directive.h may name. `wants` completes "expected …"; `hint`, which may
 * be NULL, adds the remedy for a near miss ("did you mean '30s'?") or nothing.
 */
struct value_type {
    const char *name;
    const char *wants;
    bool (*fits)(struct str s);
    void (*hint)(struct str s, struct text *hint);
    const char *sample; /* for the reference, the schema and editors */
};

extern const struct value_type value_types[];
extern const size_t value_type_count;
/* NULL when there is no such type. */
const struct value_type *value_type_find(struct str name);

#endif
