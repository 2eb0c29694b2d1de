#include "upstream/upstream.h"

#include "tls/tls_connect.h"
#include "upstream/balance.h"
#include "upstream/dial.h"
#include "upstream/retry_budget.h"
#include "upstream/slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct upstreams {
    struct loop *loop;
    struct resolver *resolver;
    struct origins origins;
    struct balance balance;
    struct retry_budgets budgets;
    unsigned source_at; /* source addresses take turns */
    bool (*make_room)(void *user);
    void *make_room_user;
    struct tls_client *tls; /* made when the first origin wants it */
    struct loop_task task;  /* the end */
};

/* A take that found no idle connection: dials one origin after the other, or waits in a queue. */
struct attempt {
    struct upstream_wait *wait;
    struct origin *origin;  /* the one being dialled, or whose queue this is */
    uint64_t tried_now;     /* in this take */
    struct slot_wait *slot; /* NULL: not in a queue */
    struct loop_timer queue_timer;
    uint64_t queued_ms; /* since when; 0: not yet in this take */
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

void upstreams_when_tight(struct upstreams *upstreams, bool (*make_room)(void *user), void *user)
{
    upstreams->make_room = make_room;
    upstreams->make_room_user = user;
}

unsigned upstreams_close_idle(struct upstreams *upstreams, uint32_t idle_ms_min)
{
    unsigned closed = 0;
    for (unsigned i = 0; i < ORIGIN_BUCKETS; i++)
        for (struct origin *origin = upstreams->origins.buckets[i]; origin != NULL;
             origin = origin->next)
            closed += pool_close_idle(&origin->pool, idle_ms_min);
    return closed;
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

static void leave_queue(struct attempt *attempt)
{
    timer_clear(&attempt->queue_timer);
    slot_abandon(attempt->slot);
    attempt->slot = NULL;
    attempt->origin->in_use--;
    attempt->origin = NULL;
}

static void attempt_end(struct attempt *attempt)
{
    attempt->wait->pending = NULL;
    dial_stop(&attempt->dial);
    if (attempt->slot != NULL)
        leave_queue(attempt);
    else if (attempt->origin != NULL)
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
    fail_now(wait, attempt != NULL ? attempt->dial.failure : wait->failure);
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

/* May this take go on to another origin? Where nothing could be sent for want of a socket of ours,
 * going on is no retry. */
static bool may_go_on(struct upstreams *upstreams, struct upstream_wait *wait, uint64_t tried_now)
{
    return tried_now == 0 || wait->attempts == 0 ||
           (wait->attempts <= wait->conf->retry_max && spend(upstreams, wait));
}

/* Those of earlier takes come again only when there are no others, and then one of them. */
static enum balance_result look_for(struct upstreams *upstreams, const struct upstream_wait *wait,
                                    uint64_t tried_now, unsigned *index)
{
    const struct upstream_conf *conf = wait->conf;
    uint64_t all = all_of(conf), others = all & ~(wait->tried | tried_now);
    enum balance_result result =
        balance_next(&upstreams->balance, &upstreams->origins, conf, others, wait->key, index);
    if (tried_now != 0 || result == BALANCE_CHOSEN || result == BALANCE_FULL || others == all)
        return result;
    return balance_next(&upstreams->balance, &upstreams->origins, conf, all, wait->key, index);
}

/* The next to be tried in this take. A chosen one counts as in use from here on, one whose queue is
 * to be waited in (BALANCE_FULL) does not. */
static enum balance_result choose(struct upstreams *upstreams, struct upstream_wait *wait,
                                  uint64_t tried_now, unsigned *index, struct origin **origin)
{
    enum balance_result result = look_for(upstreams, wait, tried_now, index);
    if (result != BALANCE_CHOSEN && result != BALANCE_FULL)
        return result;
    if (!may_go_on(upstreams, wait, tried_now))
        return BALANCE_NOBODY;
    *origin = origin_get(&upstreams->origins, &wait->conf->origins[*index]);
    if (*origin == NULL)
        return BALANCE_NOBODY;
    /* Another thread may have taken the last one meanwhile. */
    if (result == BALANCE_CHOSEN && !origin_use(*origin, wait->conf->connections_max))
        return BALANCE_FULL;
    if (result == BALANCE_CHOSEN)
        origin_chosen(&upstreams->origins, *origin, wait->conf);
    return result;
}

/* What it means that no origin was chosen; nothing when one had been tried. */
static void tell_not_chosen(struct upstream_wait *wait, enum balance_result result,
                            enum upstream_failure *failure)
{
    if (result == BALANCE_DRAINED) {
        *failure = UPSTREAM_DRAINED;
        say(wait, wait->conf->origin_count == 1 ? "the origin is drained"
                                                : "the origins that are left are drained");
    } else if (wait->why[0] == '\0') {
        *failure = UPSTREAM_NO_SOCKET;
        say(wait, "no memory");
    }
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
    attempt->dial.to = &wait->conf->origins[index];
    attempt->dial.good = &origin->good;
    attempt->dial.ports_out = &origin->shared->ports_out;
    attempt->dial.source_at = wait->upstreams->source_at++;
    if ((!attempt->dial.to->tls || has_tls(attempt)) && dial_start(&attempt->dial))
        return true;
    origin_gave_up(attempt);
    return false;
}

/* An idle connection of that origin, if one may be used; then the wait is answered. The origin
 * counts as in use already. */
static bool hand_out_idle(struct upstream_wait *wait, unsigned index, struct origin *origin)
{
    struct origin_conn *conn = wait->fresh ? NULL : pool_take(&origin->pool, wait->idle_ms_max);
    if (conn == NULL)
        return false;
    if (wait->pending != NULL)
        attempt_end(wait->pending);
    wait->origin_index = conn->origin_index = index;
    wait->on_ready(wait, conn);
    return true;
}

static bool enter_queue(struct attempt *attempt, unsigned index, struct origin *origin);

static bool attempt_go(struct attempt *attempt, unsigned index, struct origin *origin)
{
    return hand_out_idle(attempt->wait, index, origin) || dial_origin(attempt, index, origin);
}

/* Goes on with the origins left; false when none is. Else the wait may be answered already, and
 * the attempt gone. */
static bool attempt_on(struct attempt *attempt)
{
    struct upstream_wait *wait = attempt->wait;
    for (;;) {
        struct origin *origin;
        unsigned index;
        enum balance_result result =
            choose(wait->upstreams, wait, attempt->tried_now, &index, &origin);
        if (result == BALANCE_FULL)
            return enter_queue(attempt, index, origin);
        if (result != BALANCE_CHOSEN) {
            if (attempt->tried_now == 0)
                tell_not_chosen(wait, result, &attempt->dial.failure);
            return false;
        }
        if (attempt_go(attempt, index, origin))
            return true;
    }
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

/* --- the queue of `connections`
 * -------------------------------------------------------------------
 */

static void queued_too_long(struct loop_timer *timer)
{
    struct attempt *attempt = LIST_OF(timer, struct attempt, queue_timer);
    struct upstream_wait *wait = attempt->wait;
    wait->queued_ms += loop_now_ms(wait->upstreams->loop) - attempt->queued_ms;
    say(wait, "no connection came free in time");
    fail_now(wait, UPSTREAM_FULL);
}

/* Its turn has come. Meanwhile the origin may have failed, or been drained: then another is asked,
 * where there is one. */
static void on_slot(void *user)
{
    struct attempt *attempt = user;
    struct upstream_wait *wait = attempt->wait;
    struct origin *origin = attempt->origin;
    unsigned index = wait->origin_index;
    uint64_t now_ms = loop_now_ms(wait->upstreams->loop);
    timer_clear(&attempt->queue_timer);
    attempt->slot = NULL;
    attempt->origin = NULL;
    wait->queued_ms += now_ms - attempt->queued_ms;
    bool unfit =
        origin_shared_state(origin->shared) != 0 || origin_shared_rests(origin->shared, now_ms);
    if (unfit)
        origin_leave(origin);
    else
        atomic_fetch_add_explicit(&origin->shared->requests, 1, memory_order_relaxed);
    if (!unfit && attempt_go(attempt, index, origin))
        return;
    if (!attempt_on(attempt))
        fail_now(wait, attempt->dial.failure);
}

/* False: it is full. `why` says so. */
static bool enter_queue(struct attempt *attempt, unsigned index, struct origin *origin)
{
    struct upstream_wait *wait = attempt->wait;
    struct upstreams *upstreams = wait->upstreams;
    const struct upstream_conf *conf = wait->conf;
    attempt->dial.failure = UPSTREAM_FULL;
    if (wait->queued_ms < conf->queue_ms)
        attempt->slot =
            slot_queue(upstreams->origins.registry, origin->shared, conf->connections_max,
                       conf->queue_max, upstreams->loop, on_slot, attempt);
    if (attempt->slot == NULL) {
        say(wait, conf->queue_max == 0 ? "all connections are in use" : "the queue is full");
        return false;
    }
    wait->origin_index = index;
    attempt->origin = origin;
    origin->in_use++; /* so that it is not forgotten; the slot is counted when it comes */
    attempt->queued_ms = loop_now_ms(upstreams->loop);
    attempt->queue_timer.on_fire = queued_too_long;
    timer_set(upstreams->loop, &attempt->queue_timer, conf->queue_ms - wait->queued_ms);
    return true;
}

/* --- beginning ----------------------------------------------------------------------------------
 */

static struct attempt *attempt_new(struct upstream_wait *wait)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);
    if (attempt == NULL) {
        say(wait, "no memory");
        return NULL;
    }
    attempt->wait = wait;
    wait->pending = attempt;
    attempt->dial.loop = wait->upstreams->loop;
    attempt->dial.resolver = wait->upstreams->resolver;
    attempt->dial.conf = wait->conf;
    attempt->dial.on_done = dialled;
    attempt->dial.make_room = wait->upstreams->make_room;
    attempt->dial.make_room_user = wait->upstreams->make_room_user;
    return attempt;
}

/* With the origin that was chosen first; false: failed, `why` is said. */
static bool attempt_start(struct upstream_wait *wait, enum balance_result result, unsigned index,
                          struct origin *origin)
{
    struct attempt *attempt = attempt_new(wait);
    if (attempt == NULL) {
        if (result == BALANCE_CHOSEN)
            origin_leave(origin);
        return false;
    }
    if (result == BALANCE_FULL)
        return enter_queue(attempt, index, origin);
    return dial_origin(attempt, index, origin) || attempt_on(attempt);
}

/* --- the face ------------------------------------------------------------------------------------
 */

void upstream_take(struct upstreams *upstreams, struct upstream_wait *wait)
{
    struct origin *origin = NULL;
    unsigned index = 0;
    wait->upstreams = upstreams;
    wait->pending = NULL;
    wait->timer = (struct loop_timer){.on_fire = fail_by_timer};
    wait->why[0] = '\0';
    wait->failure = UPSTREAM_NO_SOCKET;
    if (!wait->counted && wait->conf->origin_count > 1)
        retry_budget_earn(&upstreams->budgets, wait->conf->identity, loop_now_ms(upstreams->loop));
    wait->counted = true;
    enum balance_result result = choose(upstreams, wait, 0, &index, &origin);
    if (result != BALANCE_CHOSEN && result != BALANCE_FULL) {
        tell_not_chosen(wait, result, &wait->failure);
        fail_later(wait);
        return;
    }
    if (result == BALANCE_CHOSEN && hand_out_idle(wait, index, origin))
        return;
    if (!attempt_start(wait, result, index, origin))
        fail_later(wait);
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
                     unsigned origin_index, const char *failure)
{
    struct origin *origin = origin_find(&upstreams->origins, conf->origins[origin_index].identity);
    if (origin == NULL)
        return;
    if (failure == NULL)
        origin_succeeded(&upstreams->origins, origin);
    else
        origin_failed(&upstreams->origins, origin, conf, failure);
}

enum upstream_choice upstream_peek(struct upstreams *upstreams, const struct upstream_conf *conf,
                                   uint64_t key, unsigned *index)
{
    static const enum upstream_choice choices[] = {[BALANCE_CHOSEN] = UPSTREAM_WOULD_ASK,
                                                   [BALANCE_FULL] = UPSTREAM_WOULD_QUEUE,
                                                   [BALANCE_DRAINED] = UPSTREAM_ALL_DRAINED,
                                                   [BALANCE_NOBODY] = UPSTREAM_NOBODY};
    *index = 0;
    return choices[balance_peek(&upstreams->balance, &upstreams->origins, conf, key, index)];
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
