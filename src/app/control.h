/*
 * The control socket of a running instance: one command a connection, one line ("drain ORIGIN");
 * the answer is a line "ok" or "failed" and then text until the end. Behind the line "ask" comes a
 * question to the worker, which is left in the socket for it (query_desk.h). Only root, whoever
 * started us, and members of the configured group are let in (SO_PEERCRED); never the worker's
 * user, nor a worker's process where all of us are one user: a stranger may have taken it over.
 */
#ifndef PC_APP_CONTROL_H
#define PC_APP_CONTROL_H

#include "base/str.h"

#include <poll.h>
#include <sys/types.h>

enum control_command {
    CONTROL_STATUS,
    CONTROL_RELOAD,
    CONTROL_STOP,
    CONTROL_DRAIN,
    CONTROL_UNDRAIN,
    CONTROL_ASK,
    CONTROL_UPGRADE,
};

enum {
    CONTROL_CLIENTS_MAX = 16,
    CONTROL_LINE_MAX = 320, /* a word and the longest name of an origin */
    /* Between connecting and the whole command, and for taking the answer. */
    CONTROL_MS = 5000,
};

struct control_client {
    int fd; /* -1: free */
    char line[CONTROL_LINE_MAX];
    size_t line_len;
    bool waiting; /* for control_answer() */
    enum control_command command;
    struct str argument; /* of the line; empty where the command has none */
    char *answer;
    size_t answer_len, answer_at;
    uint64_t deadline_ms; /* not while waiting */
};

struct control {
    int fd; /* -1: not open */
    char path[108];
    bool quiet; /* it is another instance's still: nobody is let in, and its name stays */
    uid_t starter, worker;
    gid_t group; /* (gid_t)-1: none */
    struct control_client clients[CONTROL_CLIENTS_MAX];
    void (*on_command)(void *user, struct control_client *client);
    /* A process of ours that may not command, whoever it runs as; NULL: there is none. */
    bool (*is_worker)(void *user, pid_t pid);
    void *user;
};

void control_init(struct control *control,
                  void (*on_command)(void *user, struct control_client *client), void *user);
/* False with the reason: the path is taken by a running instance, or cannot be bound. */
bool control_open(struct control *control, const char *path, gid_t group, char *why,
                  size_t why_bytes) __attribute__((warn_unused_result));
/* Closes and removes the socket; clients still get their answers until control_fini(). */
void control_close(struct control *control);
/* The socket of an instance that we follow (upgrade.h); quiet until told otherwise. */
void control_adopt(struct control *control, int fd, const char *path, gid_t group);
/* Closes it, but its name stays: it is another instance's. */
void control_leave(struct control *control);
void control_fini(struct control *control);

/* Fills in what to wait for; answers how many (at most CONTROL_CLIENTS_MAX + 1). */
unsigned control_poll(const struct control *control, struct pollfd *fds);
/* Accepts, reads, writes, times out, as far as it goes without waiting. */
void control_turn(struct control *control, uint64_t now_ms);

/* The client is somebody else's now, who holds a copy of its descriptor. */
void control_pass(struct control_client *client);
void control_answer(struct control_client *client, bool ok, struct str text, uint64_t now_ms);
/* To everybody who waits for this command. */
void control_answer_all(struct control *control, enum control_command command, bool ok,
                        struct str text, uint64_t now_ms);

/* May this peer command? Pure, for tests. `groups` are the peer's. */
struct control_peer {
    uid_t uid;
    const gid_t *groups;
    size_t group_count;
};
bool control_allows(const struct control *control, const struct control_peer *peer);

#endif
