/*
 * A request in words, as an operator writes it: a method, a URL, some fields; turned into the bytes
 * that a client would send over HTTP/1.1. What is odd in it stays odd: whether it may be served is
 * for the serving code to say.
 */
#ifndef PC_PROXY_ASK_H
#define PC_PROXY_ASK_H

#include "base/str.h"

/* Longer than any head that is read (head_limit has a maximum of its own). */
#define ASK_HEAD_BYTES_MAX ((size_t)1024 * 1024)

struct ask_field {
    struct str name, value;
};

struct ask {
    struct str method;
    bool tls;
    uint16_t port;
    struct str name;   /* of the host: lower case, without brackets and port */
    bool is_address;   /* it is an address: clients send no name in TLS (RFC 6066 3) */
    struct str host;   /* Host, as sent: with the port where it is not the scheme's own */
    struct str target; /* as sent */
    const struct ask_field *fields;
    size_t field_count;
    uint64_t body_bytes;
};

/*
 * Fills in what a URL of http:// or https:// says; a fragment is left out, as clients do. False:
 * `*why`.
 */
bool ask_read_url(struct arena *arena, struct str url, struct ask *ask, const char **why)
    __attribute__((warn_unused_result));
/* Host alone: `name` is one of a site. Sets name, is_address and host by tls and port. */
bool ask_set_host(struct arena *arena, struct str name, struct ask *ask)
    __attribute__((warn_unused_result));

/*
 * The head, with its last empty line. Host and Content-Length are added unless a field says them;
 * with Transfer-Encoding there is no Content-Length. `at` is NULL without memory.
 */
struct str ask_head(struct arena *arena, const struct ask *ask);
/* The name that a client would ask for in TLS; empty where it sends none. */
struct str ask_sni(const struct ask *ask);

#endif
