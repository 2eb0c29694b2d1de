#include "proxy/explain_route.h"

#include "base/arena.h"
#include "files/files.h"
#include "proxy/explain_state.h"
#include "proxy/pipeline.h"

/* Of routes that nearly matched; more would hide the first ones. */
enum { NEAR_MAX = 5 };

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

void explain_route(struct explain *e)
{
    const struct exchange *x = e->dry->x;
    report_stage(e->report, "route");
    if (x->site != NULL)
        report_add(e->report, "site", &x->site->where, "%.*s, %s", STR_ARG(x->site->name),
                   host_kind(x));
    if (str_eq(x->record.refused_by, STR("no site")))
        explain_other_listener(e, x->host.host);
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

void explain_admit(struct explain *e)
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
        x->message.framing == BODY_LENGTH ? x->message.content_length : e->ask->body_bytes;
    if (!pipeline_admitted(x) && !too_large)
        return;
    if (x->conf->body_bytes_max == UINT64_MAX)
        report_add(e->report, "body", NULL, "%llu bytes; there is no limit", bytes);
    else
        report_add(e->report, "body", NULL, "%llu bytes; at most %llu are taken", bytes,
                   (unsigned long long)x->conf->body_bytes_max);
}

/* ---- serve ---- */

void explain_serve(struct explain *e)
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
