/*
 * What a worker may say when, and how often. channel.h holds a letter to its form; this holds a
 * worker to the conversation: first that it is locked, one answer to each load, figures only when
 * asked, wishes for its logs no faster than honest ones come. Whoever says anything else has been
 * taken over or is broken, and the supervisor ends it.
 */
#ifndef PC_APP_CONDUCT_H
#define PC_APP_CONDUCT_H

#include "app/channel.h"

enum {
    /* The errors of a load are half a MiB at most, in letters that are cut at the ends of lines. */
    CONDUCT_TEXTS_MAX = 1024,
    /* To one question for the status: counters, certificates (worker_status.c sends 1,000 at most),
     * the end. */
    CONDUCT_ANSWERS_MAX = 1002,
    /* Each log asks once a second or after a rotation. */
    CONDUCT_WANTS_MAX = 1024,
    CONDUCT_WANTS_PER_S = 256,
};

struct conduct {
    bool locked;
    uint64_t ordered, acknowledged; /* generations it was told to serve, and has answered for */
    uint32_t texts_left, answers_left, questions;
    uint32_t wants_left;
    uint64_t wants_ms; /* when `wants_left` was last filled up */
};

void conduct_init(struct conduct *conduct, uint64_t now_ms);
/* It was told to serve this generation. */
void conduct_ordered(struct conduct *conduct, uint64_t generation);
/* It was asked for its status. */
void conduct_asked(struct conduct *conduct);
/* May it say that now? If so, it has said it. */
bool conduct_allows(struct conduct *conduct, const struct letter *letter, uint64_t now_ms)
    __attribute__((warn_unused_result));

#endif
