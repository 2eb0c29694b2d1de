#include "upstream/upstream.h"

#include "tls/tls_connect.h"
#include "upstream/balance.h"
#include "upstream/dial.h"
#include "upstream/retry_budget.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct upstreams {
    struct loop *loop;
    struct resolver *resolver;
    struct origins origins;
    struct balance balance;
    struct retry_budgets budgets;
    unsigned source_at;     /* source addresses take turns */
    struct tls_client *tls; /* made when the first origin wants it */
    struct loop_task task;  /* the end */
};

/* A take that found no idle connection: dials one origin after the other. */
struct attempt {
    struct upstream_wait *wait;
    struct origin *origin; /* the one being dialled */
    uint64_t tried_now;    /* in this take */
    struct dial dial;
};

struct upstreams *upstreams_new(struct loop *loop, struct resolver *resolver,
                                struct origin_registry *registry)
{
    struct upstreams *upstreams = calloc(1, sizeof *upstreams);
    if (upstreams == NULL)
        return NULL;
    upstreams->loop = loop;
    upstreams->resolver = resolver;
    origins_init(&upstreams->origins, loop, registry);
    balance_init(&upstreams->balance);
    retry_budgets_init(&upstreams->budgets);
    return upstreams;
}

/* After the streams that were closed: they go at the end of the turn, in the order of closing. */
static void end_late(struct loop_task *task)
{
    struct upstreams *upstreams = LIST_OF(task, struct upstreams, task);
    tls_client_end(upstreams->tls);
    free(upstreams);
}

void upstreams_end(struct upstreams *upstreams)
{
    if (upstreams == NULL)
        return;
    origins_fini(&upstreams->origins);
    balance_fini(&upstreams->balance);
    retry_budgets_fini(&upstreams->budgets);
    upstreams->task.run = end_late;
    loop_defer(upstreams->loop, &upstreams->task);
}

/* --- the answer ----------------------------------------------------------------------------------
 */

static void attempt_end(struct attempt *attempt)
{
    attempt->wait->pending = NULL;
    dial_stop(&attempt->dial);
    if (attempt->origin != NULL)
        origin_leave(attempt->origin);
    free(attempt);
}

static void fail_now(struct upstream_wait *wait, enum upstream_failure failure)
{
    if (wait->pending != NULL)
        attempt_end(wait->pending);
    wait->on_failed(wait, failure);
}

static void fail_by_timer(struct loop_timer *timer)
{
    struct upstream_wait *wait = LIST_OF(timer, struct upstream_wait, timer);
    const struct attempt *attempt = wait->pending;
    fail_now(wait, attempt != NULL ? attempt->dial.failure : UPSTREAM_NO_SOCKET);
}

/* For failures inside upstream_take(), whose caller does not expect them there. The timer stands in
 * the wait itself, so that this needs no memory. */
static void fail_later(struct upstream_wait *wait)
{
    timer_set(wait->upstreams->loop, &wait->timer, 1);
}

static void say(struct upstream_wait *wait, const char *why)
{
    snprintf(wait->why, sizeof wait->why, "%s", why);
}

/* --- which origin --------------------------------------------------------------------------------
 */

static uint64_t all_of(const struct upstream_conf *conf)
{
    return conf->origin_count >= 64 ? UINT64_MAX : (UINT64_C(1) << conf->origin_count) - 1;
}

static bool spend(struct upstreams *upstreams, struct upstream_wait *wait)
{
    wait->over_budget = !retry_budget_spend(&upstreams->budgets, wait->conf->identity,
                                            loop_now_ms(upstreams->loop));
    return !wait->over_budget;
}

/* The next to be tried in this take, or -1. Those of earlier takes come again only when there are
 * no others, and then one of them. Where nothing could be sent for want of a socket of ours, going
 * on is no retry. */
static int choose(struct upstreams *upstreams, struct upstream_wait *wait, uint64_t tried_now)
{
    uint64_t all = all_of(wait->conf), allowed = all & ~(wait->tried | tried_now);
    if (allowed == 0 && tried_now == 0)
        allowed = all;
    if (allowed == 0)
        return -1;
    if (tried_now != 0 && wait->attempts != 0 &&
        (wait->attempts > wait->conf->retry_max || !spend(upstreams, wait)))
        return -1;
    return balance_next(&upstreams->balance, &upstreams->origins, wait->conf, allowed);
}

bool upstream_may_retry(struct upstreams *upstreams, struct upstream_wait *wait)
{
    return wait->conf->origin_count > 1 && spend(upstreams, wait);
}

/* --- dialling ------------------------------------------------------------------------------------
 */

static void origin_gave_up(struct attempt *attempt)
{
    struct upstream_wait *wait = attempt->wait;
    if (attempt->dial.failure != UPSTREAM_NO_SOCKET)
        origin_failed(&wait->upstreams->origins, attempt->origin, wait->conf, attempt->dial.why);
    else
        wait->attempts--; /* the origin was not reached */
    origin_leave(attempt->origin);
    attempt->origin = NULL;
    say(wait, attempt->dial.why);
}

static bool has_tls(struct attempt *attempt)
{
    struct upstreams *upstreams = attempt->wait->upstreams;
    const char *error = "no memory";
    if (upstreams->tls == NULL)
        upstreams->tls = tls_client_new(&error);
    attempt->dial.tls = upstreams->tls;
    if (upstreams->tls != NULL)
        return true;
    attempt->dial.failure = UPSTREAM_NO_SOCKET;
    snprintf(attempt->dial.why, sizeof attempt->dial.why, "TLS cannot be used: %s", error);
    return false;
}

static bool dial_origin(struct attempt *attempt, unsigned index, struct origin *origin)
{
    struct upstream_wait *wait = attempt->wait;
    wait->origin_index = index;
    wait->attempts++;
    attempt->tried_now |= UINT64_C(1) << index;
    attempt->origin = origin;
    origin_use(origin);
    attempt->dial.to = &wait->conf->origins[index];
    attempt->dial.good = &origin->good;
    attempt->dial.ports_out = &origin->shared->ports_out;
    attempt->dial.source_at = wait->upstreams->source_at++;
    if ((!attempt->dial.to->tls || has_tls(attempt)) && dial_start(&attempt->dial))
        return true;
    origin_gave_up(attempt);
    return false;
}

/* An idle connection of that origin, if one may be used; then the wait is answered. */
static bool hand_out_idle(struct upstream_wait *wait, unsigned index, struct origin *origin)
{
    struct origin_conn *conn = wait->fresh ? NULL : pool_take(&origin->pool, wait->idle_ms_max);
    if (conn == NULL)
        return false;
    if (wait->pending != NULL)
        attempt_end(wait->pending);
    origin_use(origin);
    wait->origin_index = conn->origin_index = index;
    wait->on_ready(wait, conn);
    return true;
}

/* Goes on with the origins left; false when none is. Else the wait may be answered already, and
 * the attempt gone. */
static bool attempt_on(struct attempt *attempt)
{
    struct upstream_wait *wait = attempt->wait;
    int index;
    while ((index = choose(wait->upstreams, wait, attempt->tried_now)) >= 0) {
        struct origin *origin = origin_get(&wait->upstreams->origins, &wait->conf->origins[index]);
        if (origin == NULL) {
            attempt->dial.failure = UPSTREAM_NO_SOCKET;
            say(wait, "no memory");
            return false;
        }
        if (hand_out_idle(wait, (unsigned)index, origin) ||
            dial_origin(attempt, (unsigned)index, origin))
            return true;
    }
    return false;
}

static void connected(struct attempt *attempt, struct stream *stream)
{
    struct upstream_wait *wait = attempt->wait;
    struct origin_conn *conn = pool_conn_new(stream);
    if (conn == NULL) {
        stream_close(stream);
        say(wait, "no memory");
        fail_now(wait, UPSTREAM_NO_SOCKET);
        return;
    }
    conn->origin = attempt->origin; /* stays counted as in use */
    conn->origin_index = wait->origin_index;
    conn->connect_us = attempt->dial.connect_us;
    conn->last_used_ms = loop_now_ms(wait->upstreams->loop);
    attempt->origin = NULL;
    attempt_end(attempt);
    wait->on_ready(wait, conn);
}

static void dialled(struct dial *dial, struct stream *stream)
{
    struct attempt *attempt = LIST_OF(dial, struct attempt, dial);
    if (stream != NULL) {
        connected(attempt, stream);
        return;
    }
    origin_gave_up(attempt);
    if (!attempt_on(attempt))
        fail_now(attempt->wait, attempt->dial.failure);
}

static void attempt_start(struct upstreams *upstreams, struct upstream_wait *wait, unsigned index,
                          struct origin *origin)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);
    if (attempt == NULL) {
        say(wait, "no memory");
        fail_later(wait);
        return;
    }
    attempt->wait = wait;
    wait->pending = attempt;
    attempt->dial.loop = upstreams->loop;
    attempt->dial.resolver = upstreams->resolver;
    attempt->dial.conf = wait->conf;
    attempt->dial.on_done = dialled;
    if (!dial_origin(attempt, index, origin) && !attempt_on(attempt))
        fail_later(wait);
}

/* --- the face ------------------------------------------------------------------------------------
 */

void upstream_take(struct upstreams *upstreams, struct upstream_wait *wait)
{
    wait->upstreams = upstreams;
    wait->pending = NULL;
    wait->timer = (struct loop_timer){.on_fire = fail_by_timer};
    wait->why[0] = '\0';
    if (!wait->counted && wait->conf->origin_count > 1)
        retry_budget_earn(&upstreams->budgets, wait->conf->identity, loop_now_ms(upstreams->loop));
    wait->counted = true;
    int index = choose(upstreams, wait, 0);
    struct origin *origin =
        index < 0 ? NULL : origin_get(&upstreams->origins, &wait->conf->origins[index]);
    if (origin == NULL) {
        say(wait, index < 0 ? "no origin" : "no memory");
        fail_later(wait);
        return;
    }
    if (!hand_out_idle(wait, (unsigned)index, origin))
        attempt_start(upstreams, wait, (unsigned)index, origin);
}

void upstream_cancel(struct upstream_wait *wait)
{
    if (wait->upstreams == NULL)
        return;
    timer_clear(&wait->timer);
    if (wait->pending != NULL)
        attempt_end(wait->pending);
}

void upstream_discard(struct upstreams *upstreams, struct origin_conn *conn)
{
    (void)upstreams;
    origin_leave(conn->origin);
    pool_conn_end(conn);
}

/* Of an origin that is a name: is its address still one of the name's, as far as we know? */
static bool has_its_name(struct upstreams *upstreams, const struct origin_conn *conn,
                         const struct origin_conf *to)
{
    struct origin *origin = conn->origin;
    if (to->addr.family != ADDR_NONE)
        return true;
    if (origin->names == NULL)
        origin->names = name_watch_new(upstreams->resolver, to->host, &origin->pool);
    return origin->names == NULL || name_watch_keep(origin->names, &conn->peer);
}

void upstream_give(struct upstreams *upstreams, struct origin_conn *conn,
                   const struct upstream_conf *conf)
{
    if (conn->bound || conf->keepalive_max == 0 || conf->keepalive_idle_ms == 0 ||
        stream_backlog(conn->stream) != 0 ||
        !has_its_name(upstreams, conn, &conf->origins[conn->origin_index])) {
        upstream_discard(upstreams, conn);
        return;
    }
    struct origin *origin = conn->origin;
    origin_leave(origin);
    origin->last_used_ms = loop_now_ms(upstreams->loop);
    pool_add(&origin->pool, conn, conf->keepalive_max, conf->keepalive_idle_ms);
}

void upstream_report(struct upstreams *upstreams, const struct upstream_conf *conf,
                     unsigned origin_index, bool ok)
{
    struct origin *origin = origin_find(&upstreams->origins, conf->origins[origin_index].identity);
    if (origin == NULL)
        return;
    if (ok)
        origin_succeeded(&upstreams->origins, origin);
    else
        origin_failed(&upstreams->origins, origin, conf, NULL);
}

static void tell(const struct upstreams *upstreams, const struct origin *origin,
                 void (*each)(void *user, const struct origin_status *status), void *user)
{
    struct origin_status status = {
        .text = {.at = origin->shared->text, .len = origin->shared->text_len},
        .resting = origin_rests(&upstreams->origins, origin),
        .failures = atomic_load(&origin->shared->failures),
        .idle = origin->pool.count,
        .in_use = origin->in_use,
    };
    each(user, &status);
}

void upstreams_status(const struct upstreams *upstreams,
                      void (*each)(void *user, const struct origin_status *status), void *user)
{
    for (unsigned i = 0; i < ORIGIN_BUCKETS; i++)
        for (const struct origin *origin = upstreams->origins.buckets[i]; origin != NULL;
             origin = origin->next)
            tell(upstreams, origin, each, user);
}
