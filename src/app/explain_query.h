/*
 * An `explain` as words, the way it goes to a running worker: a name and a value in turn.
 *
 *     method METHOD   url URL   from IP   body BYTES   header "K: V"   (several)
 *     ours IP, elsewhere IP: what the URL's host resolves to where it was asked (several)
 *     unresolved WHY: it does not
 *
 * The command line makes them, and who has the snapshot answers them: the command itself under -c,
 * else the worker.
 */
#ifndef PC_APP_EXPLAIN_QUERY_H
#define PC_APP_EXPLAIN_QUERY_H

#include "proxy/explain.h"

struct explain_words {
    const struct str *at;
    unsigned count;
};

/* Who tells of origins: explain_conf. */
struct explain_live {
    int (*origins)(void *user, const struct upstream_conf *upstream, uint64_t key,
                   struct report *report);
    void *user;
};

/* The report as JSON; false: `out` holds the reason. */
bool explain_query(struct arena *arena, const struct explain_words *words,
                   struct snapshot *snapshot, const struct explain_live *live, struct text *out)
    __attribute__((warn_unused_result));

#endif
