#include "proxy/explain.h"

#include "base/arena.h"
#include "base/clock.h"
#include "files/files.h"
#include "http/h1_write.h"
#include "observe/access_mask.h"
#include "proxy/dry.h"
#include "proxy/edit.h"
#include "proxy/pipeline.h"
#include "upstream/upstream_conf.h"

#include <string.h>

/* A head for an origin, as it is written. */
#define HEAD_BYTES_MAX ((size_t)256 * 1024)
/* Of routes that nearly matched; more would hide the first ones. */
enum { NEAR_MAX = 5 };

/* One run. */
struct explain {
    const struct explain_conf *conf;
    struct report *report;
    struct arena *arena;
    const struct listener *listener;
    struct addr local;
    struct dry *dry;
};

static struct str addr_str(struct explain *e, const struct addr *addr)
{
    struct text text = text_in(e->arena, 128);
    addr_add_text(&text, addr);
    return text_str(&text);
}

/* A target or URL as the log would show it. */
static struct str masked(struct explain *e, struct str target)
{
    struct text text = text_in(e->arena, HEAD_BYTES_MAX);
    access_mask_url(&text, target);
    return text_str(&text);
}

/* ---- name ---- */

static void tell_name(struct explain *e)
{
    const struct explain_conf *c = e->conf;
    struct str name = c->ask->name;
    report_stage(e->report, "name");
    if (c->address_count == 0)
        report_add(e->report, "unresolved", NULL, "%.*s: %.*s", STR_ARG(name),
                   STR_ARG(c->unresolved));
    for (size_t i = 0; i < c->address_count; i++) {
        const struct explain_address *a = &c->addresses[i];
        report_add(e->report, a->ours ? "ours" : "elsewhere", NULL,
                   a->ours ? "%.*s is %.*s, an address of this machine"
                           : "%.*s is %.*s, no address of this machine: who asks there comes here "
                             "only if something passes it on",
                   STR_ARG(name), STR_ARG(addr_str(e, &a->addr)));
    }
}

/* ---- listener ---- */

/* All addresses of its family; [::] takes both. */
static bool takes_all(const struct listener *l)
{
    static const uint8_t zero[16] = {0};
    return memcmp(l->addr.ip, zero, sizeof zero) == 0;
}

static bool takes(const struct listener *l, const struct addr *addr)
{
    return takes_all(l) ? l->any_family || l->addr.family == addr->family
                        : addr_eq_host(&l->addr, addr);
}

/* The listener of that port which the address reaches: one of its own before one for all. */
static const struct listener *listener_at(const struct explain *e, const struct addr *addr)
{
    const struct snapshot *s = e->conf->snapshot;
    const struct listener *all = NULL;
    for (size_t i = 0; i < s->listener_count; i++) {
        const struct listener *l = &s->listeners[i];
        if (l->addr.port != e->conf->ask->port || !takes(l, addr))
            continue;
        if (!takes_all(l))
            return l;
        all = l;
    }
    return all;
}

static const struct listener *listener_with_port(const struct explain *e)
{
    const struct snapshot *s = e->conf->snapshot;
    const struct listener *found = NULL;
    for (size_t i = 0; i < s->listener_count; i++) {
        const struct listener *l = &s->listeners[i];
        if (l->addr.port == e->conf->ask->port && (found == NULL || l->tls == e->conf->ask->tls))
            found = l;
    }
    return found;
}

/* By the first address that is ours; else it is taken that something leads here. */
static void find_listener(struct explain *e)
{
    const struct explain_conf *c = e->conf;
    for (size_t i = 0; i < c->address_count && e->listener == NULL; i++)
        if (c->addresses[i].ours) {
            e->listener = listener_at(e, &c->addresses[i].addr);
            e->local = c->addresses[i].addr;
        }
    if (e->listener == NULL) {
        e->listener = listener_with_port(e);
        if (e->listener == NULL)
            return;
        e->local = c->address_count != 0 ? c->addresses[0].addr : e->listener->addr;
        if (c->address_count != 0)
            report_add(e->report, "taken for granted", NULL,
                       "the connection comes to this listener by another address");
    }
    e->local.port = e->listener->addr.port;
}

/* False when nobody would take the connection. */
static bool tell_listener(struct explain *e)
{
    const struct ask *ask = e->conf->ask;
    report_stage(e->report, "listener");
    find_listener(e);
    if (e->listener == NULL) {
        report_add(e->report, "nobody", NULL, "no listener has port %u: the connection is refused",
                   (unsigned)ask->port);
        return false;
    }
    report_add(e->report, "listener", &e->listener->where, "%.*s", STR_ARG(e->listener->text));
    if (e->listener->tls != ask->tls) {
        report_add(e->report, "nobody", &e->listener->where,
                   e->listener->tls ? "this port speaks HTTPS: plain HTTP gets a 400 in plain text"
                                    : "this port speaks plain HTTP: a TLS handshake gets a 400");
        return false;
    }
    report_add(e->report, "client", NULL, "%.*s%s", STR_ARG(addr_str(e, &e->conf->from)),
               e->conf->from_said ? "" : ", an address of nobody: --from says another");
    return true;
}

/* ---- tls ---- */

static void tell_cert(struct explain *e, const struct tls_cert *cert, bool first)
{
    const struct tls_facts *facts = tls_cert_facts(cert);
    int64_t left_s = facts->chain_not_after - (int64_t)(clock_wall_us() / 1000000);
    struct text text = text_in(e->arena, 4096);
    text_printf(&text, "%s", tls_key_kind_name(facts->kind));
    if (facts->curve != NULL)
        text_printf(&text, " %s", facts->curve);
    else if (facts->bits != 0)
        text_printf(&text, " %u", facts->bits);
    text_printf(&text, ", %s %lld days, until ", left_s < 0 ? "expired since" : "good for",
                (long long)((left_s < 0 ? -left_s : left_s) / 86400));
    clock_add_rfc3339(&text,
                      facts->chain_not_after < 0 ? 0 : (uint64_t)facts->chain_not_after * 1000000);
    text_add_z(&text, ", for");
    for (size_t i = 0; i < facts->name_count; i++)
        text_printf(&text, " %.*s", STR_ARG(facts->names[i]));
    report_add(e->report, first ? "certificate" : "or, for other clients", NULL, "%.*s",
               STR_ARG(text_str(&text)));
}

static bool tell_tls(struct explain *e)
{
    const struct dry *dry = e->dry;
    if (!e->listener->tls)
        return true;
    struct str sni = dry->session.sni;
    report_stage(e->report, "tls");
    if (sni.len != 0)
        report_add(e->report, "name", NULL, "the client asks for %.*s", STR_ARG(sni));
    else
        report_add(e->report, "name", NULL, "none: clients send no address as name");
    if (dry->chosen != TLS_CHOSEN) {
        report_add(e->report, "refused", NULL,
                   dry->chosen == TLS_UNKNOWN_NAME
                       ? "no site with TLS has this name: the handshake ends with unrecognized_name"
                       : "no site of this listener has TLS: the handshake ends with an alert");
        return false;
    }
    const struct site *site = listener_default_site(e->listener, sni, &e->local);
    report_add(e->report, "site", &site->where, "%.*s", STR_ARG(site->name));
    for (size_t i = 0; i < dry->choice.cert_count; i++)
        tell_cert(e, dry->choice.certs[i], i == 0);
    if (sni.len != 0 && dry->choice.cert_count != 0 && !tls_cert_covers(dry->choice.certs[0], sni))
        report_add(e->report, "warning", NULL, "the certificate is not for %.*s: clients refuse it",
                   STR_ARG(sni));
    return true;
}

/* ---- request ---- */

static void tell_decisions(struct explain *e, enum access_stage stage)
{
    const struct access_record *record = &e->dry->x->record;
    for (unsigned i = 0; i < record->decision_count; i++) {
        const struct access_decision *d = &record->decisions[i];
        bool said = str_eq(d->verdict, STR("site")) || str_eq(d->verdict, STR("route"));
        if (d->stage != stage || said) /* those have lines of their own */
            continue;
        char what[64];
        struct text text = text_over(what, sizeof what - 1);
        text_add(&text, d->verdict);
        what[text.len] = '\0';
        report_add(e->report, "", &d->where, "%.*s", STR_ARG(d->why))->what =
            str_dup(e->arena, text_str(&text));
    }
}

static void tell_request(struct explain *e)
{
    const struct exchange *x = e->dry->x;
    const struct head_limits *limits = &e->conf->snapshot->head_limits;
    report_stage(e->report, "request");
    report_add(e->report, "line", NULL, "%.*s %.*s", STR_ARG(e->conf->ask->method),
               STR_ARG(masked(e, e->conf->ask->target)));
    if (x->bad.status != 0) {
        report_add(e->report, "refused", NULL, "the head does not parse: %s", x->bad.why);
        return;
    }
    report_add(e->report, "head", NULL,
               "%u field%s; at most %u, a line of at most %u bytes and %u bytes in all are taken",
               (unsigned)x->message.count, x->message.count == 1 ? "" : "s",
               (unsigned)limits->fields_max, (unsigned)limits->line_bytes_max,
               (unsigned)limits->size_bytes_max);
    if (x->uri.path.len != 0 && !str_eq(x->uri.path, x->uri.raw_path))
        report_add(e->report, "path", NULL, "%.*s, by which everything is decided",
                   STR_ARG(x->uri.path));
    if (x->peer_trusted)
        report_add(e->report, "client", NULL, "%.*s, by the word of a trusted proxy",
                   STR_ARG(addr_str(e, &x->client)));
    else if (message_get(&x->message, HEADER_X_FORWARDED_FOR) != NULL ||
             message_get(&x->message, HEADER_FORWARDED) != NULL)
        report_add(e->report, "client", NULL,
                   "%.*s: what X-Forwarded-For or Forwarded say is not believed, since "
                   "trusted_proxies does not name this address",
                   STR_ARG(addr_str(e, &x->client)));
}

/* ---- route ---- */

static const char *host_kind(const struct exchange *x)
{
    if (x->record.host.len == 0)
        return "the default, since the request names no host";
    for (size_t i = 0; i < x->site->host_count; i++)
        if (str_eq(x->site->hosts[i], x->host.host))
            return "by its exact name";
    for (size_t i = 0; i < x->site->host_count; i++)
        if (str_starts(x->site->hosts[i], STR("*.")) &&
            str_ends(x->host.host, str_skip(x->site->hosts[i], 1)))
            return "by its wildcard";
    for (size_t i = 0; i < x->site->host_count; i++)
        if (str_eq(x->site->hosts[i], STR("*")))
            return "as the site for every other name";
    return "the default, since no site has this name"; /* answers what is refused */
}

static void add_condition(struct text *text, const struct condition *c)
{
    static const char *const kinds[] = {
        [CONDITION_METHOD] = "method", [CONDITION_HEADER] = "header", [CONDITION_QUERY] = "query",
        [CONDITION_COOKIE] = "cookie", [CONDITION_FROM] = "from",     [CONDITION_PATH] = "path ~",
    };
    text_printf(text, "when %s%s", c->negated ? "not " : "", kinds[c->kind]);
    if (c->name.len != 0)
        text_printf(text, " %.*s", STR_ARG(c->name));
    for (size_t i = 0; i < c->value_count; i++)
        text_printf(text, " %.*s", STR_ARG(c->values[i]));
    for (size_t i = 0; i < c->net_count; i++) {
        text_add_byte(text, ' ');
        addr_add_text(text, &c->nets[i].net);
        text_printf(text, "/%u", (unsigned)c->nets[i].bits);
    }
}

static void tell_passed_over(struct explain *e)
{
    const struct trace *trace = &e->dry->trace;
    for (uint32_t i = 0; i < trace->route_count && i < TRACE_MAX; i++) {
        const struct trace_route *t = &trace->routes[i];
        struct text text = text_in(e->arena, 1024);
        add_condition(&text, t->failed);
        report_add(e->report, "passed over", &t->failed->where, "%.*s: '%.*s' does not hold",
                   STR_ARG(t->route->pattern), STR_ARG(text_str(&text)));
    }
}

/* The route of a path that differs in its last slash, where that is another. */
static void tell_other_slash(struct explain *e)
{
    const struct exchange *x = e->dry->x;
    struct str path = x->uri.path;
    struct route_match match;
    if (path.len < 2)
        return;
    bool has = str_ends(path, STR("/"));
    struct str other =
        has ? str_sub(path, 0, path.len - 1) : str_printf(e->arena, "%.*s/", STR_ARG(path));
    const struct route_query query = {
        .request = &x->message, .path = other, .query = x->uri.query, .client = &x->client};
    if (router_find(x->site->router, &query, &match) && match.route != x->match.route &&
        !match.to_slash)
        report_add(e->report, "nearly", &match.route->where,
                   "%.*s would take %.*s, %s a last slash", STR_ARG(match.route->pattern),
                   STR_ARG(other), has ? "without" : "with");
}

static bool differs_in_case(const struct route *route, struct str path)
{
    if (route->kind == PATTERN_EXACT)
        return str_eq_nocase(route->path, path) && !str_eq(route->path, path);
    return route->kind == PATTERN_PREFIX && str_starts_nocase(path, route->path) &&
           !str_starts(path, route->path);
}

static void tell_other_case(struct explain *e)
{
    const struct site *site = e->dry->x->site;
    unsigned told = 0;
    for (size_t i = 0; i < site->route_count && told < NEAR_MAX; i++)
        if (differs_in_case(&site->routes[i], e->dry->x->uri.path)) {
            report_add(e->report, "nearly", &site->routes[i].where,
                       "%.*s differs in capital and small letters, which count",
                       STR_ARG(site->routes[i].pattern));
            told++;
        }
}

static void tell_route(struct explain *e)
{
    const struct exchange *x = e->dry->x;
    report_stage(e->report, "route");
    if (x->site != NULL)
        report_add(e->report, "site", &x->site->where, "%.*s, %s", STR_ARG(x->site->name),
                   host_kind(x));
    if (x->uri.path.len == 0)
        return;
    tell_passed_over(e);
    tell_decisions(e, ACCESS_STAGE_ROUTE);
    static const char *const kinds[] = {[PATTERN_EXACT] = "the exact path",
                                        [PATTERN_PREFIX] = "the longest prefix that fits",
                                        [PATTERN_REGEX] = "the first expression that fits"};
    if (x->match.route != NULL)
        report_add(e->report, "matched", &x->match.route->where, "%.*s, %s",
                   STR_ARG(x->match.route->pattern), kinds[x->match.route->kind]);
    else
        report_add(e->report, "matched", NULL, "no route");
    if (x->match.route == NULL || x->match.route->kind != PATTERN_EXACT)
        tell_other_slash(e);
    tell_other_case(e);
}

/* ---- admit ---- */

static void tell_admit(struct explain *e)
{
    const struct exchange *x = e->dry->x;
    bool lists = false;
    report_stage(e->report, "admit");
    tell_decisions(e, ACCESS_STAGE_ADMIT);
    for (size_t i = 0; i < 3; i++)
        lists = lists || x->conf->access[i] != NULL;
    if (!lists && pipeline_admitted(x))
        report_add(e->report, "no lists", NULL, "no allow or deny line is in force: all may come");
    bool too_large = str_eq(x->record.refused_by, STR("body limit"));
    unsigned long long bytes =
        x->message.framing == BODY_LENGTH ? x->message.content_length : e->conf->ask->body_bytes;
    if (!pipeline_admitted(x) && !too_large)
        return;
    if (x->conf->body_bytes_max == UINT64_MAX)
        report_add(e->report, "body", NULL, "%llu bytes; there is no limit", bytes);
    else
        report_add(e->report, "body", NULL, "%llu bytes; at most %llu are taken", bytes,
                   (unsigned long long)x->conf->body_bytes_max);
}

/* ---- serve ---- */

static void tell_serve(struct explain *e)
{
    static const char *const names[] = {[ACTION_FORWARD] = "an origin",
                                        [ACTION_FILES] = "files",
                                        [ACTION_REDIRECT] = "a redirect",
                                        [ACTION_REDIRECTS] = "a file of redirects",
                                        [ACTION_RESPOND] = "a text of its own"};
    const struct exchange *x = e->dry->x;
    const struct trace *trace = &e->dry->trace;
    report_stage(e->report, "serve");
    for (const struct target *t = &x->match.route->target; t != NULL; t = t->otherwise) {
        report_add(e->report, t == x->target ? "target" : "not here", &t->where, "%s",
                   names[t->action]);
        if (t->action == ACTION_FILES && trace->file.len != 0 && t == x->target)
            report_add(e->report, "file", NULL, "%.*s%.*s%s", STR_ARG(t->files->root),
                       STR_ARG(trace->file), trace->fallback ? ", the fallback" : "");
        else if (t->action == ACTION_FILES)
            report_add(e->report, "file", NULL, "none below %.*s", STR_ARG(t->files->root));
        if (t == x->target)
            break;
    }
}

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
                       STR_ARG(masked(e, x->upstream_target)));
        else
            tell_written(e, &x->upstream_head, line, &from);
    }
}

static void tell_prepare(struct explain *e)
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

/* ---- origin ---- */

static void tell_origins(struct explain *e)
{
    struct exchange *x = e->dry->x;
    const struct upstream_conf *upstream = x->target->upstream;
    int chosen = -1;
    report_stage(e->report, "origin");
    if (e->conf->origins != NULL) {
        chosen = e->conf->origins(e->conf->user, upstream, e->report);
    } else {
        for (unsigned i = 0; i < upstream->origin_count; i++)
            report_add(e->report, "origin", &upstream->origins[i].where, "%.*s",
                       STR_ARG(upstream->origins[i].text));
        report_add(e->report, "state", NULL,
                   "not known: no running instance was asked (without -c one is)");
        chosen = upstream->origin_count == 1 ? 0 : -1;
    }
    if (chosen >= 0) {
        e->report->origin = upstream->origins[chosen].text;
        edit_host(x, (unsigned)chosen);
    }
}

/* ---- answer ---- */

static void tell_own_answer(struct explain *e)
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

static void tell_origins_answer(struct explain *e)
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

/* ---- all of it ---- */

static void note_outcome(struct explain *e)
{
    struct report *r = e->report;
    const struct exchange *x = e->dry->x;
    const struct access_record *record = &x->record;
    r->forwarded = e->dry->verdict == VERDICT_NEXT;
    r->status = r->forwarded ? 0 : x->answer.status;
    r->site = record->site;
    r->route = record->route;
    r->route_at = record->route_where;
    if (r->forwarded)
        return;
    r->refused_by = record->refused_by;
    r->refused_why = record->refused_why;
    r->refused_at = record->refused_at;
    r->layer = access_layer_name((enum access_layer)record->refused_layer);
    r->location = masked(e, message_value(&x->answer, HEADER_LOCATION));
}

static void tell_refusal(struct explain *e)
{
    const struct access_record *record = &e->dry->x->record;
    if (record->refused_layer != ACCESS_NOT_REFUSED)
        report_add(e->report, "refused", &record->refused_at, "%.*s: %.*s",
                   STR_ARG(record->refused_by), STR_ARG(record->refused_why));
}

static void tell_exchange(struct explain *e)
{
    const struct exchange *x = e->dry->x;
    bool forwarded = e->dry->verdict == VERDICT_NEXT;
    bool admitted = pipeline_admitted(x);
    tell_request(e);
    if (x->bad.status == 0)
        tell_route(e);
    if (x->uri.path.len != 0 && x->conf != NULL)
        tell_admit(e);
    if (admitted)
        tell_serve(e);
    if (forwarded) {
        tell_origins(e);
        tell_prepare(e);
        tell_origins_answer(e);
    } else if (e->dry->verdict == VERDICT_ANSWER) {
        tell_refusal(e);
        tell_own_answer(e);
    }
    note_outcome(e);
}

static bool run_dry(struct explain *e)
{
    const struct explain_conf *c = e->conf;
    struct dry_request request = {.snapshot = c->snapshot,
                                  .listener = e->listener,
                                  .peer = c->from,
                                  .local = e->local,
                                  .sni = ask_sni(c->ask),
                                  .head = ask_head(e->arena, c->ask),
                                  .body_bytes = c->ask->body_bytes};
    e->dry = request.head.at ? dry_run(e->arena, &request) : NULL;
    return e->dry != NULL;
}

/* The strings of the exchange end with it: they were copied into the report as they were told, but
 * for those of the outcome. */
static void keep_outcome(struct report *r)
{
    struct str *all[] = {&r->refused_by, &r->refused_why,     &r->layer,
                         &r->site,       &r->route,           &r->location,
                         &r->origin,     &r->refused_at.file, &r->route_at.file};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        *all[i] = str_dup(r->arena, *all[i]);
}

bool explain_run(struct arena *arena, const struct explain_conf *conf, struct report *report)
{
    struct explain e = {.conf = conf, .report = report, .arena = arena};
    report_init(report, arena);
    tell_name(&e);
    if (!tell_listener(&e))
        return true;
    if (!run_dry(&e))
        return false;
    if (tell_tls(&e))
        tell_exchange(&e);
    keep_outcome(report);
    dry_end(e.dry);
    return true;
}
