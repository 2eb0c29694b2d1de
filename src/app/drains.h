/*
 * The origins that the operator has taken out of service (`portcullis drain`), by their text in the
 * configuration. The supervisor keeps them, so that they outlive reloads and workers; each worker
 * is told of all of them before it serves.
 */
#ifndef PC_APP_DRAINS_H
#define PC_APP_DRAINS_H

#include "app/channel.h"

/* As many as a worker remembers (ORIGIN_DRAINS_MAX). */
enum { DRAINS_MAX = 256 };

struct drains {
    char texts[DRAINS_MAX][LETTER_NAME_MAX];
    unsigned count;
};

enum drains_result {
    DRAINS_DONE,
    DRAINS_ALREADY, /* it was drained, or was not */
    DRAINS_FULL,
    DRAINS_BAD, /* empty, too long, or with bytes that no origin has */
};

enum drains_result drains_set(struct drains *drains, struct str text, bool on);
/* What a worker is told: 0 <= i < count. */
struct letter drains_letter(const struct drains *drains, unsigned i);
struct letter drains_letter_of(struct str text, bool on);

#endif
