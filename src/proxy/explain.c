#include "proxy/explain.h"

#include "base/arena.h"
#include "base/clock.h"
#include "proxy/edit.h"
#include "proxy/explain_head.h"
#include "proxy/explain_route.h"
#include "proxy/explain_state.h"
#include "proxy/forward.h"
#include "proxy/pipeline.h"
#include "upstream/upstream_conf.h"

#include <string.h>

/* ---- name ---- */

static void tell_name(struct explain *e)
{
    const struct explain_conf *c = e->conf;
    struct str name = e->ask->name;
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
                   STR_ARG(name), STR_ARG(explain_addr(e, &a->addr)));
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
        if (l->addr.port != e->ask->port || !takes(l, addr))
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
        if (l->addr.port == e->ask->port && (found == NULL || l->tls == e->ask->tls))
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
    const struct ask *ask = e->ask;
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
    report_add(e->report, "client", NULL, "%.*s%s", STR_ARG(explain_addr(e, &e->conf->from)),
               e->conf->from_said ? "" : ", an address of nobody: --from says another");
    return true;
}

/* ---- tls ---- */

static void tell_cert(struct explain *e, const struct site *site, const struct tls_cert *cert,
                      bool first)
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
    report_add(e->report, first ? "certificate" : "or, for other clients", &site->tls_where, "%.*s",
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
        explain_other_listener(e, sni);
        return false;
    }
    const struct site *site = listener_default_site(e->listener, sni, &e->local);
    report_add(e->report, "site", &site->where, "%.*s", STR_ARG(site->name));
    for (size_t i = 0; i < dry->choice.cert_count; i++)
        tell_cert(e, site, dry->choice.certs[i], i == 0);
    if (sni.len != 0 && dry->choice.cert_count != 0 && !tls_cert_covers(dry->choice.certs[0], sni))
        report_add(e->report, "warning", NULL, "the certificate is not for %.*s: clients refuse it",
                   STR_ARG(sni));
    return true;
}

/* ---- request ---- */

static void tell_request(struct explain *e)
{
    const struct exchange *x = e->dry->x;
    const struct head_limits *limits = &e->conf->snapshot->head_limits;
    report_stage(e->report, "request");
    report_add(e->report, "line", NULL, "%.*s %.*s", STR_ARG(e->ask->method),
               STR_ARG(explain_masked(e, e->ask->target)));
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
                   STR_ARG(explain_addr(e, &x->client)));
    else if (message_get(&x->message, HEADER_X_FORWARDED_FOR) != NULL ||
             message_get(&x->message, HEADER_FORWARDED) != NULL)
        report_add(e->report, "client", NULL,
                   "%.*s: what X-Forwarded-For or Forwarded say is not believed, since "
                   "trusted_proxies does not name this address",
                   STR_ARG(explain_addr(e, &x->client)));
}

/* ---- origin ---- */

static void tell_origins(struct explain *e)
{
    struct exchange *x = e->dry->x;
    const struct upstream_conf *upstream = x->target->upstream;
    report_stage(e->report, "origin");
    int chosen = e->conf->origins(e->conf->user, upstream, forward_key(x), e->report);
    if (chosen >= 0) {
        e->report->origin = upstream->origins[chosen].text;
        edit_host(x, (unsigned)chosen);
    }
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
    r->location = explain_masked(e, message_value(&x->answer, HEADER_LOCATION));
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
        explain_route(e);
    if (pipeline_routed(x))
        explain_admit(e);
    if (admitted)
        explain_serve(e);
    if (forwarded) {
        tell_origins(e);
        explain_prepare(e);
        explain_origins_answer(e);
    } else if (e->dry->verdict == VERDICT_ANSWER) {
        tell_refusal(e);
        explain_own_answer(e);
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
                                  .sni = ask_sni(e->ask),
                                  .head = ask_head(e->arena, e->ask),
                                  .body_bytes = e->ask->body_bytes};
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
    struct explain e = {.conf = conf,
                        .ask = conf->ask,
                        .snapshot = conf->snapshot,
                        .report = report,
                        .arena = arena};
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
