/*
 * A change of configuration, from the wish to being served or refused:
 *
 *     change_begin    the loader reads and checks            -> refused with its errors
 *     change_continue sockets, logs, control socket opened   -> refused, what was opened is closed
 *                     the worker compiles, threads use it    -> refused (change_refuse)
 *     change_commit   what is no longer wanted is closed; whoever asked is answered
 *
 * Until the commit nothing that is served is touched. One change is under way at a time; a wish
 * that comes meanwhile is remembered.
 */
#ifndef PC_APP_CHANGE_H
#define PC_APP_CHANGE_H

#include "app/supervisor_state.h"

void change_begin(struct supervisor *s, enum change_reason reason);
/* In PHASE_LOADING: the loader may have said something, or is late. */
void change_continue(struct supervisor *s);
/* In PHASE_TAKING: every thread of the worker serves by it. */
void change_commit(struct supervisor *s);
/*
 * Gives it up. Before anything is served that ends the program: with status 2 for errors in the
 * configuration, 1 for what the system refused.
 */
void change_refuse(struct supervisor *s, int first_status);

/* What a worker needs to serve what is served now. */
struct crew_order change_served_order(const struct supervisor *s);

/* What became of loads and workers, for the one that serves. */
void change_tell(struct supervisor *s);

#endif
