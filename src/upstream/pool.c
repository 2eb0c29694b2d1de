#include "upstream/pool.h"

#include <stdlib.h>

/* Between one user and the next a stream must have some user; nothing is expected to reach it. */
static void nobody_bytes(void *user, struct str bytes)
{
    (void)user;
    (void)bytes;
}
static void nobody_end(void *user, enum stream_end end)
{
    (void)user;
    (void)end;
}
static void nothing(void *user)
{
    (void)user;
}

static const struct stream_user nobody = {
    .on_open = nothing, .on_bytes = nobody_bytes, .on_end = nobody_end, .on_drained = nothing};

struct origin_conn *pool_conn_new(struct stream *stream)
{
    struct origin_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return NULL;
    conn->stream = stream;
    stream_addresses(stream, &conn->local, &conn->peer);
    stream_set_user(stream, &nobody, NULL);
    return conn;
}

void pool_conn_end(struct origin_conn *conn)
{
    stream_close(conn->stream);
    free(conn);
}

static void pool_remove(struct pool *pool, struct origin_conn *conn)
{
    list_remove(&conn->idle);
    conn->pool = NULL;
    pool->count--;
}

static void pool_close(struct pool *pool, struct origin_conn *conn)
{
    pool_remove(pool, conn);
    pool_conn_end(conn);
    if (pool->count == 0)
        timer_clear(&pool->timer);
}

static void idle_gone(struct origin_conn *conn)
{
    uint64_t now = loop_now_ms(conn->pool->loop);
    if (now - conn->last_used_ms <= POOL_FRESH_MS)
        *conn->pool->closed_early_ms = now;
    pool_close(conn->pool, conn);
}

/* Bytes that nobody asked for: a late or forged answer, which must not meet the next request
 * (RFC 9112 9.5), or an origin that says goodbye (408). */
static void idle_bytes(void *user, struct str bytes)
{
    (void)bytes;
    idle_gone(user);
}

static void idle_end(void *user, enum stream_end end)
{
    (void)end;
    idle_gone(user);
}

static const struct stream_user idle_user = {
    .on_open = nothing, .on_bytes = idle_bytes, .on_end = idle_end, .on_drained = nothing};

/* Closes what is overdue and waits for the next. The members mostly agree on their idle time, but
 * a reload may have changed it: so all are looked at, which are at most keepalive_max. */
static void pool_expire(struct loop_timer *timer)
{
    struct pool *pool = LIST_OF(timer, struct pool, timer);
    uint64_t now = loop_now_ms(pool->loop), next = UINT64_MAX;
    struct link *link = pool->idle.next;
    while (link != &pool->idle) {
        struct origin_conn *conn = LIST_OF(link, struct origin_conn, idle);
        link = link->next;
        if (conn->idle_until_ms <= now)
            pool_close(pool, conn);
        else if (conn->idle_until_ms < next)
            next = conn->idle_until_ms;
    }
    if (next != UINT64_MAX)
        timer_set(pool->loop, &pool->timer, next - now);
}

void pool_init(struct pool *pool, struct loop *loop, uint64_t *closed_early_ms)
{
    *pool = (struct pool){
        .loop = loop, .timer.on_fire = pool_expire, .closed_early_ms = closed_early_ms};
    list_init(&pool->idle);
}

void pool_fini(struct pool *pool)
{
    struct link *link;
    while ((link = list_first(&pool->idle)) != NULL)
        pool_close(pool, LIST_OF(link, struct origin_conn, idle));
    timer_clear(&pool->timer);
}

unsigned pool_close_idle(struct pool *pool, uint32_t idle_ms_min)
{
    unsigned closed = 0;
    struct link *oldest;
    while ((oldest = pool->idle.prev) != &pool->idle) {
        struct origin_conn *conn = LIST_OF(oldest, struct origin_conn, idle);
        if (loop_now_ms(pool->loop) - conn->last_used_ms < idle_ms_min)
            break;
        pool_close(pool, conn);
        closed++;
    }
    return closed;
}

void pool_sift(struct pool *pool, bool (*keep)(void *user, const struct addr *peer), void *user)
{
    struct link *link = pool->idle.next;
    while (link != &pool->idle) {
        struct origin_conn *conn = LIST_OF(link, struct origin_conn, idle);
        link = link->next;
        if (!keep(user, &conn->peer))
            pool_close(pool, conn);
    }
}

void pool_add(struct pool *pool, struct origin_conn *conn, uint32_t max, uint32_t idle_ms)
{
    while (pool->count >= max)
        pool_close(pool, LIST_OF(pool->idle.prev, struct origin_conn, idle));
    conn->last_used_ms = loop_now_ms(pool->loop);
    conn->idle_until_ms = conn->last_used_ms + idle_ms;
    conn->pool = pool;
    list_add_front(&pool->idle, &conn->idle);
    pool->count++;
    stream_set_user(conn->stream, &idle_user, conn);
    /* An answer nobody asked for, and a request that would be sent to meet it, may come in one turn
     * of the loop: the former is to be seen first. */
    stream_first(conn->stream, true);
    /* Only a stream that is read notices that its peer has gone. */
    stream_pause(conn->stream, false);
    if (pool->timer.at_ms == 0 || conn->idle_until_ms < pool->timer.at_ms)
        timer_set(pool->loop, &pool->timer, idle_ms);
}

struct origin_conn *pool_take(struct pool *pool, uint32_t idle_ms_max)
{
    struct link *link;
    while ((link = list_first(&pool->idle)) != NULL) {
        struct origin_conn *conn = LIST_OF(link, struct origin_conn, idle);
        uint64_t now = loop_now_ms(pool->loop);
        if (idle_ms_max != 0 && now - conn->last_used_ms > idle_ms_max)
            return NULL;
        if (idle_ms_max != 0 && *pool->closed_early_ms != 0 &&
            now - *pool->closed_early_ms < POOL_WARY_MS)
            return NULL;
        /* The loop tells of a connection that ends; only what must not be repeated is worth the
         * system call that looks once more. */
        if (idle_ms_max != 0 && !stream_healthy(conn->stream)) {
            pool_close(pool, conn);
            continue;
        }
        pool_remove(pool, conn);
        if (pool->count == 0)
            timer_clear(&pool->timer);
        stream_set_user(conn->stream, &nobody, NULL);
        stream_first(conn->stream, false);
        conn->reused = true;
        conn->connect_us = 0;
        return conn;
    }
    return NULL;
}
