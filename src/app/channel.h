/*
 * What supervisor, loader and worker say to each other: a closed list of letters of fixed size over
 * a SOCK_SEQPACKET pair, some with descriptors (SCM_RIGHTS). The receiver takes nothing on trust:
 * kind, sender, size, number of descriptors, ranges and the ends of texts are checked by
 * letter_parse(), which is pure. What a worker may ask names no path and no command.
 *
 * Sending may block for CHANNEL_SEND_MS while the other side is behind; after that it is stuck and
 * the call fails. Receiving never blocks.
 */
#ifndef PC_APP_CHANNEL_H
#define PC_APP_CHANNEL_H

#include "net/addr.h"

enum letter_kind {
    LETTER_NONE,
    /* From the loader: one load. */
    LETTER_TEXT,     /* part of the errors, warnings and notices, rendered */
    LETTER_SETTINGS, /* struct letter_settings */
    LETTER_ADDRESS,  /* an address to listen on */
    LETTER_LOG_FILE, /* the next log file, in order of their index */
    LETTER_ROOT,     /* a folder that the worker may read below */
    LETTER_WATCH,    /* a file that the load read */
    LETTER_LOADED,   /* the end; with `ok` come the pack of sources and that of keys */
    /* To the worker. */
    LETTER_START,    /* how many threads; first of all */
    LETTER_SECRETS,  /* of the session tickets */
    LETTER_LOG,      /* the log that a slot stands for, with its descriptor */
    LETTER_LOAD,     /* compile these sources (two descriptors), then serve by them */
    LETTER_LISTEN,   /* accept from this socket, on this thread */
    LETTER_UNLISTEN, /* the address has left the file */
    LETTER_DRAIN,    /* finish what is open, then end */
    LETTER_ASK,      /* for its status */
    LETTER_HISTORY,  /* what became of loads and workers so far */
    LETTER_QUERY,    /* a client of the control socket with a question: its connection */
    /* From the worker. */
    LETTER_LOCKED,     /* struct letter_locks; first of all, and once */
    LETTER_READY,      /* every thread serves by this generation */
    LETTER_REFUSED,    /* this generation could not be compiled; LETTER_TEXT came before */
    LETTER_LOG_WANTED, /* the log of this slot has reached its size, or is gone */
    LETTER_COUNTERS,   /* the answer to LETTER_ASK begins */
    LETTER_CERT,       /* a certificate that is served */
    LETTER_ANSWERED,   /* the answer to LETTER_ASK is complete */
    /* To the worker. */
    LETTER_ORIGIN, /* an origin is drained, or is so no more */
    LETTER_KINDS,
};

enum channel_side { SIDE_SUPERVISOR, SIDE_LOADER, SIDE_WORKER };

enum {
    LETTER_FDS_MAX = 2,
    LETTER_TEXT_MAX = 2000,
    LETTER_PATH_MAX = 1024, /* of files; longer ones are refused when they are loaded */
    LETTER_NAME_MAX = 256,
    LISTENERS_MAX = 64,            /* as many as a site's bit set has bits */
    ADDRS_MAX = LISTENERS_MAX + 1, /* that of `metrics` too */
    LOG_FILES_MAX = 64,
    ROOTS_MAX = 128, /* of `files`; more are refused when they are loaded */
    THREADS_MAX = 64,
    TICKET_SECRET_BYTES = 32,
};
/* A worker that takes no letter for this long stands still. */
#define CHANNEL_SEND_MS 2000

/* An address without pointers in it. */
struct letter_addr {
    uint8_t family; /* ADDR_IP4 or ADDR_IP6 */
    uint8_t any_family;
    uint8_t tls;
    uint8_t metrics; /* for `metrics`, not for sites */
    uint16_t port;
    uint16_t zero2;
    uint32_t scope;
    uint8_t ip[16];
};

/* What the locks of the worker (sandbox.h) must leave open for a configuration. */
enum sandbox_need {
    SANDBOX_NEED_UNIX = 1, /* origins on UNIX sockets */
    SANDBOX_NEED_JIT = 2,  /* regexes, which PCRE2 makes into code */
};

/* A folder that the worker may read below, by a path without links. */
struct letter_root {
    uint64_t device, inode; /* as the loader saw it: another folder since is another root */
    char path[LETTER_PATH_MAX];
};

/* The worker's own word on its locks. The supervisor looks at /proc besides (locks.h). */
struct letter_locks {
    uint8_t wanted; /* `sandbox on`, and a build that can */
    uint8_t seccomp;
    uint16_t zero;
    uint32_t landlock_abi; /* 0: it does not hold */
    char missing[LETTER_NAME_MAX];
};

struct letter_settings {
    uint32_t workers; /* 0: as many as there are cores */
    uint32_t drain_ms;
    uint32_t uid, gid;    /* of the worker, when we were started as root */
    uint32_t control_gid; /* who may use the control socket; UINT32_MAX: no group */
    uint32_t sandbox;     /* 0: off */
    uint32_t needs;       /* enum sandbox_need */
    char user[64];        /* the name of `uid` */
    char state_dir[LETTER_PATH_MAX];
    char control_path[108]; /* sun_path of a UNIX socket */
};

struct letter_log_file {
    uint64_t id;           /* snapshot.h: log_target.id */
    uint64_t rotate_bytes; /* 0: never */
    uint32_t index;
    uint32_t keep;
    char path[LETTER_PATH_MAX]; /* "stderr", "syslog" or absolute */
};

struct letter_load {
    uint64_t generation;
    char path[LETTER_PATH_MAX]; /* the name of the configuration among the sources */
};

struct letter_counters {
    uint64_t generation, accepted, sessions, exchanges, requests, refused;
    uint64_t handshakes, handshakes_failed, bytes_in, bytes_out, log_dropped;
};

/* Of the instance since its start, for `metrics`. */
struct letter_history {
    uint64_t served_wall_us; /* since when what is served is */
    uint64_t reloads_served, reloads_refused;
    uint64_t refused_last; /* 1: the last load was refused */
    uint64_t worker_starts;
};

struct letter_cert {
    int64_t not_after; /* seconds since 1970 */
    char names[LETTER_NAME_MAX];
};

struct letter {
    uint32_t kind;
    uint32_t zero;
    union {
        struct {
            uint32_t level; /* enum diag_level */
            uint32_t len;
            char bytes[LETTER_TEXT_MAX];
        } text;
        struct letter_settings settings;
        struct letter_addr address;
        struct letter_log_file log_file;
        struct letter_root root;
        char watch[LETTER_PATH_MAX];
        struct {
            uint32_t ok;
            uint32_t warnings;
        } loaded;
        uint32_t threads;
        struct {
            uint8_t current[TICKET_SECRET_BYTES], previous[TICKET_SECRET_BYTES];
            uint64_t epoch;
        } secrets;
        struct {
            uint64_t id; /* snapshot.h: log_target.id */
            uint64_t rotate_bytes;
            uint32_t slot;
            uint32_t syslog;            /* 1: each line is one datagram of syslog */
            char path[LETTER_PATH_MAX]; /* for what is said about it; nobody opens it */
        } log;
        uint32_t wanted_slot;
        struct letter_load load;
        struct {
            struct letter_addr addr;
            uint32_t thread;
        } listen;
        struct letter_addr unlisten;
        struct {
            uint32_t deadline_ms; /* 0: at once */
        } drain;
        struct {
            uint32_t drained; /* 1: it gets no new requests */
            char text[LETTER_NAME_MAX];
        } origin;
        struct letter_locks locks;
        uint64_t generation; /* of READY and REFUSED */
        struct letter_history history;
        struct letter_counters counters;
        struct letter_cert cert;
    } u;
};

/* True when these bytes, with so many descriptors, are a letter that this side may send. */
bool letter_parse(const void *bytes, size_t len, unsigned fd_count, enum channel_side from,
                  struct letter *letter) __attribute__((warn_unused_result));
/* What a letter of this kind measures on the wire. */
size_t letter_size(enum letter_kind kind);
void letter_init(struct letter *letter, enum letter_kind kind);

struct letter_addr letter_addr_from(const struct addr *addr, bool any_family, bool tls);
struct addr letter_addr_to(const struct letter_addr *addr);
/* Is every field of it in its range? */
bool letter_addr_fits(const struct letter_addr *addr);
bool letter_addr_eq(const struct letter_addr *a, const struct letter_addr *b);
/* Copies into a field of `size` bytes with its NUL; false when it does not fit or has a NUL in it.
 */
bool letter_set_text(char *field, size_t size, struct str s) __attribute__((warn_unused_result));

/* Two ends, closed on exec; false with errno. */
bool channel_open(int ends[2]) __attribute__((warn_unused_result));
/* `fds` stay the caller's. False when the other side is gone or stuck. */
bool channel_send(int fd, const struct letter *letter, const int *fds, unsigned fd_count)
    __attribute__((warn_unused_result));
/* Text of any length as LETTER_TEXT, cut at the ends of lines where there are some. */
bool channel_send_text(int fd, unsigned level, struct str text) __attribute__((warn_unused_result));

enum channel_result {
    CHANNEL_LETTER,
    CHANNEL_EMPTY, /* nothing waits */
    CHANNEL_GONE,  /* the other side has closed */
    CHANNEL_BAD,   /* it sent what it may not send */
};
/* The descriptors received belong to the caller; those not used are -1. */
enum channel_result channel_receive(int fd, enum channel_side from, struct letter *letter,
                                    int fds[LETTER_FDS_MAX]) __attribute__((warn_unused_result));

#endif
