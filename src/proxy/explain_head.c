#include "proxy/explain_head.h"

#include "base/arena.h"
#include "http/h1_write.h"
#include "proxy/explain_state.h"

#include <string.h>

/* A head for an origin, as it is written. */
#define HEAD_BYTES_MAX ((size_t)256 * 1024)

/* ---- prepare ---- */

static const struct trace_line *line_of(const struct trace *trace, bool response, uint32_t at)
{
    for (uint32_t i = 0; i < trace->line_count && i < TRACE_MAX; i++)
        if (trace->lines[i].response == response && trace->lines[i].at == at &&
            trace->lines[i].edit->op != HEADER_REMOVE)
            return &trace->lines[i];
    return NULL;
}

/* Who put a field there. */
static void tell_field(struct explain *e, const struct message *m, uint32_t at, bool response,
                       struct str value)
{
    const struct field *field = &m->fields[at];
    const struct trace_line *line = line_of(&e->dry->trace, response, at);
    struct str by = line != NULL                 ? STR("header line")
                    : field->flags & FIELD_ADDED ? STR("portcullis")
                                                 : STR("client");
    report_header(e->report, "field", field->name, value, by, line ? &line->edit->where : NULL);
}

/* A line as it was written, by the field it was made of; those that have none belong to framing. */
static void tell_written(struct explain *e, const struct message *head, struct str line,
                         uint32_t *from)
{
    size_t colon = str_find_byte(line, ':');
    struct str name = str_sub(line, 0, colon), value = str_trim(str_skip(line, colon + 1));
    for (uint32_t at = *from; at < head->count; at++) {
        const struct field *field = &head->fields[at];
        if (field->flags & FIELD_REMOVED || !str_eq(field->value, value) ||
            !str_eq_nocase(field->name, name))
            continue;
        tell_field(e, head, at, false, value);
        *from = at + 1;
        return;
    }
    report_header(e->report, "field", name, value, STR("framing"), NULL);
}

static void tell_head(struct explain *e)
{
    struct exchange *x = e->dry->x;
    struct text text = text_in(e->arena, HEAD_BYTES_MAX);
    if (!h1_write_request(&text, &x->upstream_head, x->upstream_target)) {
        report_add(e->report, "refused", NULL, "the request for the origin must not be written");
        return;
    }
    struct str rest = text_str(&text), line;
    uint32_t from = 0;
    for (bool first = true; str_split(&rest, '\n', &line) && line.len > 1; first = false) {
        line.len--; /* its CR */
        if (first)
            report_add(e->report, "line", NULL, "%.*s %.*s", STR_ARG(x->message.method_text),
                       STR_ARG(explain_masked(e, x->upstream_target)));
        else
            tell_written(e, &x->upstream_head, line, &from);
    }
}

void explain_prepare(struct explain *e)
{
    const struct exchange *x = e->dry->x;
    const struct trace *trace = &e->dry->trace;
    report_stage(e->report, "prepare");
    const struct route *route = x->match.route;
    if (route->strip || route->rewrite.count != 0)
        report_add(e->report, route->strip ? "stripped" : "rewritten", &route->where,
                   "%.*s becomes %.*s", STR_ARG(x->uri.raw_path),
                   STR_ARG(str_sub(x->upstream_target, 0, str_find_byte(x->upstream_target, '?'))));
    tell_head(e);
    for (uint32_t i = 0; i < trace->field_count && i < TRACE_MAX; i++)
        report_add(e->report, "left out", NULL, "%.*s: %s", STR_ARG(trace->fields[i].name),
                   trace->fields[i].why);
    for (uint32_t i = 0; i < trace->line_count && i < TRACE_MAX; i++)
        if (!trace->lines[i].response && trace->lines[i].edit->op == HEADER_REMOVE)
            report_add(e->report, "removed", &trace->lines[i].edit->where, "%.*s",
                       STR_ARG(trace->lines[i].edit->name));
    if (x->websocket_asked)
        report_add(e->report, "websocket", NULL, "the connection would become a tunnel");
}

/* ---- answer ---- */

void explain_own_answer(struct explain *e)
{
    struct exchange *x = e->dry->x;
    dry_answer(e->dry);
    report_stage(e->report, "answer");
    report_add(e->report, "status", NULL, "%u %.*s", (unsigned)x->answer.status,
               STR_ARG(status_reason(x->answer.status)));
    for (uint32_t at = 0; at < x->answer.count; at++)
        if ((x->answer.fields[at].flags & FIELD_REMOVED) == 0)
            tell_field(e, &x->answer, at, true, x->answer.fields[at].value);
}

/* What origins are known to send of what is edited. */
static bool add_samples(struct exchange *x, struct message *sample)
{
    message_init(sample, x->arena);
    sample->status = 200;
    sample->method = x->message.method;
    sample->version = 11;
    return message_push(sample, STR("Server"), STR("x")) &&
           message_push(sample, STR("X-Powered-By"), STR("x")) &&
           message_push(sample, STR("X-AspNet-Version"), STR("x")) &&
           message_push(sample, STR("Alt-Svc"), STR("x")) &&
           message_push(sample, STR("Location"), STR("/here")) &&
           message_push(sample, STR("Set-Cookie"), STR("name=value; Path=/here")) &&
           message_push(sample, STR("Keep-Alive"), STR("timeout=5"));
}

static void tell_sample(struct explain *e, const struct field *before, const struct field *after)
{
    if (after->flags & FIELD_REMOVED)
        report_add(e->report, "left out", NULL, "%.*s of the origin", STR_ARG(before->name));
    else if (!str_eq(before->value, after->value))
        report_add(e->report, "changed", NULL, "%.*s: %.*s becomes %.*s", STR_ARG(before->name),
                   STR_ARG(before->value), STR_ARG(after->value));
}

void explain_origins_answer(struct explain *e)
{
    struct exchange *x = e->dry->x;
    struct message sample;
    if (!add_samples(x, &sample))
        return;
    uint32_t count = sample.count;
    struct field *before = arena_array(x->arena, count, sizeof *before);
    if (before == NULL)
        return;
    memcpy(before, sample.fields, count * sizeof *before);
    report_stage(e->report, "answer");
    dry_origin_answer(e->dry, &sample);
    for (uint32_t at = 0; at < x->answer.count; at++) {
        if (at < count)
            tell_sample(e, &before[at], &x->answer.fields[at]);
        else if ((x->answer.fields[at].flags & FIELD_REMOVED) == 0)
            tell_field(e, &x->answer, at, true, x->answer.fields[at].value);
    }
    for (uint32_t i = 0; i < e->dry->trace.line_count && i < TRACE_MAX; i++)
        if (e->dry->trace.lines[i].response && e->dry->trace.lines[i].edit->op == HEADER_REMOVE)
            report_add(e->report, "removed", &e->dry->trace.lines[i].edit->where, "%.*s",
                       STR_ARG(e->dry->trace.lines[i].edit->name));
}
