/*
 * What a supervisor hands to the program that takes its place (`portcullis upgrade`): each
 * listening socket, the control socket, the secrets of the session tickets, each drained origin.
 * One record each over a SOCK_SEQPACKET pair, at most one descriptor with it, in a form that two
 * versions of the program must agree on: HANDOVER_MAGIC changes with it, and an heir that does not
 * know it steps back.
 */
#ifndef PC_APP_HANDOVER_H
#define PC_APP_HANDOVER_H

#include "app/channel.h"

#define HANDOVER_MAGIC "PC-UP-2"

enum handover_kind {
    HANDOVER_NONE,
    HANDOVER_SOCKET,  /* listens already; descriptor */
    HANDOVER_CONTROL, /* descriptor */
    HANDOVER_SECRETS,
    HANDOVER_DRAINED, /* an origin that gets no new requests */
    HANDOVER_END,     /* that was all */
    HANDOVER_KINDS,
};

struct handover {
    char magic[8];
    uint32_t kind;
    uint32_t zero;
    struct letter_addr addr; /* of a socket */
    uint8_t inherited;       /* it came from systemd: one for all threads */
    uint8_t ip4_only;        /* this host had no IPv6 */
    uint16_t zero2;
    uint32_t group;          /* of the control socket; UINT32_MAX: none */
    uint64_t epoch, left_ms; /* of the secrets, and how long they are still good */
    uint8_t current[TICKET_SECRET_BYTES], previous[TICKET_SECRET_BYTES];
    char path[108]; /* of the control socket */
    char origin[LETTER_NAME_MAX];
};

void handover_init(struct handover *handover, enum handover_kind kind);
/* Pure: are these bytes, with so many descriptors, a record? */
bool handover_parse(const void *bytes, size_t len, unsigned fd_count, struct handover *handover)
    __attribute__((warn_unused_result));

/* `fd` stays the caller's; -1: none. Waits for an heir that is behind, CHANNEL_SEND_MS at most. */
bool handover_send(int channel, const struct handover *handover, int fd)
    __attribute__((warn_unused_result));
/* Waits for the next record, CHANNEL_SEND_MS at most. `*fd` is the caller's, or -1. */
bool handover_receive(int channel, struct handover *handover, int *fd)
    __attribute__((warn_unused_result));

#endif
