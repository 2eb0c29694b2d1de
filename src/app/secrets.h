/*
 * The secrets that session tickets are made under: random, made by the supervisor so that they
 * survive a crash of the worker, a new one each day; the one before still opens its tickets.
 */
#ifndef PC_APP_SECRETS_H
#define PC_APP_SECRETS_H

#include "app/channel.h"

#define SECRETS_EPOCH_MS ((uint64_t)24 * 3600 * 1000)

struct secrets {
    uint8_t current[TICKET_SECRET_BYTES], previous[TICKET_SECRET_BYTES];
    uint64_t epoch; /* 0: there is no previous one yet */
    uint64_t next_ms;
};

void secrets_init(struct secrets *secrets, uint64_t now_ms);
/* True when a new epoch has begun. */
bool secrets_turn(struct secrets *secrets, uint64_t now_ms);
/* Those of an instance that we follow, good until `next_ms`. */
void secrets_adopt(struct secrets *secrets, const uint8_t current[TICKET_SECRET_BYTES],
                   const uint8_t previous[TICKET_SECRET_BYTES], uint64_t epoch, uint64_t next_ms);
void secrets_fini(struct secrets *secrets);

#endif
