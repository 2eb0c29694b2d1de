/*
 * What the operator is told of names whose answers change for the worse: once when the DNS fails
 * for a name that had resolved, once when it says that there is no such name any more, and once
 * when the name resolves again. Names that never resolved are another's to tell (they are part of a
 * configuration that is new). Not for use from several threads.
 */
#ifndef PC_NET_NAME_NOTICE_H
#define PC_NET_NAME_NOTICE_H

#include "base/str.h"

struct name_notice;

/* Names come from configurations; of more than these nothing is told. */
enum { NAME_NOTICE_MAX = 4096 };

struct name_notices {
    struct name_notice *names;
    unsigned count;
};

void name_notices_fini(struct name_notices *notices);
void name_found(struct name_notices *notices, struct str name);
/* `gone`: the DNS vouches for it. */
void name_failed(struct name_notices *notices, struct str name, const char *why, bool gone);

#endif
