#include "config/compile_metrics.h"

#include "config/compile_access.h"
#include "config/compile_listen.h"

/* Numbers tell who visits what: nobody gets them by an oversight. */
static void check_who_may_read(struct compile *c, const struct statement *s)
{
    const struct metrics_conf *metrics = &c->snapshot->metrics;
    bool open = metrics->any_family || !addr_is_loopback(&metrics->addr);
    if (!open || (metrics->access != NULL && metrics->access->has_allow))
        return;
    diag_error(c->diag, &s->words[1].pos, "other hosts could read the metrics here");
    diag_hint(c->diag,
              "metrics http://127.0.0.1:%u, or say who may: metrics %.*s { allow from "
              "10.0.0.5 }",
              metrics->addr.port, STR_ARG(s->words[1].text));
}

void compile_metrics(struct compile *c, const struct statement *s)
{
    struct metrics_conf *metrics = &c->snapshot->metrics;
    struct listener listener = {0};
    if (!compile_listen_address(c, &s->words[1], &listener))
        return;
    if (listener.tls) {
        diag_error(c->diag, &s->words[1].pos, "metrics are served over plain HTTP");
        diag_hint(c->diag,
                  "http://127.0.0.1:%u; over TLS by a site: /metrics -> "
                  "127.0.0.1:%u",
                  listener.addr.port, listener.addr.port);
        return;
    }
    const struct listener *same = compile_listen_same(c->snapshot, &listener);
    if (same != NULL) {
        diag_error(c->diag, &s->words[1].pos, "'%.*s' is listened on already",
                   STR_ARG(s->words[1].text));
        diag_hint(c->diag, "as '%.*s' in line %u", STR_ARG(same->text), (unsigned)same->where.line);
        return;
    }
    *metrics = (struct metrics_conf){
        .addr = listener.addr, .any_family = listener.any_family, .where = compile_where(c, s)};
    if (s->block != NULL)
        metrics->access = compile_access_block(c, s->block);
    check_who_may_read(c, s);
}
