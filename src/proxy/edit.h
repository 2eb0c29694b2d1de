/*
 * What is changed in heads on their way. Towards the origin: hop-by-hop fields go first, then what
 * a client must not say (unless it is a trusted proxy), then ours are added, then the `header`
 * lines of the configuration. Towards the client: hop-by-hop fields and what names the origin go,
 * links get the public prefix back, then ours, then the `header` lines.
 */
#ifndef PC_PROXY_EDIT_H
#define PC_PROXY_EDIT_H

#include "proxy/template.h"

struct exchange;
struct message;

/* Fills x->upstream_head and x->upstream_target. False when the result must not be sent: `*why`. */
bool edit_request(struct exchange *x, const char **why) __attribute__((warn_unused_result));
/* With `host origin` the Host is that of the origin which was chosen. Before each try. */
void edit_host(struct exchange *x, unsigned origin_index);
/* The path after the route's `rewrite`, canonical. False when it breaks the rules: `*why`. */
bool edit_path(struct exchange *x, struct str *path, const char **why)
    __attribute__((warn_unused_result));
/*
 * The fields of a received trailer section that may go on, or NULL when there are none. Towards the
 * origin only names that mean nothing to us: one that an origin merges into its head must not say
 * what the head may not.
 */
const struct message *edit_trailers(struct exchange *x, const struct message *received,
                                    bool to_origin);
/* Edits x->answer, an origin's or ours. */
void edit_answer(struct exchange *x);
/* An origin's 1xx: hop-by-hop fields and what names the origin go; nothing is added. */
void edit_informational(struct exchange *x);

/* The values of the request for templates. */
void edit_values(struct exchange *x, struct template_values *values);

#endif
