/* Checks of origins, and the probe that makes them: against origins on this very loop. */
#include "upstream/health.h"

#include "base/arena.h"
#include "base/log.h"
#include "net/resolver.h"
#include "net/tcp.h"
#include "upstream/origin_shared.h"
#include "upstream/probe.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fail.h"

/* Addresses are used alone. */
void resolver_ask(struct resolver *resolver, struct resolver_wait *wait)
{
    (void)resolver;
    (void)wait;
    fail();
}
void resolver_cancel(struct resolver_wait *wait)
{
    (void)wait;
}

/* --- an origin with manners ----------------------------------------------------------------------
 */

enum { CONNS_MAX = 64 };

struct stage {
    struct loop *loop;
    struct loop_io listener;
    uint16_t port;
    struct stream *conns[CONNS_MAX];
    struct str answer; /* empty: none */
    bool hangs_up;     /* behind the answer, or at once */
    char request[1024];
    unsigned accepts;
    struct loop_timer timer;
    struct check_conf check;
    struct origin_conf origin;
    struct upstream_conf conf;
    struct health *health;
    struct origin_registry *origins;
    struct origin_shared *shared;
    bool was_down;
    unsigned ticks;
    enum probe_result result;
};

static struct stage *stage_of_conn;

static void conn_bytes(void *user, struct str bytes)
{
    struct stage *s = stage_of_conn;
    struct stream **slot = user;
    snprintf(s->request, sizeof s->request, "%.*s", STR_ARG(bytes));
    if (s->answer.len != 0)
        stream_send_str(*slot, s->answer);
    if (s->hangs_up) {
        stream_close(*slot);
        *slot = NULL;
    }
}
static void conn_end(void *user, enum stream_end end)
{
    struct stream **slot = user;
    (void)end;
    stream_close(*slot);
    *slot = NULL;
}
static void conn_drained(void *user)
{
    (void)user;
}
static const struct stream_user conn_user = {
    .on_bytes = conn_bytes, .on_end = conn_end, .on_drained = conn_drained};

static void on_accept(struct loop_io *io, uint32_t events)
{
    struct stage *s = LIST_OF(io, struct stage, listener);
    (void)events;
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    s->accepts++;
    struct stream **slot = s->conns;
    while (*slot != NULL)
        slot++;
    assert_true(slot < s->conns + CONNS_MAX);
    *slot = tcp_open(s->loop, fd, &conn_user, slot);
    assert_non_null(*slot);
}

static int stage_begin(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    struct addr addr;
    struct sockaddr_storage sa;
    stage_of_conn = s;
    s->loop = loop_new(0);
    assert_true(addr_parse_ip(STR("127.0.0.1"), &addr));
    socklen_t len = addr_to_sockaddr(&addr, &sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_true(addr_from_sockaddr(&addr, (struct sockaddr *)&sa, len));
    s->port = addr.port;
    s->listener = (struct loop_io){.fd = fd, .on_event = on_accept};
    assert_true(loop_add(s->loop, &s->listener, LOOP_IN));
    s->answer = STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    s->check = (struct check_conf){.target = STR("/healthz?x=1"),
                                   .every_ms = 50,
                                   .timeout_ms = 150,
                                   .status_min = 200,
                                   .status_max = 399,
                                   .fall = 1,
                                   .rise = 1,
                                   .identity = 5};
    s->origin = (struct origin_conf){.text = STR("origin"),
                                     .host = STR("127.0.0.1"),
                                     .port = s->port,
                                     .addr = addr,
                                     .identity = 7};
    s->conf = (struct upstream_conf){.origins = &s->origin, .origin_count = 1, .check = &s->check};
    s->origins = origin_registry_new();
    s->shared = origin_shared_take(s->origins, s->origin.identity, s->origin.text);
    assert_non_null(s->shared);
    const struct health_conf conf = {.loop = s->loop, .origins = s->origins};
    s->health = health_new(&conf);
    assert_non_null(s->health);
    /* What is told to people is not what is tested. */
    log_init(open("/dev/null", O_WRONLY | O_CLOEXEC));
    *state = s;
    return 0;
}

static int stage_end(void **state)
{
    struct stage *s = *state;
    health_end(s->health);
    origin_shared_give(s->origins, s->shared);
    origin_registry_end(s->origins);
    for (unsigned i = 0; i < CONNS_MAX; i++)
        if (s->conns[i] != NULL)
            stream_close(s->conns[i]);
    loop_remove(s->loop, &s->listener);
    close(s->listener.fd);
    loop_end(s->loop);
    free(s);
    return 0;
}

static void ring(struct loop_timer *timer)
{
    loop_stop(LIST_OF(timer, struct stage, timer)->loop);
}

static void run_for(struct stage *s, uint64_t ms)
{
    s->timer.on_fire = ring;
    timer_set(s->loop, &s->timer, ms);
    loop_run(s->loop);
    timer_clear(&s->timer);
}

static bool is_down(const struct stage *s)
{
    return (origin_shared_state(s->shared) & ORIGIN_DOWN) != 0;
}

static void on_tick(struct loop_timer *timer)
{
    struct stage *s = LIST_OF(timer, struct stage, timer);
    if (is_down(s) != s->was_down || --s->ticks == 0)
        loop_stop(s->loop);
    else
        timer_set(s->loop, timer, 1);
}

/* The accepts are those until then. */
static void run_until(struct stage *s, bool down)
{
    assert_int_equal(is_down(s), !down);
    s->was_down = !down;
    s->ticks = 5000;
    s->timer.on_fire = on_tick;
    timer_set(s->loop, &s->timer, 1);
    loop_run(s->loop);
    assert_int_equal(is_down(s), down);
}

static void use(struct stage *s, const struct upstream_conf *conf)
{
    health_begin(s->health);
    if (conf != NULL)
        health_add(s->health, conf);
    health_commit(s->health);
}

/* --- the probe -----------------------------------------------------------------------------------
 */

static struct stage *probing;

static void on_probed(struct probe *probe, enum probe_result result)
{
    (void)probe;
    probing->result = result;
    loop_stop(probing->loop);
}

static struct probe probe_once(struct stage *s)
{
    static struct probe probe;
    probe = (struct probe){.loop = s->loop,
                           .conf = &s->conf,
                           .to = &s->origin,
                           .check = &s->check,
                           .on_done = on_probed};
    probing = s;
    probe_start(&probe);
    run_for(s, 5000);
    return probe;
}

static void an_answer_is_well_or_not(void **state)
{
    struct stage *s = *state;
    static char big[PROBE_BODY_MAX + 200], big_head[64 * 1024];
    int head = snprintf(big, sizeof big, "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n");
    memset(big + head, 'x', sizeof big - (size_t)head);
    head = snprintf(big_head, sizeof big_head, "HTTP/1.1 200 OK\r\nX: ");
    memset(big_head + head, 'x', sizeof big_head - (size_t)head);
    const struct {
        struct str answer;
        bool hangs_up;
        enum probe_result result;
        const char *why;
    } rows[] = {
        {STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), false, PROBE_WELL, ""},
        {STR("HTTP/1.1 204 No\r\n\r\n"), false, PROBE_WELL, ""},
        {STR("HTTP/1.1 399 X\r\nContent-Length: 0\r\n\r\n"), false, PROBE_WELL, ""},
        {STR("HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n"), false, PROBE_ILL, "answered 400"},
        {STR("HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n"), false,
         PROBE_WELL, ""},
        {STR("HTTP/1.1 103 X\r\n\r\n"), false, PROBE_ILL, "did not"},
        {STR("HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), false, PROBE_ILL,
         "101"},
        {STR("HTTP/1.0 200 OK\r\n\r\nbody"), true, PROBE_WELL, ""},
        {STR("HTTP/1.1 200 OK\r\n\r\nbody"), false, PROBE_ILL, "did not end in time"},
        {STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"), false,
         PROBE_WELL, ""},
        {STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), false, PROBE_ILL,
         "chunk"},
        {STR("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), true, PROBE_ILL, "middle"},
        {STR("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), false, PROBE_ILL,
         "did not end in time"},
        {STR("HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nok"), true, PROBE_ILL, "length"},
        {STR("SSH-2.0-OpenSSH_9.2\r\n"), false, PROBE_ILL, ""},
        {STR("HTTP/1.1 200 OK\n\n"), false, PROBE_ILL, ""},
        {STR(""), true, PROBE_ILL, "without an answer"},
        {STR(""), false, PROBE_ILL, "did not answer in time"},
        {str_from(big, sizeof big), false, PROBE_WELL, ""},
        {str_from(big_head, sizeof big_head), false, PROBE_ILL, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        s->answer = rows[i].answer;
        s->hangs_up = rows[i].hangs_up;
        struct probe probe = probe_once(s);
        if (s->result != rows[i].result)
            fail_msg("row %zu: %d, %s", i, (int)s->result, probe.why);
        if (s->result == PROBE_ILL)
            assert_int_not_equal(strlen(probe.why), 0);
        if (strcasestr(probe.why, rows[i].why) == NULL)
            fail_msg("row %zu: %s", i, probe.why);
    }
}

static void the_request_is_a_plain_get(void **state)
{
    struct stage *s = *state;
    char host[64];
    probe_once(s);
    assert_int_equal(s->result, PROBE_WELL);
    assert_int_equal(strncmp(s->request, "GET /healthz?x=1 HTTP/1.1\r\n", 27), 0);
    snprintf(host, sizeof host, "\r\nHost: 127.0.0.1:%u\r\n", s->port);
    assert_non_null(strstr(s->request, host));
    assert_non_null(strstr(s->request, "\r\nConnection: close\r\n"));
    s->check.host = STR("app.internal");
    probe_once(s);
    assert_non_null(strstr(s->request, "\r\nHost: app.internal\r\n"));
}

static void tcp_is_a_connect(void **state)
{
    struct stage *s = *state;
    s->check.tcp = true;
    s->answer = STR("");
    probe_once(s);
    assert_int_equal(s->result, PROBE_WELL);
    assert_string_equal(s->request, "");
    loop_remove(s->loop, &s->listener);
    close(s->listener.fd);
    struct probe probe = probe_once(s);
    assert_int_equal(s->result, PROBE_ILL);
    assert_non_null(strstr(probe.why, "refused"));
    s->listener.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(loop_add(s->loop, &s->listener, LOOP_IN));
}

static void want_of_sockets_says_nothing_about_the_origin(void **state)
{
    struct stage *s = *state;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    probe_once(s);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(s->result, PROBE_UNKNOWN);
}

/* Wherever memory runs out the probe ends, and what was not read is not called well. */
static void a_probe_bears_the_loss_of_any_allocation(void **state)
{
    struct stage *s = *state;
    unsigned unknown = 0;
    uint64_t n = 0;
    do {
        s->result = (enum probe_result)9;
        arena_fail_at(++n);
        probe_once(s);
        arena_fail_at(0);
        assert_in_range(s->result, PROBE_WELL, PROBE_UNKNOWN);
        unknown += s->result == PROBE_UNKNOWN;
    } while (n < 30);
    assert_true(unknown > 0);
    assert_int_equal(s->result, PROBE_WELL); /* all allocations were reached */
}

static void a_probe_stops_in_any_state(void **state)
{
    struct stage *s = *state;
    static struct probe probe;
    probe_stop(&probe);
    for (uint64_t ms = 0; ms < 12; ms++) {
        probe = (struct probe){.loop = s->loop,
                               .conf = &s->conf,
                               .to = &s->origin,
                               .check = &s->check,
                               .on_done = on_probed};
        s->result = PROBE_ILL;
        probing = s;
        probe_start(&probe);
        if (ms != 0)
            run_for(s, ms);
        probe_stop(&probe);
        probe_stop(&probe);
    }
}

/* --- falling and rising --------------------------------------------------------------------------
 */

static void an_origin_falls_and_rises_after_so_many_in_a_row(void **state)
{
    struct stage *s = *state;
    s->check.fall = 3;
    s->check.rise = 2;
    use(s, &s->conf);
    run_for(s, 300);
    assert_false(is_down(s));
    assert_true(s->accepts >= 3);
    s->answer = STR("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n");
    s->accepts = 0;
    run_until(s, true);
    assert_int_equal(s->accepts, 3);
    assert_string_equal(s->shared->cause, "it answered 503");
    assert_int_not_equal(s->shared->last_failed_ms, 0);
    s->answer = STR("HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n");
    s->accepts = 0;
    run_until(s, false);
    assert_int_equal(s->accepts, 2);
}

static void two_routes_make_one_check(void **state)
{
    struct stage *s = *state;
    struct upstream_conf other = s->conf;
    health_begin(s->health);
    for (unsigned i = 0; i < 100; i++)
        health_add(s->health, i % 2 ? &s->conf : &other);
    health_commit(s->health);
    run_for(s, 500);
    assert_in_range(s->accepts, 3, 11);
}

static void a_reload_keeps_what_is_known(void **state)
{
    struct stage *s = *state;
    s->check.fall = 2;
    s->answer = STR("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n");
    use(s, &s->conf);
    run_until(s, true);
    /* The same in other memory: still down, and a look that was under way is begun anew. */
    struct upstream_conf again = s->conf;
    struct check_conf check = s->check;
    again.check = &check;
    for (unsigned i = 0; i < 20; i++) {
        use(s, i % 2 ? &s->conf : &again);
        run_for(s, 5 + i);
        assert_true(is_down(s));
    }
    s->answer = STR("HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n");
    run_until(s, false);
}

static void what_is_named_no_more_is_neither_looked_at_nor_down(void **state)
{
    struct stage *s = *state;
    s->answer = STR("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n");
    use(s, &s->conf);
    run_until(s, true);
    use(s, NULL);
    assert_false(is_down(s));
    s->accepts = 0;
    run_for(s, 200);
    assert_int_equal(s->accepts, 0);
}

static void of_two_checks_both_must_be_well(void **state)
{
    struct stage *s = *state;
    struct check_conf tcp = s->check;
    tcp.tcp = true;
    tcp.identity = 6;
    struct upstream_conf other = s->conf;
    other.check = &tcp;
    s->answer = STR("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n");
    health_begin(s->health);
    health_add(s->health, &s->conf);
    health_add(s->health, &other);
    health_commit(s->health);
    run_until(s, true);
    for (unsigned i = 0; i < 20; i++) {
        run_for(s, 15);
        assert_true(is_down(s));
    }
}

static void first_looks_are_spread(void **state)
{
    struct stage *s = *state;
    struct origin_conf origins[32];
    s->check.every_ms = 1000;
    for (unsigned i = 0; i < 32; i++) {
        origins[i] = s->origin;
        origins[i].identity = 100 + i;
    }
    s->conf.origins = origins;
    s->conf.origin_count = 32;
    use(s, &s->conf);
    run_for(s, 500);
    assert_in_range(s->accepts, 4, 28);
    run_for(s, 600);
    assert_in_range(s->accepts, 32, 40);
    use(s, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

static void one_watch(void *state)
{
    struct stage *s = state;
    const struct health_conf conf = {.loop = s->loop, .origins = s->origins};
    struct health *health = health_new(&conf);
    assert_true(health != NULL || alloc_has_failed());
    if (health == NULL)
        return;
    health_begin(health);
    health_add(health, &s->conf);
    health_commit(health);
    health_end(health);
}

static void without_memory_an_origin_is_not_looked_at(void **state)
{
    assert_true(alloc_walk(one_watch, *state) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_is_well_or_not),
        TEST(the_request_is_a_plain_get),
        TEST(tcp_is_a_connect),
        TEST(want_of_sockets_says_nothing_about_the_origin),
        TEST(a_probe_bears_the_loss_of_any_allocation),
        TEST(a_probe_stops_in_any_state),
        TEST(an_origin_falls_and_rises_after_so_many_in_a_row),
        TEST(two_routes_make_one_check),
        TEST(a_reload_keeps_what_is_known),
        TEST(what_is_named_no_more_is_neither_looked_at_nor_down),
        TEST(of_two_checks_both_must_be_well),
        TEST(first_looks_are_spread),
        TEST(without_memory_an_origin_is_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
