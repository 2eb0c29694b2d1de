/*
 * What the request path tells an explanation beside its decisions: routes whose pattern fitted and
 * whose `when` did not hold, received fields that do not go on and why, which `header` line made
 * which field, which file was found. In service there is no trace, and each place that would tell
 * something looks at one pointer.
 *
 * Strings are borrowed from the exchange. What is beyond TRACE_MAX of a kind is only counted.
 */
#ifndef PC_PROXY_TRACE_H
#define PC_PROXY_TRACE_H

#include "base/str.h"

#include <stdint.h>

struct condition;
struct header_edit;
struct route;

/* A head has at most some hundred fields; of more routes than this nobody reads. */
enum { TRACE_MAX = 128 };

struct trace_route {
    const struct route *route;
    const struct condition *failed;
};

struct trace_field {
    struct str name;
    const char *why;
};

struct trace_line {
    const struct header_edit *edit;
    uint32_t at; /* of the field it made, in the edited message; of `remove` without meaning */
    bool response;
};

struct trace {
    struct trace_route routes[TRACE_MAX];
    struct trace_field fields[TRACE_MAX];
    struct trace_line lines[TRACE_MAX];
    uint32_t route_count, field_count, line_count; /* may be above TRACE_MAX */
    struct str file; /* below the root of `files`; empty: none was found */
    bool fallback;   /* it is the one of `fallback` */
};

/* All take NULL, and do nothing then. */
void trace_passed_over(struct trace *trace, const struct route *route,
                       const struct condition *failed);
void trace_held_back(struct trace *trace, struct str name, const char *why);
void trace_header(struct trace *trace, const struct header_edit *edit, bool response, uint32_t at);

#endif
