/* Idle connections and the addresses of their origin's name. */
#include "upstream/name_watch.h"

#include "net/tcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* --- a resolver that knows what the test says ----------------------------------------------------
 */

static struct resolver_answer canned;
static bool canned_never;
static unsigned questions, cancelled;
static struct resolver *const fake_resolver = (struct resolver *)&canned;

void resolver_ask(struct resolver *resolver, struct resolver_wait *wait)
{
    (void)resolver;
    assert_true(str_eq(wait->name, STR("app.test")));
    questions++;
    if (!canned_never)
        wait->on_answer(wait, &canned);
}

void resolver_cancel(struct resolver_wait *wait)
{
    (void)wait;
    cancelled++;
}

static void names_are(const char *one, const char *two)
{
    canned = (struct resolver_answer){0};
    if (one != NULL)
        assert_true(addr_parse_ip(str_from_z(one), &canned.addrs[canned.count++]));
    if (two != NULL)
        assert_true(addr_parse_ip(str_from_z(two), &canned.addrs[canned.count++]));
}

/* --- a pool --------------------------------------------------------------------------------------
 */

struct stage {
    struct loop *loop;
    struct pool pool;
    uint64_t closed_early_ms;
    struct name_watch *watch;
    struct loop_timer timer;
    int others[8]; /* the far ends */
    unsigned count;
};

static void nothing(void *user)
{
    (void)user;
}
static void no_bytes(void *user, struct str bytes)
{
    (void)user;
    (void)bytes;
}
static void no_end(void *user, enum stream_end end)
{
    (void)user;
    (void)end;
}
static const struct stream_user nobody = {
    .on_open = nothing, .on_bytes = no_bytes, .on_end = no_end, .on_drained = nothing};

static int begin(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    s->loop = loop_new(0);
    pool_init(&s->pool, s->loop, &s->closed_early_ms);
    s->watch = name_watch_new(fake_resolver, STR("app.test"), &s->pool);
    assert_non_null(s->watch);
    questions = cancelled = 0;
    canned_never = false;
    *state = s;
    return 0;
}

static int end(void **state)
{
    struct stage *s = *state;
    name_watch_end(s->watch);
    pool_fini(&s->pool);
    for (unsigned i = 0; i < s->count; i++)
        close(s->others[i]);
    loop_end(s->loop);
    free(s);
    return 0;
}

static struct addr addr_of(const char *ip)
{
    struct addr addr;
    assert_true(addr_parse_ip(str_from_z(ip), &addr));
    addr.port = 8080;
    return addr;
}

/* A kept connection that says it leads there; false when it is not to be kept. */
static bool keep(struct stage *s, const char *ip)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    s->others[s->count++] = fds[1];
    struct stream *stream = tcp_open(s->loop, fds[0], &nobody, NULL);
    assert_non_null(stream);
    struct origin_conn *conn = pool_conn_new(stream);
    assert_non_null(conn);
    conn->peer = addr_of(ip);
    if (!name_watch_keep(s->watch, &conn->peer)) {
        pool_conn_end(conn);
        return false;
    }
    pool_add(&s->pool, conn, 8, 60000);
    return true;
}

static void ring(struct loop_timer *timer)
{
    loop_stop(LIST_OF(timer, struct stage, timer)->loop);
}

static void wait_a_look(struct stage *s)
{
    s->timer.on_fire = ring;
    timer_set(s->loop, &s->timer, NAME_WATCH_MS + 50);
    loop_run(s->loop);
}

static void connections_to_addresses_that_vanish_go(void **state)
{
    struct stage *s = *state;
    names_are("192.0.2.1", "192.0.2.2");
    assert_true(keep(s, "192.0.2.1") && keep(s, "192.0.2.2") && keep(s, "192.0.2.1"));
    wait_a_look(s);
    assert_int_equal(s->pool.count, 3);
    names_are("192.0.2.2", "192.0.2.3");
    wait_a_look(s);
    assert_int_equal(s->pool.count, 1);
    /* One that was in use meanwhile is not kept; one to a new address is. */
    assert_false(keep(s, "192.0.2.1"));
    assert_true(keep(s, "192.0.2.3"));
    assert_int_equal(s->pool.count, 2);
}

static void a_name_that_is_gone_has_no_addresses(void **state)
{
    struct stage *s = *state;
    names_are("192.0.2.1", NULL);
    assert_true(keep(s, "192.0.2.1"));
    names_are(NULL, NULL);
    wait_a_look(s);
    assert_int_equal(s->pool.count, 0);
}

static void nobody_is_asked_for_an_empty_pool(void **state)
{
    struct stage *s = *state;
    names_are("192.0.2.1", NULL);
    wait_a_look(s);
    assert_int_equal(questions, 0);
    assert_true(keep(s, "192.0.2.1"));
    pool_fini(&s->pool);
    wait_a_look(s);
    wait_a_look(s);
    assert_int_equal(questions, 1);
}

static void while_no_answer_comes_nothing_is_asked_again_or_closed(void **state)
{
    struct stage *s = *state;
    canned_never = true;
    assert_true(keep(s, "192.0.2.1"));
    wait_a_look(s);
    wait_a_look(s);
    assert_int_equal(questions, 1);
    assert_int_equal(s->pool.count, 1);
    name_watch_end(s->watch);
    s->watch = NULL;
    assert_int_equal(cancelled, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connections_to_addresses_that_vanish_go),
        TEST(a_name_that_is_gone_has_no_addresses),
        TEST(nobody_is_asked_for_an_empty_pool),
        TEST(while_no_answer_comes_nothing_is_asked_again_or_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
