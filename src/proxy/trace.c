#include "proxy/trace.h"

void trace_passed_over(struct trace *trace, const struct route *route,
                       const struct condition *failed)
{
    if (trace == NULL || trace->route_count++ >= TRACE_MAX)
        return;
    trace->routes[trace->route_count - 1] = (struct trace_route){route, failed};
}

void trace_held_back(struct trace *trace, struct str name, const char *why)
{
    if (trace == NULL || trace->field_count++ >= TRACE_MAX)
        return;
    trace->fields[trace->field_count - 1] = (struct trace_field){name, why};
}

void trace_header(struct trace *trace, const struct header_edit *edit, bool response, uint32_t at)
{
    if (trace == NULL || trace->line_count++ >= TRACE_MAX)
        return;
    trace->lines[trace->line_count - 1] = (struct trace_line){edit, at, response};
}
