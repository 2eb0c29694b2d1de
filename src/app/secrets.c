#include "app/secrets.h"

#include "base/hash.h"

#include <string.h>

void secrets_init(struct secrets *secrets, uint64_t now_ms)
{
    memset(secrets, 0, sizeof *secrets);
    random_bytes(secrets->current, sizeof secrets->current);
    /* Opens no ticket, since none was ever made under it. */
    random_bytes(secrets->previous, sizeof secrets->previous);
    secrets->next_ms = now_ms + SECRETS_EPOCH_MS;
}

bool secrets_turn(struct secrets *secrets, uint64_t now_ms)
{
    if (now_ms < secrets->next_ms)
        return false;
    memcpy(secrets->previous, secrets->current, sizeof secrets->previous);
    random_bytes(secrets->current, sizeof secrets->current);
    secrets->epoch++;
    secrets->next_ms = now_ms + SECRETS_EPOCH_MS;
    return true;
}

void secrets_adopt(struct secrets *secrets, const uint8_t current[TICKET_SECRET_BYTES],
                   const uint8_t previous[TICKET_SECRET_BYTES], uint64_t epoch, uint64_t next_ms)
{
    memcpy(secrets->current, current, sizeof secrets->current);
    memcpy(secrets->previous, previous, sizeof secrets->previous);
    secrets->epoch = epoch;
    secrets->next_ms = next_ms;
}

void secrets_fini(struct secrets *secrets)
{
    explicit_bzero(secrets, sizeof *secrets);
}
