/*
 * The request path as a whole, over real sockets: a front on a loop of its own thread, a snapshot
 * made by hand, a client and an origin that are scripted here.
 */
#include "proxy/front.h"

#include "base/arena.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "proxy/room.h"
#include "proxy/route.h"
#include "proxy/snapshot.h"
#include "tls/tls_tickets.h"
#include "upstream/origin_shared.h"
#include "upstream/upstream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fail.h"

enum { WAIT_MS = 5000 };

struct world {
    struct loop *loop;
    struct resolver_hub *hub;
    struct resolver *resolver;
    struct tls_tickets *tickets;
    struct origin_registry *origins;
    struct front *front;
    struct snapshot *snapshot;
    struct arena *arena;
    pthread_t thread;
    int origin_fd; /* listening */
    uint16_t port, origin_port;
};

static int listen_on(uint16_t *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    *port = ntohs(in.sin_port);
    return fd;
}

/* ---- the snapshot ---- */

static struct template text_template(struct arena *arena, const char *text)
{
    struct template t;
    size_t at, len;
    assert_true(template_compile(arena, str_from_z(text), true, &t, &at, &len));
    return t;
}

static struct upstream_conf *make_upstream(struct world *w)
{
    struct upstream_conf *conf = ARENA_NEW(w->arena, struct upstream_conf);
    conf->origins = ARENA_NEW(w->arena, struct origin_conf);
    conf->origin_count = 1;
    conf->name = conf->origins[0].text = STR("origin");
    conf->origins[0].host = STR("127.0.0.1");
    conf->origins[0].port = w->origin_port;
    conf->origins[0].identity = 42;
    assert_true(addr_parse_ip(STR("127.0.0.1"), &conf->origins[0].addr));
    conf->origins[0].addr.port = w->origin_port;
    conf->connect_ms = 1000;
    conf->keepalive_max = 4;
    conf->keepalive_idle_ms = 30000;
    conf->rest_ms = 50;
    conf->rest_after = 1;
    conf->retry_max = 2;
    conf->identity = 7;
    return conf;
}

static void add_route(struct site *site, enum pattern_kind kind, const char *path,
                      struct target target)
{
    struct route *route = &site->routes[site->route_count++];
    route->site = site;
    route->kind = kind;
    route->path = route->pattern = str_from_z(path);
    route->conf = site->conf;
    route->target = target;
    route->order = (uint32_t)site->route_count;
}

static struct site *make_site(struct world *w)
{
    struct arena *arena = w->arena;
    struct site *site = ARENA_NEW(arena, struct site);
    struct route_conf *conf = ARENA_NEW(arena, struct route_conf);
    *conf = (struct route_conf){.body_ms = 500,
                                .send_ms = 5000,
                                .answer_ms = 400,
                                .stream_ms = 5000,
                                .quiet_ms = 5000,
                                .body_bytes_max = 1000,
                                .websocket = true};
    site->part.arena = arena_new(1 << 20, 1024);
    site->part.held = 1;
    site->name = STR("*");
    site->hosts = &site->name;
    site->host_count = 1;
    site->listeners = 1;
    site->conf = conf;
    site->plain_http = PLAIN_SERVE;
    site->routes = arena_array(arena, 8, sizeof *site->routes);
    add_route(site, PATTERN_EXACT, "/hello",
              (struct target){.action = ACTION_RESPOND,
                              .status = 200,
                              .content_type = STR("text/plain"),
                              .text = text_template(arena, "hello $path")});
    add_route(site, PATTERN_PREFIX, "/old/",
              (struct target){.action = ACTION_REDIRECT,
                              .status = 308,
                              .text = text_template(arena, "/new/*")});
    add_route(site, PATTERN_PREFIX, "/app/",
              (struct target){.action = ACTION_FORWARD, .upstream = make_upstream(w)});
    site->routes[2].strip = true;
    struct route_conf *big = ARENA_NEW(arena, struct route_conf);
    *big = *conf;
    big->body_bytes_max = UINT64_MAX;
    add_route(site, PATTERN_PREFIX, "/big/",
              (struct target){.action = ACTION_FORWARD, .upstream = make_upstream(w)});
    site->routes[3].conf = big;
    site->router = router_build(arena, site->routes, site->route_count);
    assert_non_null(site->router);
    return site;
}

static void make_snapshot(struct world *w)
{
    w->arena = arena_new(1 << 20, 4096);
    struct snapshot *s = ARENA_NEW(w->arena, struct snapshot);
    s->arena = w->arena;
    s->generation = 1;
    s->sites = ARENA_NEW(w->arena, struct site *);
    s->sites[0] = make_site(w);
    s->site_count = 1;
    s->listeners = ARENA_NEW(w->arena, struct listener);
    s->listener_count = 1;
    assert_true(addr_parse_ip(STR("127.0.0.1"), &s->listeners[0].addr));
    s->listeners[0].addr.port = w->port;
    s->head_limits = (struct head_limits){8192, 100, 32768};
    s->handshake_ms = 1000;
    s->head_ms = 300;
    s->idle_ms = 300;
    assert_true(snapshot_link(s));
    w->snapshot = s;
}

static void *run_loop(void *loop)
{
    loop_run(loop);
    return NULL;
}

static int start(void **state)
{
    static struct world w;
    w = (struct world){0};
    int fd = listen_on(&w.port);
    w.origin_fd = listen_on(&w.origin_port);
    w.loop = loop_new(0);
    w.hub = resolver_hub_new(w.loop, STR(""), STR(""));
    w.resolver = resolver_new(w.hub, w.loop);
    w.tickets = tls_tickets_new();
    w.origins = origin_registry_new();
    struct front_conf conf = {.loop = w.loop,
                              .threads = 1,
                              .resolver = w.resolver,
                              .tickets = w.tickets,
                              .origins = w.origins};
    w.front = front_new(&conf);
    assert_non_null(w.front);
    make_snapshot(&w);
    front_use(w.front, w.snapshot);
    assert_true(front_listen(w.front, &w.snapshot->listeners[0].addr, false, fd));
    assert_int_equal(pthread_create(&w.thread, NULL, run_loop, w.loop), 0);
    *state = &w;
    return 0;
}

static int stop(void **state)
{
    struct world *w = *state;
    loop_stop(w->loop);
    pthread_join(w->thread, NULL);
    front_end(w->front);
    resolver_end(w->resolver);
    resolver_hub_end(w->hub);
    loop_end(w->loop);
    tls_tickets_end(w->tickets);
    origin_registry_end(w->origins);
    close(w->origin_fd);
    arena_end(w->snapshot->sites[0]->part.arena);
    arena_end(w->arena);
    return 0;
}

/* ---- client and origin ---- */

static int client(const struct world *w)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(w->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

static void wait_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

static int accept_origin(const struct world *w)
{
    wait_readable(w->origin_fd);
    int fd = accept4(w->origin_fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads until the text has come (then true) or the end. */
static char heard[65536];
static bool hear(int fd, const char *until)
{
    size_t len = 0;
    for (;;) {
        wait_readable(fd);
        ssize_t n = recv(fd, heard + len, sizeof heard - 1 - len, 0);
        if (n <= 0) {
            heard[len] = '\0';
            return until == NULL;
        }
        len += (size_t)n;
        heard[len] = '\0';
        if (until != NULL && strstr(heard, until) != NULL)
            return true;
    }
}

/* Runs a function on the loop's thread and waits until it has. */
struct errand {
    struct loop_task task;
    void (*run)(struct world *w);
    struct world *w;
    atomic_bool done;
};

static void run_errand(struct loop_task *task)
{
    struct errand *errand = (struct errand *)(void *)task;
    errand->run(errand->w);
    atomic_store(&errand->done, true);
}

static void on_loop(struct world *w, void (*run)(struct world *w))
{
    struct errand errand = {.task.run = run_errand, .run = run, .w = w};
    loop_post(w->loop, &errand.task);
    while (!atomic_load(&errand.done))
        usleep(1000);
}

/* Waits for sessions to end. */
static void expect_no_sessions(const struct world *w)
{
    for (int i = 0; i < 2000 && atomic_load(&front_counters(w->front)->sessions) != 0; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&front_counters(w->front)->sessions), 0);
    assert_int_equal(atomic_load(&front_counters(w->front)->exchanges), 0);
}

/* ---- claims ---- */

static void a_respond_route_answers_and_the_connection_stays(void **state)
{
    int fd = client(*state);
    for (int i = 0; i < 3; i++) {
        say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_true(hear(fd, "hello /hello"));
        assert_non_null(strstr(heard, "HTTP/1.1 200 OK\r\n"));
        assert_non_null(strstr(heard, "Content-Length: 12\r\n"));
    }
    close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    int fd = client(*state);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /old/x?q=1 HTTP/1.1\r\nHost: a\r\n\r\n"
            "GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_true(hear(fd, NULL));
    const char *first = strstr(heard, "hello /hello"),
               *second = strstr(heard, "Location: /new/x?q=1"),
               *third = strstr(heard, "404 Not Found");
    assert_true(first != NULL && second != NULL && third != NULL);
    assert_true(first < second && second < third);
    close(fd);
}

/* More than are taken in one turn. */
static void hundreds_of_pipelined_requests_are_answered_also_behind_a_fin(void **state)
{
    enum { COUNT = 300 };
    static const char one[] = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    static char all[COUNT * sizeof one];
    struct world *w = *state;
    for (int i = 0; i < COUNT; i++)
        strcat(all, one);
    int fd = client(w), other = client(w);
    say(fd, all);
    shutdown(fd, SHUT_WR);
    assert_true(hear(fd, NULL));
    int answers = 0;
    for (const char *at = heard; (at = strstr(at, "hello /hello")) != NULL; at++)
        answers++;
    assert_int_equal(answers, COUNT);
    say(other, all); /* and one that leaves in the middle */
    close(other);
    close(fd);
    expect_no_sessions(w);
}

static void a_request_byte_by_byte_is_answered_like_any_other(void **state)
{
    const char *request = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    int fd = client(*state);
    for (const char *p = request; *p; p++)
        assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
    assert_true(hear(fd, "hello /hello"));
    close(fd);
}

static void a_malformed_head_gets_a_400_and_a_close(void **state)
{
    int fd = client(*state);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_true(hear(fd, NULL));
    assert_non_null(strstr(heard, "400 Bad Request"));
    assert_non_null(strstr(heard, "Connection: close"));
    close(fd);
}

static void a_get_is_forwarded_with_its_prefix_stripped(void **state)
{
    const struct world *w = *state;
    int fd = client(w);
    say(fd, "GET /app/x%2Fy?z HTTP/1.1\r\nHost: pub\r\nX-Forwarded-For: 6.6.6.6\r\n"
            "Connection: close, X-Mine\r\nX-Mine: 1\r\nX_Under: 1\r\n\r\n");
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    assert_non_null(strstr(heard, "GET /x%2Fy?z HTTP/1.1\r\nHost: pub\r\n"));
    assert_non_null(strstr(heard, "X-Forwarded-For: 127.0.0.1\r\n"));
    assert_non_null(strstr(heard, "X-Forwarded-Prefix: /app\r\n"));
    assert_null(strstr(heard, "6.6.6.6"));
    assert_null(strstr(heard, "X-Mine"));
    assert_null(strstr(heard, "X_Under"));
    say(origin, "HTTP/1.1 302 Found\r\nServer: secret\r\nLocation: /login\r\n"
                "Set-Cookie: a=b; Path=/\r\nContent-Length: 3\r\n\r\nabc");
    assert_true(hear(fd, NULL));
    assert_non_null(strstr(heard, "Location: /app/login\r\n"));
    assert_non_null(strstr(heard, "Path=/app/"));
    assert_null(strstr(heard, "secret"));
    assert_non_null(strstr(heard, "\r\n\r\nabc"));
    close(fd);
    close(origin);
}

static void the_origins_connection_is_used_again(void **state)
{
    const struct world *w = *state;
    int fd = client(w), origin = -1;
    for (int i = 0; i < 3; i++) {
        say(fd, "GET /app/ HTTP/1.1\r\nHost: pub\r\n\r\n");
        if (origin < 0)
            origin = accept_origin(w);
        assert_true(hear(origin, "\r\n\r\n"));
        say(origin, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        assert_true(hear(fd, "0\r\n\r\n"));
    }
    close(fd);
    close(origin);
}

static void a_get_on_a_stale_connection_is_repeated_on_a_fresh_one(void **state)
{
    const struct world *w = *state;
    int fd = client(w);
    say(fd, "GET /app/1 HTTP/1.1\r\nHost: pub\r\n\r\n");
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    say(origin, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    assert_true(hear(fd, "\r\n\r\na"));
    say(fd, "GET /app/2 HTTP/1.1\r\nHost: pub\r\n\r\n");
    assert_true(hear(origin, "\r\n\r\n"));
    close(origin); /* without an answer: it was about to close its idle connection */
    origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    assert_non_null(strstr(heard, "GET /2"));
    say(origin, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
    assert_true(hear(fd, "\r\n\r\nb"));
    close(fd);
    close(origin);
}

/* Its origin was just closing the connection, and said so while the request was on its way. */
static void a_farewell_is_no_answer_to_a_get(void **state)
{
    struct world *w = *state;
    int fd = client(w);
    say(fd, "GET /app/1 HTTP/1.1\r\nHost: pub\r\n\r\n");
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    say(origin, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
    assert_true(hear(fd, "one"));
    say(fd, "GET /app/2 HTTP/1.1\r\nHost: pub\r\n\r\n");
    assert_true(hear(origin, "\r\n\r\n"));
    say(origin, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 3\r\n"
                "Connection: close\r\n\r\nbye");
    int again = accept_origin(w);
    assert_true(hear(again, "\r\n\r\n"));
    assert_non_null(strstr(heard, "GET /2 "));
    say(again, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 3\r\n"
               "Connection: close\r\n\r\nyes"); /* to this very request */
    assert_true(hear(fd, "yes"));
    assert_non_null(strstr(heard, "HTTP/1.1 408 "));
    close(fd);
    close(origin);
    close(again);
}

static void a_post_is_never_sent_twice(void **state)
{
    const struct world *w = *state;
    int fd = client(w);
    say(fd, "POST /app/ HTTP/1.1\r\nHost: pub\r\nContent-Length: 3\r\n\r\nabc");
    int origin = accept_origin(w);
    assert_true(hear(origin, "abc"));
    close(origin);
    assert_true(hear(fd, "</html>"));
    assert_non_null(strstr(heard, "502 Bad Gateway"));
    assert_null(strstr(heard, "127.0.0.1"));
    struct pollfd p = {.fd = w->origin_fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 100), 0);
    close(fd);
}

static void an_origin_that_is_silent_gets_a_504(void **state)
{
    const struct world *w = *state;
    int fd = client(w);
    say(fd, "GET /app/ HTTP/1.1\r\nHost: pub\r\nAccept: application/json\r\n\r\n");
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    assert_true(hear(fd, "\"reference\""));
    assert_non_null(strstr(heard, "504 Gateway Timeout"));
    close(fd);
    close(origin);
}

static void a_body_above_the_limit_gets_a_413(void **state)
{
    int fd = client(*state);
    say(fd, "POST /app/ HTTP/1.1\r\nHost: pub\r\nContent-Length: 100000\r\n\r\n");
    assert_true(hear(fd, NULL));
    assert_non_null(strstr(heard, "413 "));
    close(fd);
}

static void a_small_refused_body_is_dropped_and_the_connection_stays(void **state)
{
    char body[1002];
    memset(body, 'x', 1001);
    body[1001] = '\0';
    int fd = client(*state);
    say(fd, "POST /app/ HTTP/1.1\r\nHost: pub\r\nContent-Length: 1001\r\n\r\n");
    assert_true(hear(fd, "413 "));
    say(fd, body);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(hear(fd, "hello /hello"));
    close(fd);
}

static void a_refused_body_that_never_comes_is_not_waited_for(void **state)
{
    int fd = client(*state);
    say(fd, "POST /app/ HTTP/1.1\r\nHost: pub\r\nContent-Length: 1001\r\n\r\n");
    assert_true(hear(fd, NULL));
    assert_non_null(strstr(heard, "413 "));
    close(fd);
}

static void a_chunked_body_above_the_limit_gets_a_413(void **state)
{
    const struct world *w = *state;
    char chunk[1200];
    int fd = client(w);
    say(fd, "POST /app/ HTTP/1.1\r\nHost: pub\r\nTransfer-Encoding: chunked\r\n\r\n");
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    snprintf(chunk, sizeof chunk, "3e9\r\n%01001d\r\n", 0);
    say(fd, chunk);
    assert_true(hear(fd, NULL));
    assert_non_null(strstr(heard, "413 "));
    close(fd);
    close(origin);
}

static void a_websocket_is_a_tunnel_after_its_101(void **state)
{
    const struct world *w = *state;
    int fd = client(w);
    say(fd, "GET /app/ws HTTP/1.1\r\nHost: pub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n");
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    assert_non_null(strstr(heard, "Upgrade: websocket"));
    say(origin, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                "\r\nfirst");
    assert_true(hear(fd, "first"));
    assert_non_null(strstr(heard, "Upgrade: websocket"));
    say(fd, "ping");
    assert_true(hear(origin, "ping"));
    say(origin, "pong");
    assert_true(hear(fd, "pong"));
    close(origin);
    assert_true(hear(fd, NULL));
    close(fd);
}

static void an_expectation_is_passed_on_and_answered(void **state)
{
    const struct world *w = *state;
    int fd = client(w);
    say(fd,
        "POST /app/ HTTP/1.1\r\nHost: pub\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    say(origin, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_true(hear(fd, "100 Continue\r\n\r\n"));
    say(fd, "abc");
    assert_true(hear(origin, "abc"));
    say(origin, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_true(hear(fd, "204 No Content"));
    close(fd);
    close(origin);
}

static void trailers_pass_in_both_directions_but_not_those_that_mean_something(void **state)
{
    const struct world *w = *state;
    int fd = client(w);
    say(fd, "POST /app/ HTTP/1.1\r\nHost: pub\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\nabc\r\n0\r\nX-Check: 1\r\nX-Forwarded-For: 6.6.6.6\r\nAuthorization: x\r\n\r\n");
    int origin = accept_origin(w);
    assert_true(hear(origin, "0\r\nX-Check: 1\r\n\r\n"));
    assert_null(strstr(heard, "6.6.6.6"));
    assert_null(strstr(heard, "Authorization"));
    say(origin, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
                "Grpc-Status: 0\r\nServer: x\r\n\r\n");
    assert_true(hear(fd, "3\r\nabc\r\n0\r\nGrpc-Status: 0\r\n\r\n"));
    close(fd);
    close(origin);
}

static void an_event_stream_ends_with_its_clients_fin(void **state)
{
    const struct world *w = *state;
    int fd = client(w);
    say(fd, "GET /app/ HTTP/1.1\r\nHost: pub\r\n\r\n");
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    say(origin, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
    assert_true(hear(fd, "data: 1"));
    shutdown(fd, SHUT_WR);
    assert_true(hear(origin, NULL)); /* long before its next event, or `timeout quiet` */
    close(fd);
    close(origin);
}

static void a_half_closed_client_gets_its_answer(void **state)
{
    const struct world *w = *state;
    int fd = client(w);
    say(fd, "GET /app/ HTTP/1.1\r\nHost: pub\r\n\r\n");
    shutdown(fd, SHUT_WR);
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    say(origin, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    assert_true(hear(fd, NULL));
    assert_non_null(strstr(heard, "late"));
    close(fd);
    close(origin);
}

static void a_head_that_does_not_come_whole_gets_a_408(void **state)
{
    int fd = client(*state);
    say(fd, "GET / HT");
    assert_true(hear(fd, NULL));
    assert_non_null(strstr(heard, "408 "));
    close(fd);
}

static void an_idle_connection_is_closed(void **state)
{
    int fd = client(*state);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(hear(fd, "hello /hello"));
    assert_true(hear(fd, NULL));
    close(fd);
}

static void a_head_request_gets_the_head_alone(void **state)
{
    int fd = client(*state);
    for (int i = 0; i < 2; i++) {
        say(fd, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_true(hear(fd, "\r\n\r\n"));
        assert_non_null(strstr(heard, "HTTP/1.1 200 OK\r\n"));
        assert_non_null(strstr(heard, "Content-Length: 12\r\n"));
        assert_null(strstr(heard, "hello /"));
    }
    say(fd, "HEAD /none HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(hear(fd, "\r\n\r\n"));
    assert_non_null(strstr(heard, "404 Not Found"));
    /* What follows a HEAD has its body again, also when it does not parse. */
    say(fd, "GET /hello HTTP/1.1\r\nHost : a\r\n\r\n");
    assert_true(hear(fd, "</html>"));
    assert_non_null(strstr(heard, "400 Bad Request"));
    close(fd);
}

static void a_body_of_many_small_chunks_comes_whole_to_the_origin(void **state)
{
    const struct world *w = *state;
    static char request[65536];
    int fd = client(w);
    size_t len =
        (size_t)snprintf(request, sizeof request,
                         "POST /big/ HTTP/1.1\r\nHost: pub\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++)
        len += (size_t)snprintf(request + len, sizeof request - len, "3e8\r\n%01000d\r\n", 0);
    snprintf(request + len, sizeof request - len, "1\r\n!\r\n0\r\n\r\n");
    say(fd, request);
    int origin = accept_origin(w);
    assert_true(hear(origin, "!\r\n0\r\n\r\n"));
    size_t zeros = 0;
    for (const char *p = strstr(heard, "\r\n\r\n") + 4; *p; p++)
        for (; *p == '0' && p[1] != '\r'; p++) /* the last of each, and the end mark, aside */
            zeros++;
    assert_true(zeros >= 39 * 1000);
    say(origin, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_true(hear(fd, "204 No Content"));
    close(fd);
    close(origin);
}

static void an_origin_that_takes_no_body_gets_a_504(void **state)
{
    const struct world *w = *state;
    static const char zeros[65536];
    int small = 4096, fd = client(w);
    setsockopt(w->origin_fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    say(fd, "PUT /big/ HTTP/1.1\r\nHost: pub\r\nContent-Length: 1000000000\r\n\r\n");
    int origin = accept_origin(w);
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
    do { /* send what goes, until an answer comes */
        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
        if (p.revents & POLLOUT)
            (void)!send(fd, zeros, sizeof zeros, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (!(p.revents & POLLIN));
    assert_true(hear(fd, "</html>"));
    assert_non_null(strstr(heard, "504 Gateway Timeout"));
    close(fd);
    close(origin);
}

static void use_a_copy_of_the_snapshot(struct world *w)
{
    static struct snapshot copy;
    copy = *w->snapshot;
    copy.generation++;
    front_use(w->front, &copy);
    w->snapshot->head_limits = (struct head_limits){0}; /* as if it had been freed */
}

static void an_idle_connection_outlives_its_snapshot(void **state)
{
    struct world *w = *state;
    int fd = client(w);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(hear(fd, "hello /hello"));
    on_loop(w, use_a_copy_of_the_snapshot);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(hear(fd, "hello /hello"));
    close(fd);
}

static void a_chunked_body_outlives_its_snapshot(void **state)
{
    struct world *w = *state;
    int fd = client(w);
    say(fd, "POST /big/ HTTP/1.1\r\nHost: pub\r\nTransfer-Encoding: chunked\r\n\r\n");
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    on_loop(w, use_a_copy_of_the_snapshot);
    say(fd, "3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n");
    assert_true(hear(origin, "0\r\nX-Trailer: 1\r\n\r\n"));
    close(fd);
    close(origin);
}

/* The same address, now with TLS: what a reload of `listen http://…` to `https://…` does. */
static void change_the_listener_to_tls(struct world *w)
{
    static struct snapshot copy;
    static struct listener listener;
    uint16_t unused;
    copy = *w->snapshot;
    listener = *w->snapshot->listeners;
    listener.tls = true;
    copy.listeners = &listener;
    copy.generation++;
    front_unlisten(w->front, &listener.addr);
    front_use(w->front, &copy);
    assert_true(front_listen(w->front, &listener.addr, true, listen_on(&unused)));
}

static void a_plain_connection_stays_plain_when_its_listener_gets_tls(void **state)
{
    struct world *w = *state;
    int fd = client(w);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(hear(fd, "hello /hello"));
    on_loop(w, change_the_listener_to_tls);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(hear(fd, "hello /hello"));
    close(fd);
}

static void close_the_listener(struct world *w)
{
    front_unlisten(w->front, &w->snapshot->listeners[0].addr);
}

static void drain(struct world *w)
{
    front_drain(w->front, false);
}

/* The first half of a worker's end, and then the second. */
static void requests_are_answered_while_a_worker_goes(void **state)
{
    struct world *w = *state;
    int fd = client(w), fresh = client(w);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(hear(fd, "hello /hello"));
    on_loop(w, close_the_listener);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(hear(fd, "hello /hello"));
    assert_null(strstr(heard, "Connection: close"));
    on_loop(w, drain);
    assert_false(front_idle(w->front));
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(hear(fd, NULL));
    assert_non_null(strstr(heard, "Connection: close"));
    assert_non_null(strstr(heard, "hello /hello"));
    say(fresh, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(hear(fresh, NULL));
    assert_non_null(strstr(heard, "hello /hello"));
    close(fd);
    close(fresh);
    expect_no_sessions(w);
}

static void be_patient(struct world *w)
{
    w->snapshot->idle_ms = w->snapshot->head_ms = 10 * WAIT_MS;
}

static bool made_room;
static void make_room(struct world *w)
{
    made_room = room_make(w->front);
}

static bool is_closed(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&p, 1, 0) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

static void room_is_made_of_those_quiet_for_longest_and_never_of_requests(void **state)
{
    enum { COUNT = ROOM_SESSIONS + 4 };
    struct world *w = *state;
    int fds[COUNT];
    on_loop(w, be_patient);
    int busy = client(w);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client(w);
        say(fds[i], "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_true(hear(fds[i], "hello /hello"));
    }
    say(fds[0], "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"); /* now it is the last of them */
    assert_true(hear(fds[0], "hello /hello"));
    on_loop(w, make_room);
    assert_false(made_room); /* the next request may be under way */
    usleep(1100 * 1000);     /* SERVE_QUIET_MS */
    say(busy, "GET /app/1 HTTP/1.1\r\nHost: pub\r\n\r\n");
    int origin = accept_origin(w);
    on_loop(w, make_room);
    assert_true(made_room);
    for (int i = 1; i <= ROOM_SESSIONS; i++)
        assert_true(hear(fds[i], NULL));
    assert_false(is_closed(fds[0]));
    for (int i = ROOM_SESSIONS + 1; i < COUNT; i++)
        assert_false(is_closed(fds[i]));
    on_loop(w, make_room);
    assert_true(made_room);
    on_loop(w, make_room);
    assert_false(made_room); /* the one that is left has a request */
    say(origin, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    assert_true(hear(busy, "\r\n\r\nhi"));
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    close(busy);
    close(origin);
    expect_no_sessions(w);
}

static void a_head_makes_way_once_it_stands_still(void **state)
{
    struct world *w = *state;
    on_loop(w, be_patient);
    int fd = client(w);
    say(fd, "GET / HT");
    usleep(100 * 1000);
    on_loop(w, make_room);
    assert_false(made_room); /* more of it may be under way */
    usleep(1000 * 1000);     /* SERVE_QUIET_MS */
    on_loop(w, make_room);
    assert_true(made_room);
    assert_true(hear(fd, NULL));
    close(fd);
    expect_no_sessions(w);
}

static void an_idle_connection_ends_soon_when_its_worker_goes(void **state)
{
    struct world *w = *state;
    int fd = client(w);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(hear(fd, "hello /hello"));
    on_loop(w, drain);
    assert_true(hear(fd, NULL));
    assert_string_equal(heard, "");
    close(fd);
    expect_no_sessions(w);
}

static void a_client_that_breaks_off_after_its_fin_leaves_nothing_behind(void **state)
{
    const struct world *w = *state;
    static const char zeros[65536];
    struct linger now = {.l_onoff = 1};
    int fd = client(w);
    say(fd, "GET /big/ HTTP/1.1\r\nHost: pub\r\n\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    say(origin, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    struct pollfd p = {.fd = origin, .events = POLLOUT};
    while (poll(&p, 1, 200) == 1) /* until nothing more goes */
        assert_true(send(origin, zeros, sizeof zeros, MSG_NOSIGNAL | MSG_DONTWAIT) > 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    expect_no_sessions(w);
    close(origin);
}

static void a_location_never_becomes_another_host(void **state)
{
    const struct world *w = *state;
    static const char *const paths[] = {"//evil.example/", "/\\evil.example/", "/\t/evil.example/"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char answer[256];
        int fd = client(w);
        say(fd, "GET /big/ HTTP/1.1\r\nHost: pub\r\n\r\n");
        int origin = accept_origin(w);
        assert_true(hear(origin, "\r\n\r\n"));
        snprintf(answer, sizeof answer,
                 "HTTP/1.1 302 Found\r\nLocation: http://pub%s\r\nContent-Length: 0\r\n"
                 "Connection: close\r\n\r\n",
                 paths[i]);
        say(origin, answer);
        assert_true(hear(fd, "\r\n\r\n"));
        const char *location = strstr(heard, "Location: ");
        assert_non_null(location);
        assert_true(strncmp(location, "Location: /evil", 15) == 0 ||
                    strncmp(location, "Location: http://pub/", 21) == 0);
        close(fd);
        close(origin);
    }
}

/* What one origin connection hears from now on, until so many bytes have come. */
static size_t hear_bytes(int fd, size_t want)
{
    size_t got = 0;
    while (got < want) {
        wait_readable(fd);
        ssize_t n = recv(fd, heard, sizeof heard, 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

static void a_put_on_a_stale_connection_is_repeated_with_its_whole_body(void **state)
{
    enum { FIRST = 20000, SECOND = 300000 };
    static char body[SECOND + 1];
    const struct world *w = *state;
    int fd = client(w);
    say(fd, "GET /big/1 HTTP/1.1\r\nHost: pub\r\n\r\n");
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    say(origin, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_true(hear(fd, "\r\n\r\n"));
    memset(body, 'x', sizeof body - 1);
    body[FIRST] = '\0';
    say(fd, "PUT /big/2 HTTP/1.1\r\nHost: pub\r\nContent-Length: 320000\r\n\r\n");
    say(fd, body);
    assert_true(hear(origin, "PUT /big/2 "));
    close(origin);
    body[FIRST] = 'x';
    say(fd, body); /* more than is kept, while there is no origin */
    origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    assert_non_null(strstr(heard, "PUT /big/2 "));
    size_t early = strlen(strstr(heard, "\r\n\r\n") + 4);
    assert_int_equal(early + hear_bytes(origin, FIRST + SECOND - early), FIRST + SECOND);
    say(origin, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_true(hear(fd, "204 No Content"));
    close(fd);
    close(origin);
}

static void a_connection_that_carries_who_the_client_is_stays_his(void **state)
{
    const struct world *w = *state;
    int mallory = client(w), alice = client(w);
    say(alice, "GET /app/ HTTP/1.1\r\nHost: pub\r\n\r\n");
    int hers = accept_origin(w);
    assert_true(hear(hers, "\r\n\r\n"));
    say(hers, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n");
    assert_true(hear(alice, "\r\n\r\n"));
    say(alice, "GET /app/in HTTP/1.1\r\nHost: pub\r\nAuthorization: NTLM abc\r\n\r\n");
    assert_true(hear(hers, "Authorization: NTLM abc\r\n"));
    say(hers, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_true(hear(alice, "\r\n\r\n"));
    say(mallory, "GET /app/hers HTTP/1.1\r\nHost: pub\r\n\r\n");
    int another = accept_origin(w);
    assert_true(hear(another, "GET /hers "));
    close(alice);
    assert_true(hear(hers, NULL)); /* ended with her, not pooled */
    close(mallory);
    close(hers);
    close(another);
}

static void an_origin_that_says_more_than_its_answer_loses_its_connection(void **state)
{
    const struct world *w = *state;
    int fd = client(w);
    say(fd, "GET /app/ HTTP/1.1\r\nHost: pub\r\n\r\n");
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    say(origin, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"
                "Content-Length: 6\r\n\r\nforged");
    assert_true(hear(fd, "ok"));
    assert_null(strstr(heard, "forged"));
    say(fd, "GET /app/2 HTTP/1.1\r\nHost: pub\r\n\r\n");
    int fresh = accept_origin(w);
    assert_true(hear(fresh, "GET /2 "));
    close(fd);
    close(origin);
    close(fresh);
}

static void a_storm_of_1xx_is_a_bad_answer(void **state)
{
    const struct world *w = *state;
    int fd = client(w);
    say(fd, "GET /app/ HTTP/1.1\r\nHost: pub\r\n\r\n");
    int origin = accept_origin(w);
    assert_true(hear(origin, "\r\n\r\n"));
    for (int i = 0; i < 17; i++)
        say(origin, "HTTP/1.1 103 Early Hints\r\n\r\n");
    assert_true(hear(fd, "</html>"));
    assert_non_null(strstr(heard, "502 Bad Gateway"));
    close(fd);
    close(origin);
}

static uint64_t fail_at;
static bool it_failed;

/* Both belong to the loop's thread. */
static void fail_an_allocation(struct world *w)
{
    (void)w;
    alloc_fail_at(fail_at);
}

static void ask_whether_it_failed(struct world *w)
{
    (void)w;
    it_failed = alloc_has_failed();
}

/* Plays origin and client of one exchange; true when the client got an answer of any kind. */
static bool play(const struct world *w, const char *request)
{
    int fd = client(w), origin = -1;
    bool answered = false;
    char bytes[4096];
    (void)!send(fd, request, strlen(request), MSG_NOSIGNAL); /* it may be closed already */
    for (bool over = false; !over;) {
        struct pollfd p[] = {{.fd = fd, .events = POLLIN},
                             {.fd = origin < 0 ? w->origin_fd : origin, .events = POLLIN}};
        assert_true(poll(p, 2, WAIT_MS) > 0);
        if (p[1].revents && origin < 0) {
            origin = accept4(w->origin_fd, NULL, NULL, SOCK_CLOEXEC);
        } else if (p[1].revents && recv(origin, bytes, sizeof bytes, 0) > 0) {
            static const char answer[] = "HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\n"
                                         "Location: /x\r\nConnection: close\r\n"
                                         "Content-Length: 2\r\n\r\nok";
            (void)!send(origin, answer, sizeof answer - 1, MSG_NOSIGNAL);
        }
        if (p[0].revents) {
            ssize_t n = recv(fd, bytes, sizeof bytes, 0);
            answered = answered || n > 0;
            over = n <= 0;
        }
    }
    if (origin >= 0)
        close(origin);
    close(fd);
    return answered;
}

static void an_exchange_without_memory_ends_and_leaves_nothing_behind(void **state)
{
    struct world *w = *state;
    static const char *const requests[] = {
        "GET /app/a HTTP/1.1\r\nHost: pub\r\nConnection: close\r\n\r\n",
        ("POST /big/a HTTP/1.1\r\nHost: pub\r\nConnection: close\r\n"
         "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        "GET /hello HTTP/1.1\r\nHost: pub\r\nConnection: close\r\n\r\n",
        "GET /none HTTP/1.1\r\nHost: pub\r\nConnection: close\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        fail_at = 0;
        do {
            fail_at++;
            on_loop(w, fail_an_allocation);
            bool answered = play(w, requests[i]);
            on_loop(w, ask_whether_it_failed);
            assert_true(answered || it_failed);
        } while (it_failed);
        assert_true(fail_at > 5);
    }
    fail_at = 0;
    on_loop(w, fail_an_allocation);
    assert_true(play(w, requests[0]));
    expect_no_sessions(w);
}

int main(int argc, char **argv)
{
    if (argc > 1) /* one claim alone */
        cmocka_set_test_filter(argv[1]);
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        CLAIM(a_respond_route_answers_and_the_connection_stays),
        CLAIM(pipelined_requests_are_answered_in_order),
        CLAIM(hundreds_of_pipelined_requests_are_answered_also_behind_a_fin),
        CLAIM(a_request_byte_by_byte_is_answered_like_any_other),
        CLAIM(a_malformed_head_gets_a_400_and_a_close),
        CLAIM(a_get_is_forwarded_with_its_prefix_stripped),
        CLAIM(the_origins_connection_is_used_again),
        CLAIM(a_get_on_a_stale_connection_is_repeated_on_a_fresh_one),
        CLAIM(a_farewell_is_no_answer_to_a_get),
        CLAIM(a_post_is_never_sent_twice),
        CLAIM(an_origin_that_is_silent_gets_a_504),
        CLAIM(a_body_above_the_limit_gets_a_413),
        CLAIM(a_small_refused_body_is_dropped_and_the_connection_stays),
        CLAIM(a_refused_body_that_never_comes_is_not_waited_for),
        CLAIM(a_chunked_body_above_the_limit_gets_a_413),
        CLAIM(a_websocket_is_a_tunnel_after_its_101),
        CLAIM(an_expectation_is_passed_on_and_answered),
        CLAIM(trailers_pass_in_both_directions_but_not_those_that_mean_something),
        CLAIM(an_event_stream_ends_with_its_clients_fin),
        CLAIM(a_half_closed_client_gets_its_answer),
        CLAIM(a_head_that_does_not_come_whole_gets_a_408),
        CLAIM(an_idle_connection_is_closed),
        CLAIM(a_head_request_gets_the_head_alone),
        CLAIM(a_body_of_many_small_chunks_comes_whole_to_the_origin),
        CLAIM(an_origin_that_takes_no_body_gets_a_504),
        CLAIM(an_idle_connection_outlives_its_snapshot),
        CLAIM(a_chunked_body_outlives_its_snapshot),
        CLAIM(a_plain_connection_stays_plain_when_its_listener_gets_tls),
        CLAIM(requests_are_answered_while_a_worker_goes),
        CLAIM(room_is_made_of_those_quiet_for_longest_and_never_of_requests),
        CLAIM(a_head_makes_way_once_it_stands_still),
        CLAIM(an_idle_connection_ends_soon_when_its_worker_goes),
        CLAIM(a_client_that_breaks_off_after_its_fin_leaves_nothing_behind),
        CLAIM(a_location_never_becomes_another_host),
        CLAIM(a_put_on_a_stale_connection_is_repeated_with_its_whole_body),
        CLAIM(a_connection_that_carries_who_the_client_is_stays_his),
        CLAIM(an_origin_that_says_more_than_its_answer_loses_its_connection),
        CLAIM(a_storm_of_1xx_is_a_bad_answer),
        CLAIM(an_exchange_without_memory_ends_and_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
