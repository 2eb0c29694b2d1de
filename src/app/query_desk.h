/*
 * Questions to a running worker: `portcullis why`, `tail`, `drain` and their like. The supervisor
 * takes the client's connection at the control socket, has checked who it is, and passes the
 * connected socket on; from then on the worker's main thread reads the question from it, has it
 * answered (worker_query.h) and writes the answer. The supervisor never sees either.
 *
 * The question: words, each ended by a NUL byte, until the client shuts its side down. The answer:
 * a line "ok" or "failed", then text until the end. Nothing here blocks; a client that does not
 * send or take anything for QUERY_MS is dropped, one too many is told so.
 */
#ifndef PC_APP_QUERY_DESK_H
#define PC_APP_QUERY_DESK_H

#include "base/text.h"

#include <poll.h>

struct arena;
struct query_client;

enum {
    QUERY_CLIENTS_MAX = 16,
    QUERY_WORDS_MAX = 256,
    QUERY_BYTES_MAX = 256 * 1024, /* of all words: an `explain` with a body */
    QUERY_ANSWER_MAX = 8 * 1024 * 1024,
    QUERY_MS = 5000,
    /* Who follows an answer that goes on may take nothing for so long: a terminal that stands. */
    QUERY_STALL_MS = 10 * 60 * 1000,
    /* How often an answer that goes on is looked at. */
    QUERY_FOLLOW_MS = 50,
};

struct query {
    struct str words[QUERY_WORDS_MAX]; /* the first is the question's name */
    unsigned word_count;
    bool by_root;        /* the peer's uid is 0 */
    struct arena *arena; /* ends with the query */
    /* The answer, at most QUERY_ANSWER_MAX bytes that were not sent yet; taken as it grows. */
    struct text out;
    /* An answer that goes on: called every QUERY_FOLLOW_MS while the client listens; false: the
     * answer is complete. NULL: it was complete at once. */
    bool (*more)(struct query *query, void *user);
    void *state; /* of whoever set `more`; to be freed by arena_defer() */
};

struct query_desk {
    struct query_client *clients[QUERY_CLIENTS_MAX];
    /* Answers the question into query->out; false: the text there is the reason. */
    bool (*answer)(struct query *query, void *user);
    void *user;
};

void query_desk_init(struct query_desk *desk, bool (*answer)(struct query *query, void *user),
                     void *user);
void query_desk_fini(struct query_desk *desk);

/* The descriptor is given away. */
void query_desk_take(struct query_desk *desk, int fd, uint64_t now_ms);
/* Fills in what to wait for; answers how many (at most QUERY_CLIENTS_MAX). */
unsigned query_desk_poll(const struct query_desk *desk, struct pollfd *fds);
/* How long to wait at most, in ms; -1: nothing is open. */
int query_desk_timeout(const struct query_desk *desk);
/* Reads, answers, writes, as far as it goes without waiting. */
void query_desk_turn(struct query_desk *desk, uint64_t now_ms);

/* The value of the word pair `name VALUE` behind the question's name, or an empty string. */
struct str query_option(const struct query *query, const char *name);

#endif
