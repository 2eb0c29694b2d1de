/* `listen`, and `on` in sites. */
#ifndef PC_CONFIG_COMPILE_LISTEN_H
#define PC_CONFIG_COMPILE_LISTEN_H

#include "config/compile_state.h"

void compile_listen(struct compile *c, const struct statement *s);
/* `listen 80 443` where the file says nothing. */
void compile_listen_default(struct compile *c);
void compile_listen_on(struct compile *c, const struct statement *s);
/* What an address word means; false after telling why it means nothing. */
bool compile_listen_address(struct compile *c, const struct word *word, struct listener *listener);
/* The listener of the snapshot with this address, or NULL. */
struct listener *compile_listen_same(const struct snapshot *snapshot,
                                     const struct listener *listener);
/* Is there a listener of this kind? */
bool compile_listen_any(const struct snapshot *snapshot, bool tls);

#endif
