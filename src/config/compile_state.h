/*
 * What the files compile_*.c share: the state of turning a tree into a snapshot, the settings in
 * force at a level (file, site, route), and the small services all of them need. Nobody else
 * includes this.
 *
 * Settings are copied from the outer level to the inner one and point to statements of the tree,
 * which lives until the snapshot is done; what goes into a site is copied into the arena of its
 * part.
 */
#ifndef PC_CONFIG_COMPILE_STATE_H
#define PC_CONFIG_COMPILE_STATE_H

#include "base/text.h"
#include "config/compile_hooks.h"
#include "config/directive.h"
#include "config/source.h"
#include "proxy/snapshot.h"

/* Sites and routes of one configuration; a part that needs more is a mistake. */
#define COMPILE_PART_BYTES_MAX ((size_t)1 << 30)

enum level { LEVEL_FILE, LEVEL_SITE, LEVEL_ROUTE, LEVEL_UPSTREAM };

/* Lines of a list, newest first; outer levels are shared. */
struct line {
    const struct line *outer;
    const struct statement *statement;
    unsigned level;
    size_t number; /* how many lines there are, this one included */
};

struct settings {
    /* Timeouts of the file. */
    uint32_t handshake_ms, head_ms, idle_ms;
    /* route_conf */
    uint32_t body_ms, send_ms, answer_ms, stream_ms, quiet_ms;
    uint64_t body_bytes_max;
    bool websocket;
    bool paths_loose;
    enum host_mode host_mode;
    struct str host_name;
    unsigned forwarded;
    const struct statement *log, *compress;
    bool show_query, show_cookies, show_authorization;
    const struct line *headers, *errors;
    const struct line *access[3];              /* lines of the level itself */
    const struct access_list *access_built[3]; /* in the site's arena */
    /* files_conf */
    const struct statement *index, *fallback, *cache;
    bool listing;
    /* upstream_conf */
    const struct statement *balance, *connections;
    const struct statement *verify, *cert, *source, *check; /* verify: or insecure */
    unsigned verify_level;                                  /* where it stands */
    struct str sni;
    uint32_t connect_ms, keepalive_max, keepalive_idle_ms, rest_ms, rest_after, retry_max;
    /* site */
    const struct statement *tls, *http;
    uint64_t hsts_s;
    bool changed; /* something was set at this level */
};

/* Where all lines of a level that name listeners or a host end up. */
struct site_build {
    struct site *site;
    const struct statement *statement;
    struct arena *arena;
    struct settings settings;
    struct route *routes; /* grown by doubling, in scratch, until all are known */
    size_t route_count, route_capacity;
    struct site_input *inputs;
    size_t input_count, input_capacity;
    struct log_target *logs;
    size_t log_count, log_capacity;
    struct str *roots;
    size_t root_count, root_capacity;
    uint64_t on; /* listeners that `on` names */
    bool on_said;
    struct str where_file, where_copy; /* the file name copied last */
    const struct compress_conf *compress_on;
};

/* What stands in the block of a route besides settings. */
struct route_build {
    const struct statement *statement;
    const struct line *whens; /* newest first */
    const struct statement *rewrite, *strip;
    bool has_regex; /* a pattern or the rewrite is an expression: $1 to $9 exist */
    bool has_other; /* a pattern without `*`: a final one in the target stands for nothing */
};

/* An `upstream` block. */
struct named {
    struct named *next;
    struct str name;
    const struct statement *statement;
    struct settings settings;
    const struct line *servers;
    bool host_said, answer_said, stream_said; /* in the block itself */
    bool broken;                              /* its errors are told */
    const struct upstream_conf *conf;         /* of the site it was built for last */
    const struct site *conf_site;             /* NULL: of none, for its errors' sake */
};

struct expectation; /* compile_expect.c */

struct compile {
    struct source_set *sources;
    struct diag *diag;
    const struct snapshot *old;
    const struct compile_hooks *hooks;
    struct arena *scratch; /* tree and settings: until the snapshot is done */
    struct snapshot *snapshot;
    enum level level;
    struct settings *settings; /* of the level */
    struct site_build *build;  /* NULL at the level of the file */
    struct route_build *route; /* NULL outside of routes */
    struct named *named;       /* NULL outside of upstreams */
    struct named *upstreams;
    uint64_t file_hash;                        /* of all statements at top level that are no site */
    struct map hosts;                          /* host -> struct host_use */
    struct map input_hashes;                   /* texts already hashed: pointer's bytes -> hash */
    struct map told;                           /* what is said once */
    struct map folders;                        /* of certificates -> what stands there */
    struct map logs;                           /* path -> where it was named first */
    struct expectation *expects, **expect_end; /* of `expect`, in the order of the file */
    struct str cwd;
    struct site **sites;
    size_t site_count, site_capacity;
    unsigned errors_before; /* in `diag` */
    bool listen_broken;     /* a `listen` line has errors: what follows from it is not told */
    bool out_of_memory;
};

/* ---- services (compile_state.c) ---- */

/* No error so far. */
static inline bool compile_clean(const struct compile *c)
{
    return c->diag->errors == c->errors_before;
}

/* Tells it once; whatever was being made is left out. Answers false. */
bool compile_no_memory(struct compile *c);
/* Room for one more in an array in scratch; NULL without memory. */
void *compile_grow(struct compile *c, void *array, size_t count, size_t *capacity, size_t bytes);

/* Copies into the arena of the site being built (of the snapshot at the level of the file). */
struct arena *compile_arena(struct compile *c);
struct str compile_dup(struct compile *c, struct str s);
struct where compile_where(struct compile *c, const struct statement *statement);

/* The part of a word that an error is about; `at` counts bytes of its text. */
struct diag_pos compile_part(const struct word *word, size_t at, size_t len);

/* A name of a file as an absolute path: relative to the folder of the file that names it. */
struct str compile_path(struct compile *c, const struct word *word);
/* Where a relative name was looked for, as the hint of the error told last. */
void compile_hint_path(struct compile *c, const struct word *word);
/* The text of a file named by a word; NULL after telling why not. Remembered as input of the site.
 */
const struct source *compile_source(struct compile *c, enum source_kind kind,
                                    const struct word *word);
/* The same for a path that was made absolute; nothing is told. */
const struct source *compile_input(struct compile *c, enum source_kind kind, struct str path);
/* Hash of a source's bytes, or of its failure. */
uint64_t compile_source_hash(struct compile *c, const struct source *source);
/* What the system answers, asked on disk and replayed in the worker. */
struct str compile_fact(struct compile *c, struct str question,
                        bool (*ask)(struct str question, struct text *answer));

/* Adds a statement to a list of the current level. */
void compile_add_line(struct compile *c, const struct line **lines,
                      const struct statement *statement);
/* Lines of a list as an array, outer first; NULL when there are none or without memory. */
const struct statement **compile_lines(struct compile *c, const struct line *lines, size_t *count);

/* Says something only once in a load. */
bool compile_told(struct compile *c, struct str what);

/* Hash over everything that stands in a statement, with its lines. */
uint64_t compile_hash(uint64_t seed, const struct statement *statement);

/* Numbers the table has checked. */
uint32_t compile_ms(const struct word *word);
uint64_t compile_number(const struct word *word);
bool compile_is(const struct word *word, const char *keyword);

/* Compiles the statements of a block at the current level but those for which `skip` is true. */
void compile_block(struct compile *c, const struct block *block,
                   bool (*skip)(const struct statement *statement));

#endif
