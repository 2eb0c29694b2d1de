/*
 * The configuration, compiled: a table of immutable parts. A part (a site with its routes, log
 * target names and pages) has an arena of its own and a hash of everything it was made from; a
 * reload builds the parts that changed and shares the rest. What has a memory of its own (pools,
 * health, ticket keys, log files) is never in here: it lives in registries keyed by identity.
 *
 * Counting: snapshots that hold a part are counted by the one thread that builds and frees them.
 * Loops count their uses (`pins`) each in a slot of its own, so the request path shares no counter.
 * A thread can pin only what its current snapshot holds; so once every thread has acknowledged a
 * newer snapshot, a part that no snapshot holds and whose pins add up to zero can be freed
 * (snapshot_sweep).
 *
 * Who fills it: config/. Who reads it: proxy/. All strings live in the arena of their part.
 */
#ifndef PC_PROXY_SNAPSHOT_H
#define PC_PROXY_SNAPSHOT_H

#include "base/map.h"
#include "base/where.h"
#include "http/h1_head.h"
#include "net/addr.h"
#include "proxy/template.h"

#include <stdatomic.h>

struct compress_conf; /* files/compress.h */
struct files_conf;    /* files/files.h */
struct regex;         /* base/regex.h */
struct tls_cert;      /* tls/tls_cert.h */
struct upstream_conf; /* upstream/upstream.h */
struct router;        /* proxy/route.c */

enum { SNAPSHOT_THREADS_MAX = 64 };

struct part {
    struct arena *arena;
    uint64_t hash;                          /* of all it was made from */
    unsigned held;                          /* by snapshots; of the building thread only */
    struct part *next;                      /* among the retired */
    atomic_uint pins[SNAPSHOT_THREADS_MAX]; /* written by one thread each */
};

/* ---- access ---- */

struct access_rule {
    bool allow;
    struct cidr *nets; /* none: `from any` */
    size_t net_count;
    struct where where;
};

/* One level (file, site or route): first match decides; where none does, deny if it has an allow.
 */
struct access_list {
    struct access_rule *rules;
    size_t count;
    bool has_allow;
};

/* The list's word about an address, and the line that decided (NULL: none, as the list is empty).
 */
bool access_list_admits(const struct access_list *list, const struct addr *client,
                        const struct access_rule **rule);

/* ---- routes ---- */

enum condition_kind {
    CONDITION_METHOD,
    CONDITION_HEADER,
    CONDITION_QUERY,
    CONDITION_COOKIE,
    CONDITION_FROM,
    CONDITION_PATH,
};

/* A `when` line. Its values are alternatives; no value means present. */
struct condition {
    enum condition_kind kind;
    bool negated;
    struct str name; /* of header, query or cookie */
    struct str *values;
    size_t value_count;
    struct cidr *nets; /* of `from` */
    size_t net_count;
    struct regex *regex; /* of `path ~` */
    struct where where;
};

enum header_op { HEADER_SET, HEADER_ADD, HEADER_REMOVE, HEADER_KEEP };

struct header_edit {
    enum header_op op;
    bool response;
    struct str name;
    struct template value;
    struct where where;
};

enum host_mode { HOST_KEEP, HOST_ORIGIN, HOST_NAME };
enum forwarded_mode { FORWARDED_MODE_STANDARD, FORWARDED_MODE_UNQUOTED, FORWARDED_MODE_OFF };

struct error_page {
    uint16_t status;
    struct str body, content_type;
};

struct log_conf {
    uint64_t target; /* id of a log_target, 0: off. No index: sites are shared between snapshots */
    bool combined;
    bool show_query, show_cookies, show_authorization;
};

/* Everything a route may set and inherit. Routes that set nothing share their site's. */
struct route_conf {
    uint32_t body_ms, send_ms, answer_ms, stream_ms, quiet_ms;
    struct log_conf log;
    uint64_t body_bytes_max; /* UINT64_MAX: off */
    bool websocket;
    bool paths_loose; /* an ambiguous path is not refused */
    enum host_mode host_mode;
    struct str host_name;
    enum forwarded_mode forwarded;
    const struct compress_conf *compress; /* NULL: off */
    struct header_edit *headers;          /* outer first */
    size_t header_count;
    struct error_page *errors;
    size_t error_count;
    const struct access_list *access[3]; /* file, site, route; NULL: no list */
};

enum action {
    ACTION_FORWARD,
    ACTION_FILES,
    ACTION_REDIRECT,
    ACTION_REDIRECTS,
    ACTION_RESPOND,
};

/* A line of a `redirects` file. */
struct redirect_line {
    struct str to;
    uint16_t status;
    struct where where;
};

struct target {
    enum action action;
    const struct upstream_conf *upstream; /* forward */
    const struct files_conf *files;       /* files */
    struct map redirects;                 /* redirects: whole path -> struct redirect_line */
    const struct target *otherwise;       /* `else` of files and redirects, or NULL */
    uint16_t status;                      /* redirect, respond */
    struct template text;                 /* URL of redirect, body of respond */
    enum template_place text_place;       /* how its values are made safe */
    bool text_has_query;                  /* the URL has one: the request's is not appended */
    struct str content_type;              /* of respond */
    struct where where;
};

enum pattern_kind { PATTERN_EXACT, PATTERN_PREFIX, PATTERN_REGEX };

struct route {
    struct site *site;
    struct str pattern; /* as written */
    enum pattern_kind kind;
    struct str path; /* decoded; of a prefix with its last '/', without the star */
    struct regex *regex;
    struct condition *conditions;
    size_t condition_count;
    struct target target;
    bool strip;
    struct regex *rewrite_regex; /* `rewrite ~ REGEX PATH` */
    struct template rewrite;     /* no pieces: none */
    const struct route_conf *conf;
    uint32_t order;  /* in the site's file order */
    uint32_t series; /* its number in observe/metrics.h, written before any loop has it; 0: none */
    struct where where;
};

/* ---- sites ---- */

/* A text a site was made from besides its own lines: the site may be shared while it is the same.
 */
struct site_input {
    unsigned kind; /* enum source_kind */
    struct str name;
    uint64_t hash; /* of the bytes, or of the failure */
};

struct log_target {
    uint64_t id;           /* hash_stable(1, path), never 0 */
    struct str path;       /* "stderr", "syslog", or a file's absolute path */
    uint64_t rotate_bytes; /* 0: never */
    unsigned keep;
};

enum plain_http { PLAIN_REDIRECT, PLAIN_SERVE, PLAIN_REFUSE };

struct site {
    struct part part;
    struct str name;   /* its first host, for records */
    uint32_t series;   /* as of a route: requests that reached none */
    struct str *hosts; /* lower case, "*" the catch-all, "*.x" a wildcard */
    size_t host_count;
    uint64_t listeners; /* bit set of snapshot.listeners it is on */
    bool tls;
    struct tls_cert **certs; /* referenced by the part; in order of preference */
    size_t cert_count;
    struct where tls_where; /* of the line that names them */
    uint8_t
        tls_id[32];  /* of its TLS settings: tickets are bound to it; equal ids may share (421) */
    uint64_t hsts_s; /* 0: off */
    enum plain_http plain_http;
    uint16_t redirect_port; /* 443 is left out of the Location */
    struct route *routes;   /* in file order */
    size_t route_count;
    struct router *router;         /* built by router_build() */
    const struct route_conf *conf; /* for answers before a route is known */
    struct site_input *inputs;
    size_t input_count;
    struct log_target *logs; /* that its routes write to */
    size_t log_count;
    struct str *file_roots; /* of `files`, real paths */
    size_t file_root_count;
    struct where where;
};

struct listener {
    struct addr addr; /* wildcard address: ip all zero; `any_family` */
    bool any_family;  /* dual-stack [::] */
    bool tls;
    struct str text; /* as written, for records */
    struct where where;
    struct map hosts;       /* exact name -> struct site */
    struct map wildcards;   /* ".example.com" -> struct site */
    struct site *catch_all; /* `site *`, or NULL */
    struct site *first;     /* the first site on this listener, or NULL */
};

/* Where counters are served to Prometheus. */
struct metrics_conf {
    struct addr addr; /* family ADDR_NONE: nowhere */
    bool any_family;
    const struct access_list *access; /* NULL: whoever reaches the address */
    struct where where;
};

struct snapshot {
    struct arena *arena;
    uint64_t generation;
    struct site **sites;
    size_t site_count;
    struct map by_hash; /* a part's hash -> struct site: what a reload can share */
    struct map certs;   /* hash of chain and key -> struct tls_cert, referenced */
    struct map trusts;  /* hash of the PEM text -> struct tls_trust, referenced */
    struct listener *listeners;
    size_t listener_count; /* at most 64 */
    struct metrics_conf metrics;
    struct log_target *logs;
    size_t log_count; /* at most 64 */
    struct cidr *trusted_proxies;
    size_t trusted_count;
    struct head_limits head_limits;
    uint32_t handshake_ms, head_ms, idle_ms;
    uint32_t drain_ms;
    unsigned workers; /* 0: auto */
    struct str user, state_dir, control_path, control_group;
    bool sandbox_off;
    /* What the sites need of the sandbox. Only of those built anew: right where none are shared, in
     * the loader. */
    bool uses_unix, uses_regex;
    struct str *file_roots; /* of `files`, real paths */
    size_t file_root_count;
    struct str resolv_conf, hosts_file; /* texts */
    /* Lower-case names that some `header request set|add` line writes: no client may send them. The
     * values mean nothing. Filled by snapshot_link(). */
    struct map request_names;
    struct snapshot *next; /* among the retired */
    atomic_uint pins[SNAPSHOT_THREADS_MAX];
};

/* ---- use ---- */

static inline void part_pin(struct part *part, unsigned thread)
{
    atomic_fetch_add_explicit(&part->pins[thread], 1, memory_order_relaxed);
}
static inline void part_unpin(struct part *part, unsigned thread)
{
    atomic_fetch_sub_explicit(&part->pins[thread], 1, memory_order_release);
}

/* A part of a new snapshot that is the same as one of the old: hold it instead of building it. */
struct site *snapshot_find_site(const struct snapshot *old, uint64_t hash);
void snapshot_hold(struct site *site);
/* Fills the listeners' tables of names, `by_hash` and `request_names` from the sites. False at the
 * arena's cap. */
bool snapshot_link(struct snapshot *snapshot) __attribute__((warn_unused_result));

/* The site of a host (lower case, no port) on a listener, or NULL. */
struct site *listener_site(const struct listener *listener, struct str host);

/*
 * The site for heads that do not parse, and for TLS without a name: the one of the name in TLS, the
 * one named by the local address, the catch-all, the first; NULL on a listener without sites.
 */
struct site *listener_default_site(const struct listener *listener, struct str sni,
                                   const struct addr *local);

/* Gives a snapshot up: it is freed, with the parts nobody else holds, once nobody uses it. */
struct retired {
    struct snapshot *snapshots;
    struct part *parts;
};
void snapshot_retire(struct retired *retired, struct snapshot *snapshot);
/* `acknowledged`: the oldest generation that a thread may still pin anew. Frees what it can. */
void snapshot_sweep(struct retired *retired, uint64_t acknowledged, unsigned threads);
/* Frees a snapshot that was never served by, or whose threads have ended. NULL is allowed. */
void snapshot_end(struct snapshot *snapshot);

#endif
