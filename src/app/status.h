/*
 * What `portcullis status` shows: what the supervisor knows itself and what the worker answered,
 * gathered and written as JSON. The client makes the text for people.
 */
#ifndef PC_APP_STATUS_H
#define PC_APP_STATUS_H

#include "app/crew.h"
#include "app/load_form.h"

struct text;

enum {
    STATUS_CERTS_MAX = 64, /* of more only the number is said */
    STATUS_BYTES_MAX = 65536,
    /* A worker that does not answer in this time is left out. */
    STATUS_MS = 1000,
};

struct status {
    uint64_t started_ms;
    uint64_t generation, served_wall_us; /* of the configuration that is served */
    unsigned warnings;
    struct letter_history history;
    uint64_t refused_wall_us; /* a later one was refused then; 0: none was */
    uint64_t late_ms;         /* an answer of the worker is awaited until then; 0: none is */
    bool answered;
    struct letter_counters counters;
    struct letter_cert certs[STATUS_CERTS_MAX];
    unsigned cert_count; /* may be more than are kept */
};

void status_init(struct status *status, uint64_t now_ms);
void status_set_served(struct status *status, uint64_t generation, unsigned warnings);
void status_set_refused(struct status *status);

/* The worker is asked; its letters follow. */
void status_begin(struct status *status, uint64_t now_ms);
void status_take(struct status *status, const struct letter *letter);
/* True once when the worker let us wait too long. */
bool status_late(struct status *status, uint64_t now_ms);
/* `serving` may be NULL. */
void status_add_json(struct status *status, struct text *out, const struct load_form *form,
                     const struct hand *serving, uint64_t now_ms);

#endif
