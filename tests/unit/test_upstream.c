#include "upstream/upstream.h"

#include "base/text.h"
#include "net/resolver.h"
#include "upstream/origin_shared.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fail.h"

/* --- a resolver that knows what the test says ----------------------------------------------------
 */

static struct resolver_answer canned;
static bool canned_later, canned_never;
static struct resolver_wait *asked;
static struct resolver *const fake_resolver = (struct resolver *)&canned;

void resolver_ask(struct resolver *resolver, struct resolver_wait *wait)
{
    (void)resolver;
    asked = wait;
    if (!canned_later && !canned_never)
        wait->on_answer(wait, &canned);
}

void resolver_cancel(struct resolver_wait *wait)
{
    if (asked == wait)
        asked = NULL;
}

/* --- the stage
 * ------------------------------------------------------------------------------------ */

enum { SERVERS = 4 };

struct stage {
    struct loop *loop;
    struct origin_registry *registry;
    struct upstreams *upstreams;
    int listeners[SERVERS];
    uint16_t ports[SERVERS];
    struct origin_conf origins[SERVERS];
    struct upstream_conf conf;
    struct loop_timer timer;
    bool rung;
};

struct asker {
    struct upstream_wait wait;
    struct origin_conn *conn;
    int failed; /* -1: not */
    unsigned answers;
};

static int listen_on(const char *ip, uint16_t port, uint16_t *bound)
{
    struct addr addr;
    assert_true(addr_parse_ip(str_from_z(ip), &addr));
    addr.port = port;
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&addr, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    len = sizeof sa;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_true(addr_from_sockaddr(&addr, (struct sockaddr *)&sa, len));
    *bound = addr.port;
    return fd;
}

static void stop_listening(struct stage *s, unsigned i)
{
    close(s->listeners[i]);
    s->listeners[i] = -1;
}

static int stage_begin(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    s->loop = loop_new(0);
    assert_non_null(s->loop);
    s->registry = origin_registry_new();
    assert_non_null(s->registry);
    s->upstreams = upstreams_new(s->loop, fake_resolver, s->registry);
    assert_non_null(s->upstreams);
    for (unsigned i = 0; i < SERVERS; i++) {
        s->listeners[i] = listen_on("127.0.0.1", 0, &s->ports[i]);
        s->origins[i].text = STR("origin");
        s->origins[i].host = STR("127.0.0.1");
        assert_true(addr_parse_ip(s->origins[i].host, &s->origins[i].addr));
        s->origins[i].addr.port = s->origins[i].port = s->ports[i];
        s->origins[i].identity = 100 + i;
        s->origins[i].weight = 1;
    }
    s->conf = (struct upstream_conf){
        .origins = s->origins,
        .origin_count = SERVERS,
        .connect_ms = 1000,
        .keepalive_max = 2,
        .keepalive_idle_ms = 10000,
        .rest_ms = 10000,
        .rest_after = 1,
        .retry_max = 9,
        .identity = 7,
    };
    canned = (struct resolver_answer){0};
    canned_later = canned_never = false;
    asked = NULL;
    *state = s;
    return 0;
}

static int stage_end(void **state)
{
    struct stage *s = *state;
    upstreams_end(s->upstreams);
    for (unsigned i = 0; i < SERVERS; i++)
        if (s->listeners[i] >= 0)
            close(s->listeners[i]);
    loop_end(s->loop);
    origin_registry_end(s->registry);
    free(s);
    return 0;
}

static void on_timer(struct loop_timer *timer)
{
    struct stage *s = LIST_OF(timer, struct stage, timer);
    s->rung = true;
    loop_stop(s->loop);
}

/* Turns the loop until an asker is answered or the time is up; true when it was up. */
static bool run_for(struct stage *s, uint64_t ms)
{
    s->rung = false;
    s->timer.on_fire = on_timer;
    timer_set(s->loop, &s->timer, ms);
    loop_run(s->loop);
    timer_clear(&s->timer);
    return s->rung;
}

static void taker_bytes(void *user, struct str bytes)
{
    (void)user;
    (void)bytes;
}
static void taker_end(void *user, enum stream_end end)
{
    (void)user;
    (void)end;
}
static void taker_drained(void *user)
{
    (void)user;
}
static const struct stream_user taker_user = {
    .on_bytes = taker_bytes, .on_end = taker_end, .on_drained = taker_drained};

static struct loop *the_loop;

static void asker_ready(struct upstream_wait *wait, struct origin_conn *conn)
{
    struct asker *asker = LIST_OF(wait, struct asker, wait);
    asker->conn = conn;
    asker->answers++;
    stream_set_user(conn->stream, &taker_user, asker);
    loop_stop(the_loop);
}

static void asker_failed(struct upstream_wait *wait, enum upstream_failure failure)
{
    struct asker *asker = LIST_OF(wait, struct asker, wait);
    asker->failed = (int)failure;
    asker->answers++;
    loop_stop(the_loop);
}

static void ask(struct stage *s, struct asker *asker)
{
    the_loop = s->loop;
    asker->wait.conf = &s->conf;
    asker->wait.on_ready = asker_ready;
    asker->wait.on_failed = asker_failed;
    asker->conn = NULL;
    asker->failed = -1;
    asker->answers = 0;
    upstream_take(s->upstreams, &asker->wait);
}

/* Asks and waits for the answer. */
static void take(struct stage *s, struct asker *asker)
{
    ask(s, asker);
    assert_false(run_for(s, 3000));
    assert_int_equal(asker->answers, 1);
}

static void take_ok(struct stage *s, struct asker *asker)
{
    take(s, asker);
    if (asker->conn == NULL)
        fail_msg("no connection: %s", asker->wait.why);
}

static int accept_one(struct stage *s, unsigned i)
{
    for (int tries = 0; tries < 1000; tries++) {
        int fd = accept(s->listeners[i], NULL, NULL);
        if (fd >= 0)
            return fd;
        usleep(1000);
    }
    fail_msg("nobody connected");
    return -1;
}

static void count_status(void *user, const struct origin_status *status)
{
    struct origin_status *sum = user;
    sum->idle += status->idle;
    sum->in_use += status->in_use;
    sum->failures += status->failures;
    sum->resting |= status->resting;
}

static struct origin_status status_of(const struct stage *s)
{
    struct origin_status sum = {0};
    upstreams_status(s->upstreams, count_status, &sum);
    return sum;
}

static void give(struct stage *s, struct asker *asker)
{
    upstream_give(s->upstreams, asker->conn, &s->conf);
}

static void discard(struct stage *s, struct asker *asker)
{
    upstream_discard(s->upstreams, asker->conn);
}

static void with_name(struct stage *s, unsigned i, const char *const *ips, unsigned count)
{
    s->origins[i].addr.family = ADDR_NONE;
    s->origins[i].host = STR("app.internal");
    canned.count = count;
    for (unsigned k = 0; k < count; k++)
        assert_true(addr_parse_ip(str_from_z(ips[k]), &canned.addrs[k]));
}

/* --- round robin, rest, retry
 * ---------------------------------------------------------------------- */

static void origins_take_turns(void **state)
{
    struct stage *s = *state;
    for (unsigned i = 0; i < 2 * SERVERS; i++) {
        struct asker a = {0};
        take_ok(s, &a);
        assert_int_equal(a.conn->origin_index, i % SERVERS);
        assert_int_equal(a.wait.attempts, 1);
        assert_false(a.conn->reused);
        discard(s, &a);
    }
}

static void a_refusing_origin_is_passed_over_and_rests(void **state)
{
    struct stage *s = *state;
    stop_listening(s, 0);
    struct asker a = {0};
    take_ok(s, &a);
    assert_int_equal(a.conn->origin_index, 1);
    assert_int_equal(a.wait.attempts, 2);
    discard(s, &a);
    for (unsigned i = 0; i < SERVERS; i++) {
        struct asker b = {0};
        take_ok(s, &b);
        assert_int_not_equal(b.conn->origin_index, 0);
        assert_int_equal(b.wait.attempts, 1);
        discard(s, &b);
    }
    assert_true(status_of(s).resting);
}

static void after_its_rest_an_origin_is_tried_again(void **state)
{
    struct stage *s = *state;
    s->conf.rest_ms = 400;
    s->conf.origin_count = 2;
    upstream_report(s->upstreams, &s->conf, 0, "it failed"); /* not met yet: nothing to remember */
    struct asker a = {0};
    take_ok(s, &a);
    assert_int_equal(a.conn->origin_index, 0);
    upstream_report(s->upstreams, &s->conf, 0, "it failed");
    discard(s, &a);
    for (int i = 0; i < 3; i++) {
        struct asker b = {0};
        take_ok(s, &b);
        assert_int_equal(b.conn->origin_index, 1);
        discard(s, &b);
    }
    assert_true(run_for(s, 450));
    unsigned first = 0;
    for (int i = 0; i < 4; i++) {
        struct asker c = {0};
        take_ok(s, &c);
        first += c.conn->origin_index == 0;
        discard(s, &c);
    }
    assert_int_equal(first, 1); /* one is to find out; the others go where it is known */
    upstream_report(s->upstreams, &s->conf, 0, NULL);
    first = 0;
    for (int i = 0; i < 4; i++) {
        struct asker c = {0};
        take_ok(s, &c);
        first += c.conn->origin_index == 0;
        discard(s, &c);
    }
    assert_in_range(first, 1, 2); /* as new as the other: both begin slowly */
}

static void it_rests_only_after_as_many_failures_in_a_row_as_configured(void **state)
{
    struct stage *s = *state;
    s->conf.rest_after = 3;
    s->conf.origin_count = 1;
    struct asker a = {0};
    take_ok(s, &a);
    upstream_report(s->upstreams, &s->conf, 0, "it failed");
    upstream_report(s->upstreams, &s->conf, 0, "it failed");
    assert_false(status_of(s).resting);
    upstream_report(s->upstreams, &s->conf, 0, NULL);
    upstream_report(s->upstreams, &s->conf, 0, "it failed");
    upstream_report(s->upstreams, &s->conf, 0, "it failed");
    assert_false(status_of(s).resting);
    upstream_report(s->upstreams, &s->conf, 0, "it failed");
    assert_true(status_of(s).resting);
    discard(s, &a);
}

static void when_all_rest_the_one_that_failed_longest_ago_is_first(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 3;
    struct asker a[3] = {0};
    for (unsigned i = 0; i < 3; i++)
        take_ok(s, &a[i]);
    const unsigned order[] = {1, 2, 0};
    for (unsigned i = 0; i < 3; i++) {
        upstream_report(s->upstreams, &s->conf, order[i], "it failed");
        assert_true(run_for(s, 20));
    }
    for (unsigned i = 0; i < 3; i++)
        discard(s, &a[i]);
    struct asker b = {0};
    take_ok(s, &b);
    assert_int_equal(b.conn->origin_index, 1);
    discard(s, &b);
    stop_listening(s, 1);
    struct asker c = {0};
    take_ok(s, &c);
    assert_int_equal(c.conn->origin_index, 2);
    discard(s, &c);
}

static void every_origin_is_tried_once_and_then_it_fails(void **state)
{
    struct stage *s = *state;
    for (unsigned i = 0; i < SERVERS; i++)
        stop_listening(s, i);
    struct asker a = {0};
    take(s, &a);
    assert_int_equal(a.failed, UPSTREAM_REFUSED);
    assert_int_equal(a.wait.attempts, SERVERS);
    char expected[80];
    snprintf(expected, sizeof expected, "connect to 127.0.0.1:%u: Connection refused",
             s->ports[SERVERS - 1]);
    assert_string_equal(a.wait.why, expected);
    assert_int_equal(status_of(s).in_use, 0);
}

static void retry_bounds_the_origins_tried(void **state)
{
    struct stage *s = *state;
    for (unsigned i = 0; i < SERVERS; i++)
        stop_listening(s, i);
    for (unsigned retry = 0; retry < SERVERS; retry++) {
        s->conf.retry_max = retry;
        struct asker a = {0};
        take(s, &a);
        assert_int_equal(a.failed, UPSTREAM_REFUSED);
        assert_int_equal(a.wait.attempts, 1 + retry);
    }
}

static void origins_of_earlier_takes_are_left_out_if_there_are_others(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 2;
    struct asker a = {.wait.tried = 1};
    for (unsigned i = 0; i < 3; i++) {
        take_ok(s, &a);
        assert_int_equal(a.conn->origin_index, 1);
        discard(s, &a);
    }
    a.wait.tried = 3;
    take_ok(s, &a);
    discard(s, &a);
    s->conf.origin_count = 1;
    take_ok(s, &a);
    discard(s, &a);
}

static void what_runs_out_here_is_not_the_origins_failure(void **state)
{
    struct stage *s = *state;
    struct rlimit before, none;
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    struct asker a = {0};
    take(s, &a);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(a.failed, UPSTREAM_NO_SOCKET);
    assert_int_equal(status_of(s).failures, 0);
}

static bool raise_limit(void *user)
{
    setrlimit(RLIMIT_NOFILE, user);
    return true;
}

static void a_connect_is_tried_again_where_room_was_made(void **state)
{
    struct stage *s = *state;
    struct rlimit before, none;
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    upstreams_when_tight(s->upstreams, raise_limit, &before);
    setrlimit(RLIMIT_NOFILE, &none);
    struct asker a = {0};
    take_ok(s, &a);
    assert_int_equal(a.wait.attempts, 1);
    discard(s, &a);
}

static void idle_connections_to_origins_are_closed_on_demand_but_not_those_in_use(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 1;
    struct asker a = {0}, b = {0};
    take_ok(s, &a);
    take_ok(s, &b);
    give(s, &a);
    assert_int_equal(upstreams_close_idle(s->upstreams, 10000), 0);
    assert_int_equal(status_of(s).idle, 1);
    assert_int_equal(upstreams_close_idle(s->upstreams, 0), 1);
    assert_int_equal(status_of(s).idle, 0);
    assert_int_equal(status_of(s).in_use, 1);
    discard(s, &b);
}

/* --- the pool
 * --------------------------------------------------------------------------------------- */

static void a_connection_given_back_is_taken_again_last_in_first_out(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 1;
    struct asker a = {0}, b = {0}, c = {0};
    take_ok(s, &a);
    take_ok(s, &b);
    struct stream *last = b.conn->stream;
    assert_int_equal(status_of(s).in_use, 2);
    give(s, &a);
    give(s, &b);
    assert_int_equal(status_of(s).in_use, 0);
    assert_int_equal(status_of(s).idle, 2);
    ask(s, &c);
    assert_int_equal(c.answers, 1); /* at once */
    assert_ptr_equal(c.conn->stream, last);
    assert_true(c.conn->reused);
    assert_int_equal(c.wait.attempts, 0);
    discard(s, &c);
}

static void a_fresh_one_is_made_when_asked_for(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 1;
    struct asker a = {0}, b = {.wait.fresh = true};
    take_ok(s, &a);
    give(s, &a);
    take_ok(s, &b);
    assert_false(b.conn->reused);
    discard(s, &b);
}

static void when_an_origin_refuses_an_idle_connection_of_the_next_will_do(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 2;
    s->conf.rest_ms = 0;
    struct asker a[2] = {0}, b = {0};
    take_ok(s, &a[0]);
    take_ok(s, &a[1]);
    discard(s, &a[0]);
    give(s, &a[1]);
    stop_listening(s, 0);
    take_ok(s, &b);
    assert_int_equal(b.conn->origin_index, 1);
    assert_true(b.conn->reused);
    assert_int_equal(b.wait.attempts, 1);
    discard(s, &b);
}

static void above_the_bound_the_oldest_idle_one_is_closed(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 1;
    struct asker a[3] = {0};
    for (int i = 0; i < 3; i++)
        take_ok(s, &a[i]);
    int fd = accept_one(s, 0);
    for (int i = 0; i < 3; i++)
        give(s, &a[i]);
    assert_int_equal(status_of(s).idle, 2);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

static void nothing_is_kept_when_keepalive_is_off_or_the_connection_is_bound(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 1;
    struct asker a = {0}, b = {0};
    take_ok(s, &a);
    a.conn->bound = true;
    give(s, &a);
    assert_int_equal(status_of(s).idle, 0);
    take_ok(s, &b);
    s->conf.keepalive_max = 0;
    give(s, &b);
    assert_int_equal(status_of(s).idle, 0);
}

static void idle_connections_end_after_their_time(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 1;
    s->conf.keepalive_idle_ms = 400;
    struct asker a = {0}, b = {0};
    take_ok(s, &a);
    take_ok(s, &b);
    give(s, &a);
    assert_true(run_for(s, 250));
    give(s, &b);
    assert_int_equal(status_of(s).idle, 2);
    assert_true(run_for(s, 250));
    assert_int_equal(status_of(s).idle, 1);
    assert_true(run_for(s, 300));
    assert_int_equal(status_of(s).idle, 0);
}

enum farewell { SAYS_BYTES, SAYS_FIN, SAYS_RESET };

static void an_idle_connection_that_speaks_or_ends_is_closed_at_once(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 1;
    for (int how = SAYS_BYTES; how <= SAYS_RESET; how++) {
        struct asker a = {0};
        take_ok(s, &a);
        int fd = accept_one(s, 0);
        give(s, &a);
        struct linger now = {.l_onoff = 1};
        if (how == SAYS_BYTES)
            assert_int_equal(send(fd, "HTTP/1.1 408 \r\n", 15, MSG_NOSIGNAL), 15);
        if (how == SAYS_RESET)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        if (how != SAYS_BYTES)
            close(fd);
        assert_true(run_for(s, 30));
        assert_int_equal(status_of(s).idle, 0);
        if (how == SAYS_BYTES)
            close(fd);
    }
}

static void what_must_not_be_repeated_finds_a_stale_connection_before_the_loop_does(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 1;
    struct asker a = {0}, b = {0};
    take_ok(s, &a);
    int fd = accept_one(s, 0);
    give(s, &a);
    close(fd);
    usleep(10000);
    b.wait.idle_ms_max = 200;
    take_ok(s, &b);
    assert_false(b.conn->reused);
    discard(s, &b);
}

static void what_must_not_be_repeated_goes_only_on_one_used_just_now(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 1;
    struct asker a = {0}, b = {.wait.idle_ms_max = 50}, c = {.wait.idle_ms_max = 50};
    take_ok(s, &a);
    give(s, &a);
    take_ok(s, &b);
    assert_true(b.conn->reused);
    give(s, &b);
    assert_true(run_for(s, 100));
    take_ok(s, &c);
    assert_false(c.conn->reused);
    discard(s, &c);
    assert_int_equal(status_of(s).idle, 1);
}

/* --- names, addresses, time
 * ------------------------------------------------------------------------- */

static void the_addresses_of_a_name_are_tried_in_order_and_the_good_one_remembered(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 1;
    s->conf.keepalive_max = 0;
    const char *ips[] = {"127.0.0.2", "127.0.0.3", "127.0.0.1"};
    with_name(s, 0, ips, 3); /* the first two refuse: the listener has 127.0.0.1 only */
    struct asker a = {0};
    take_ok(s, &a);
    assert_int_equal(a.wait.attempts, 1);
    struct addr peer;
    stream_addresses(a.conn->stream, NULL, &peer);
    assert_true(addr_eq_host(&peer, &canned.addrs[2]));
    discard(s, &a);
    int fd = accept_one(s, 0);
    close(fd);
    /* Now a listener on the first as well: the remembered one still comes first. */
    uint16_t port;
    int other = listen_on("127.0.0.2", s->ports[0], &port);
    take_ok(s, &a);
    stream_addresses(a.conn->stream, NULL, &peer);
    assert_true(addr_eq_host(&peer, &canned.addrs[2]));
    discard(s, &a);
    stop_listening(s, 0);
    take_ok(s, &a);
    stream_addresses(a.conn->stream, NULL, &peer);
    assert_true(addr_eq_host(&peer, &canned.addrs[0]));
    discard(s, &a);
    close(other);
}

static void a_name_may_be_answered_later(void **state)
{
    struct stage *s = *state;
    const char *ips[] = {"127.0.0.1"};
    with_name(s, 0, ips, 1);
    canned_later = true;
    struct asker a = {0};
    ask(s, &a);
    assert_int_equal(a.answers, 0);
    asked->on_answer(asked, &canned);
    assert_false(run_for(s, 1000));
    assert_non_null(a.conn);
    assert_int_equal(a.conn->origin_index, 0);
    discard(s, &a);
}

static void an_unknown_name_goes_on_with_the_next_origin(void **state)
{
    struct stage *s = *state;
    with_name(s, 0, NULL, 0);
    canned.why = "no such name";
    struct asker a = {0};
    take_ok(s, &a);
    assert_int_equal(a.conn->origin_index, 1);
    discard(s, &a);
    s->conf.origin_count = 1;
    struct asker b = {0};
    take(s, &b);
    assert_int_equal(b.failed, UPSTREAM_UNRESOLVED);
    assert_string_equal(b.wait.why, "resolve app.internal: no such name");
}

static void a_name_without_answer_costs_no_more_than_the_connect_time(void **state)
{
    struct stage *s = *state;
    with_name(s, 0, NULL, 0);
    canned_never = true;
    s->conf.origin_count = 1;
    s->conf.connect_ms = 40;
    struct asker a = {0};
    take(s, &a);
    assert_int_equal(a.failed, UPSTREAM_UNRESOLVED);
    assert_null(asked);
}

/* A listener whose queue is full answers nothing, like an address that swallows packets. */
static int full_listener(const char *ip, uint16_t *port, int *fillers, unsigned count)
{
    int fd = listen_on(ip, 0, port);
    listen(fd, 0);
    struct addr to;
    addr_parse_ip(str_from_z(ip), &to);
    to.port = *port;
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&to, &sa);
    for (unsigned i = 0; i < count; i++) {
        fillers[i] = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(fillers[i], (struct sockaddr *)&sa, len) != 0)
            assert_int_equal(errno, EINPROGRESS);
    }
    usleep(20000);
    return fd;
}

static void a_silent_origin_times_out_and_the_next_is_tried(void **state)
{
    struct stage *s = *state;
    int fillers[4];
    uint16_t port;
    int fd = full_listener("127.0.0.9", &port, fillers, 4);
    addr_parse_ip(STR("127.0.0.9"), &s->origins[0].addr);
    s->origins[0].addr.port = port;
    s->conf.connect_ms = 400;
    struct asker a = {0}, b = {0};
    take_ok(s, &a);
    assert_int_equal(a.conn->origin_index, 1);
    discard(s, &a);
    s->conf.origin_count = 1;
    take(s, &b);
    assert_int_equal(b.failed, UPSTREAM_TIMED_OUT);
    /* As an address of a name it takes only its share of the time. */
    const char *ips[] = {"127.0.0.9", "127.0.0.1"};
    with_name(s, 0, ips, 2);
    s->origins[0].port = port;
    uint16_t same;
    int good = listen_on("127.0.0.1", port, &same);
    struct asker c = {0};
    take_ok(s, &c);
    discard(s, &c);
    close(good);
    close(fd);
    for (int i = 0; i < 4; i++)
        close(fillers[i]);
}

static void unix_sockets_are_origins(void **state)
{
    struct stage *s = *state;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    char name[64];
    snprintf(name, sizeof name, "@portcullis-test-%d", (int)getpid());
    struct addr addr = {.family = ADDR_UNIX, .path = name};
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&addr, &sa);
    (void)un;
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    s->origins[0].addr = addr;
    s->origins[0].host = STR("");
    struct asker a = {0};
    take_ok(s, &a);
    assert_int_equal(a.conn->origin_index, 0);
    discard(s, &a);
    close(fd);
    s->conf.origin_count = 1;
    take(s, &a);
    assert_int_equal(a.failed, UPSTREAM_REFUSED);
}

static void source_addresses_take_turns_and_fit_the_family(void **state)
{
    struct stage *s = *state;
    struct addr sources[3];
    addr_parse_ip(STR("::1"), &sources[0]);
    addr_parse_ip(STR("127.0.0.7"), &sources[1]);
    addr_parse_ip(STR("127.0.0.8"), &sources[2]);
    s->conf.sources = sources;
    s->conf.source_count = 3;
    s->conf.origin_count = 1;
    unsigned seen[3] = {0};
    for (int i = 0; i < 6; i++) {
        struct asker a = {.wait.fresh = true};
        take_ok(s, &a);
        struct addr local;
        stream_addresses(a.conn->stream, &local, NULL);
        for (int k = 0; k < 3; k++)
            seen[k] += addr_eq_host(&local, &sources[k]);
        discard(s, &a);
    }
    assert_int_equal(seen[0], 0);
    assert_true(seen[1] >= 2 && seen[2] >= 2);
    assert_int_equal(seen[1] + seen[2], 6);
}

static void a_source_that_is_not_ours_is_passed_over(void **state)
{
    struct stage *s = *state;
    struct addr sources[2];
    addr_parse_ip(STR("192.0.2.1"), &sources[0]); /* RFC 5737: nobody's */
    addr_parse_ip(STR("127.0.0.8"), &sources[1]);
    s->conf.sources = sources;
    s->conf.source_count = 2;
    s->conf.origin_count = 1;
    for (int i = 0; i < 2; i++) {
        struct asker a = {.wait.fresh = true};
        take_ok(s, &a);
        discard(s, &a);
    }
    s->conf.source_count = 1;
    struct asker b = {.wait.fresh = true};
    take(s, &b);
    assert_int_equal(b.failed, UPSTREAM_NO_SOCKET);
    assert_int_equal(status_of(s).failures, 0);
}

/* --- lifetimes
 * --------------------------------------------------------------------------------------- */

static void a_cancelled_wait_gets_no_answer_in_any_state(void **state)
{
    struct stage *s = *state;
    struct asker a = {0};
    ask(s, &a);
    upstream_cancel(&a.wait);
    upstream_cancel(&a.wait);
    assert_true(run_for(s, 30));
    assert_int_equal(a.answers, 0);
    assert_int_equal(status_of(s).in_use, 0);
    /* while a name is resolved */
    s->conf.origin_count = 1;
    with_name(s, 0, NULL, 0);
    canned_never = true;
    ask(s, &a);
    upstream_cancel(&a.wait);
    assert_null(asked);
    /* while a failure waits to be told */
    canned_never = false;
    ask(s, &a);
    upstream_cancel(&a.wait);
    assert_true(run_for(s, 30));
    assert_int_equal(a.answers, 0);
}

struct reentrant {
    struct upstream_wait wait;
    struct stage *stage;
    unsigned rounds;
};

static void give_and_take_again(struct upstream_wait *wait, struct origin_conn *conn)
{
    struct reentrant *r = LIST_OF(wait, struct reentrant, wait);
    if (r->rounds % 2 == 0)
        upstream_give(r->stage->upstreams, conn, &r->stage->conf);
    else
        upstream_discard(r->stage->upstreams, conn);
    if (r->rounds-- == 0)
        loop_stop(r->stage->loop);
    else
        upstream_take(r->stage->upstreams, wait);
}

static void a_callback_may_give_back_discard_and_take_again(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 2;
    struct reentrant r = {.stage = s, .rounds = 9};
    r.wait.conf = &s->conf;
    r.wait.on_ready = give_and_take_again;
    upstream_take(s->upstreams, &r.wait);
    assert_false(run_for(s, 2000));
    assert_int_equal(status_of(s).in_use, 0);
}

static void free_the_wait(struct upstream_wait *wait, enum upstream_failure failure)
{
    (void)failure;
    loop_stop(LIST_OF(wait, struct reentrant, wait)->stage->loop);
    free(LIST_OF(wait, struct reentrant, wait));
}

static void a_callback_may_free_the_wait(void **state)
{
    struct stage *s = *state;
    for (unsigned i = 0; i < SERVERS; i++)
        stop_listening(s, i);
    struct reentrant *r = calloc(1, sizeof *r);
    r->stage = s;
    r->wait.conf = &s->conf;
    r->wait.on_failed = free_the_wait;
    upstream_take(s->upstreams, &r->wait);
    assert_false(run_for(s, 2000));
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_begin, stage_end)

/* A fresh connection, one given back and taken again, one that waits in a queue. */
static void one_take(void *state)
{
    struct stage *s = state;
    struct origin_registry *registry = origin_registry_new();
    struct upstreams *upstreams =
        registry == NULL ? NULL : upstreams_new(s->loop, fake_resolver, registry);
    struct stage mine = *s;
    mine.registry = registry;
    mine.upstreams = upstreams;
    for (int i = 0; upstreams != NULL && i < 3; i++) {
        struct asker a = {.wait.fresh = i == 1};
        take(&mine, &a);
        assert_true(a.conn != NULL || alloc_has_failed());
        if (a.conn != NULL && i == 0)
            give(&mine, &a);
        else if (a.conn != NULL)
            discard(&mine, &a);
        assert_int_equal(status_of(&mine).failures, 0);
    }
    upstreams_end(upstreams);
    origin_registry_end(registry);
    for (unsigned i = 0; i < SERVERS; i++)
        for (int fd; (fd = accept(s->listeners[i], NULL, NULL)) >= 0;)
            close(fd);
}

static void without_memory_a_request_fails_and_the_origin_does_not(void **state)
{
    struct stage *s = *state;
    s->conf.origin_count = 2;
    static const char *const ips[] = {"127.0.0.1"};
    assert_true(alloc_walk(one_take, s) > 5);
    with_name(s, 0, ips, 1);
    assert_true(alloc_walk(one_take, s) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(origins_take_turns),
        STAGED(a_refusing_origin_is_passed_over_and_rests),
        STAGED(after_its_rest_an_origin_is_tried_again),
        STAGED(it_rests_only_after_as_many_failures_in_a_row_as_configured),
        STAGED(when_all_rest_the_one_that_failed_longest_ago_is_first),
        STAGED(every_origin_is_tried_once_and_then_it_fails),
        STAGED(retry_bounds_the_origins_tried),
        STAGED(origins_of_earlier_takes_are_left_out_if_there_are_others),
        STAGED(what_runs_out_here_is_not_the_origins_failure),
        STAGED(a_connect_is_tried_again_where_room_was_made),
        STAGED(idle_connections_to_origins_are_closed_on_demand_but_not_those_in_use),
        STAGED(a_connection_given_back_is_taken_again_last_in_first_out),
        STAGED(a_fresh_one_is_made_when_asked_for),
        STAGED(when_an_origin_refuses_an_idle_connection_of_the_next_will_do),
        STAGED(above_the_bound_the_oldest_idle_one_is_closed),
        STAGED(nothing_is_kept_when_keepalive_is_off_or_the_connection_is_bound),
        STAGED(idle_connections_end_after_their_time),
        STAGED(an_idle_connection_that_speaks_or_ends_is_closed_at_once),
        STAGED(what_must_not_be_repeated_finds_a_stale_connection_before_the_loop_does),
        STAGED(what_must_not_be_repeated_goes_only_on_one_used_just_now),
        STAGED(the_addresses_of_a_name_are_tried_in_order_and_the_good_one_remembered),
        STAGED(a_name_may_be_answered_later),
        STAGED(an_unknown_name_goes_on_with_the_next_origin),
        STAGED(a_name_without_answer_costs_no_more_than_the_connect_time),
        STAGED(a_silent_origin_times_out_and_the_next_is_tried),
        STAGED(unix_sockets_are_origins),
        STAGED(source_addresses_take_turns_and_fit_the_family),
        STAGED(a_source_that_is_not_ours_is_passed_over),
        STAGED(a_cancelled_wait_gets_no_answer_in_any_state),
        STAGED(a_callback_may_give_back_discard_and_take_again),
        STAGED(a_callback_may_free_the_wait),
        STAGED(without_memory_a_request_fails_and_the_origin_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
