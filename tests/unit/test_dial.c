/* Origins behind TLS: through the face, since pools and resting follow from how a dial ends. */
#include "upstream/dial.h"

#include "base/arena.h"
#include "base/text.h"
#include "net/tcp.h"
#include "tls/tls_accept.h"
#include "tls/tls_ca.h"
#include "tls/tls_connect.h"
#include "upstream/origin_shared.h"
#include "upstream/upstream.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum manners { ANSWERS, SILENT, HANGS_UP, RESETS, SPEAKS_HTTP };

struct stage {
    struct loop *loop;
    struct arena *arena;
    struct loop_io listener;
    struct tls_tickets *tickets;
    struct tls_server *server;
    struct tls_cert *cert;
    struct tls_trust *trust, *other_trust;
    struct stream *accepted; /* the last one */
    enum manners manners;
    unsigned accepts;
    struct origin_registry *registry;
    struct upstreams *upstreams;
    struct tls_client_conf tls_conf;
    struct origin_conf origins[2];
    struct upstream_conf conf;
    struct upstream_wait wait;
    struct origin_conn *conn;
    int failed;
    struct loop_timer timer;
    bool rung;
};

static enum tls_chosen choose(void *user, const struct tls_hello *hello, struct tls_choice *choice)
{
    struct stage *s = user;
    (void)hello;
    choice->certs = &s->cert;
    choice->cert_count = 1;
    return TLS_CHOSEN;
}

static void server_open(void *user)
{
    (void)user;
}
static void server_bytes(void *user, struct str bytes)
{
    struct stage *s = user;
    if (s->manners == RESETS) { /* not before: it would look like a refused connect */
        stream_reset(s->accepted);
        s->accepted = NULL;
    } else if (s->manners == SPEAKS_HTTP)
        stream_send_str(s->accepted, STR("HTTP/1.1 400 Bad Request\r\n\r\n"));
    else if (s->manners == ANSWERS)
        stream_send_str(s->accepted, bytes);
}
static void server_close(struct stage *s)
{
    if (s->accepted != NULL)
        stream_close(s->accepted);
    s->accepted = NULL;
}
static void server_ended(void *user, enum stream_end end)
{
    (void)end;
    server_close(user);
}
static const struct stream_user server_user = {.on_open = server_open,
                                               .on_bytes = server_bytes,
                                               .on_end = server_ended,
                                               .on_drained = server_open};

static void on_accept(struct loop_io *io, uint32_t events)
{
    struct stage *s = LIST_OF(io, struct stage, listener);
    (void)events;
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    s->accepts++;
    server_close(s);
    s->accepted = tcp_open(s->loop, fd, &server_user, s);
    assert_non_null(s->accepted);
    if (s->manners == HANGS_UP)
        server_close(s);
    if (s->manners == ANSWERS)
        s->accepted = tls_accept(s->accepted, s->server, choose, s, &server_user, s);
}

static struct tls_trust *make_ca(struct stage *s, struct text *cert, struct text *key)
{
    struct text why = text_in(s->arena, 512);
    *cert = text_in(s->arena, 64 * 1024);
    *key = text_in(s->arena, 64 * 1024);
    assert_true(tls_ca_create(NULL, 0, (int64_t)time(NULL), cert, key, &why));
    return tls_trust_new(text_str(cert), STR("ca.pem"), &why);
}

static void make_certificates(struct stage *s)
{
    struct text ca, ca_key, other, other_key, why = text_in(s->arena, 512);
    struct text cert = text_in(s->arena, 64 * 1024), key = text_in(s->arena, 64 * 1024);
    const struct str names[] = {STR("localhost"), STR("127.0.0.1")};
    s->trust = make_ca(s, &ca, &ca_key);
    s->other_trust = make_ca(s, &other, &other_key);
    assert_true(tls_ca_issue(text_str(&ca), text_str(&ca_key), names, 2, (int64_t)time(NULL), &cert,
                             &key, &why));
    s->cert = tls_cert_load(text_str(&cert), STR("c"), text_str(&key), STR("k"), &why);
    assert_non_null(s->cert);
}

static uint16_t listen_here(struct stage *s)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    s->listener = (struct loop_io){.fd = fd, .on_event = on_accept};
    assert_true(loop_add(s->loop, &s->listener, LOOP_IN));
    return ntohs(sa.sin_port);
}

static int stage_begin(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    const char *error = NULL;
    s->loop = loop_new(0);
    s->arena = arena_new(4 << 20, 4096);
    make_certificates(s);
    s->tickets = tls_tickets_new();
    s->server = tls_server_new(s->tickets, &error);
    assert_non_null(s->server);
    s->tls_conf = (struct tls_client_conf){
        .trust = s->trust, .verify_name = STR("localhost"), .server_name = STR("localhost")};
    s->origins[0] = (struct origin_conf){
        .text = STR("https://127.0.0.1"), .tls = true, .host = STR("127.0.0.1"), .identity = 1};
    s->origins[0].port = listen_here(s);
    s->origins[0].tls_conf = &s->tls_conf;
    assert_true(addr_parse_ip(s->origins[0].host, &s->origins[0].addr));
    s->origins[0].addr.port = s->origins[0].port;
    s->conf = (struct upstream_conf){.origins = s->origins,
                                     .origin_count = 1,
                                     .connect_ms = 1000,
                                     .keepalive_max = 4,
                                     .keepalive_idle_ms = 10000,
                                     .rest_ms = 1000,
                                     .rest_after = 1,
                                     .retry_max = 2};
    s->registry = origin_registry_new();
    assert_non_null(s->registry);
    s->upstreams = upstreams_new(s->loop, NULL, s->registry);
    *state = s;
    return 0;
}

static void on_timer(struct loop_timer *timer)
{
    struct stage *s = LIST_OF(timer, struct stage, timer);
    s->rung = true;
    loop_stop(s->loop);
}

static bool run_for(struct stage *s, uint64_t ms)
{
    s->rung = false;
    s->timer.on_fire = on_timer;
    timer_set(s->loop, &s->timer, ms);
    loop_run(s->loop);
    timer_clear(&s->timer);
    return s->rung;
}

static int stage_end(void **state)
{
    struct stage *s = *state;
    upstreams_end(s->upstreams);
    server_close(s);
    run_for(s, 10);
    loop_remove(s->loop, &s->listener);
    close(s->listener.fd);
    loop_end(s->loop);
    origin_registry_end(s->registry);
    tls_server_end(s->server);
    tls_tickets_end(s->tickets);
    tls_cert_unref(s->cert);
    tls_trust_unref(s->trust);
    tls_trust_unref(s->other_trust);
    arena_end(s->arena);
    free(s);
    return 0;
}

static void taker_bytes(void *user, struct str bytes)
{
    struct stage *s = user;
    (void)bytes;
    loop_stop(s->loop);
}
static void taker_end(void *user, enum stream_end end)
{
    (void)user;
    (void)end;
}
static const struct stream_user taker_user = {
    .on_bytes = taker_bytes, .on_end = taker_end, .on_drained = server_open};

static void on_ready(struct upstream_wait *wait, struct origin_conn *conn)
{
    struct stage *s = LIST_OF(wait, struct stage, wait);
    s->conn = conn;
    stream_set_user(conn->stream, &taker_user, s);
    loop_stop(s->loop);
}

static void on_failed(struct upstream_wait *wait, enum upstream_failure failure)
{
    struct stage *s = LIST_OF(wait, struct stage, wait);
    s->failed = (int)failure;
    loop_stop(s->loop);
}

static void take(struct stage *s)
{
    s->wait =
        (struct upstream_wait){.conf = &s->conf, .on_ready = on_ready, .on_failed = on_failed};
    s->conn = NULL;
    s->failed = -1;
    upstream_take(s->upstreams, &s->wait);
    assert_false(run_for(s, 5000));
}

/* Says something and waits for the echo. */
static void converse(struct stage *s)
{
    stream_send_str(s->conn->stream, STR("hello"));
    assert_false(run_for(s, 2000));
}

static void a_verified_origin_is_connected_and_its_connection_kept(void **state)
{
    struct stage *s = *state;
    for (int i = 0; i < 3; i++) {
        take(s);
        assert_non_null(s->conn);
        assert_int_equal(s->conn->reused, i > 0);
        converse(s);
        upstream_give(s->upstreams, s->conn, &s->conf);
        run_for(s, 20);
    }
    assert_int_equal(s->accepts, 1);
}

static void a_kept_connection_ends_with_the_peers_close_notify(void **state)
{
    struct stage *s = *state;
    take(s);
    converse(s);
    upstream_give(s->upstreams, s->conn, &s->conf);
    stream_finish(s->accepted);
    run_for(s, 30);
    take(s);
    assert_false(s->conn->reused);
    upstream_discard(s->upstreams, s->conn);
}

static void a_certificate_of_another_authority_is_refused_with_a_sentence(void **state)
{
    struct stage *s = *state;
    s->tls_conf.trust = s->other_trust;
    take(s);
    assert_null(s->conn);
    assert_int_equal(s->failed, UPSTREAM_BAD_TLS);
    assert_memory_equal(s->wait.why, "TLS to 127.0.0.1:", 17);
    assert_true(strlen(s->wait.why) > 30);
}

static void a_certificate_for_another_name_is_refused(void **state)
{
    struct stage *s = *state;
    s->tls_conf.verify_name = STR("other.internal");
    take(s);
    assert_int_equal(s->failed, UPSTREAM_BAD_TLS);
}

static void insecure_takes_any_certificate(void **state)
{
    struct stage *s = *state;
    s->tls_conf.trust = NULL;
    take(s);
    assert_non_null(s->conn);
    upstream_discard(s->upstreams, s->conn);
}

static void a_handshake_that_fails_tells_how(void **state)
{
    struct stage *s = *state;
    s->conf.connect_ms = 500;
    static const struct {
        enum manners manners;
        enum upstream_failure failure;
    } rows[] = {
        {SILENT, UPSTREAM_TIMED_OUT},
        {HANGS_UP, UPSTREAM_BAD_TLS},
        {RESETS, UPSTREAM_BAD_TLS},
        {SPEAKS_HTTP, UPSTREAM_BAD_TLS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        s->manners = rows[i].manners;
        take(s);
        assert_int_equal(s->failed, rows[i].failure);
        assert_true(s->wait.why[0] != '\0');
    }
}

static void a_refused_connect_is_no_matter_of_tls(void **state)
{
    struct stage *s = *state;
    s->origins[0].addr.port = 1;
    take(s);
    assert_int_equal(s->failed, UPSTREAM_REFUSED);
    assert_string_equal(s->wait.why, "connect to 127.0.0.1:1: Connection refused");
}

static void after_bad_tls_the_next_origin_is_tried(void **state)
{
    struct stage *s = *state;
    struct tls_client_conf bad = s->tls_conf;
    bad.trust = s->other_trust;
    s->origins[1] = s->origins[0];
    s->origins[0].tls_conf = &bad;
    s->origins[1].identity = 2;
    s->conf.origin_count = 2;
    take(s);
    assert_non_null(s->conn);
    assert_int_equal(s->conn->origin_index, 1);
    assert_int_equal(s->wait.attempts, 2);
    upstream_discard(s->upstreams, s->conn);
}

static void a_handshake_under_way_may_be_cancelled(void **state)
{
    struct stage *s = *state;
    s->manners = SILENT;
    s->wait =
        (struct upstream_wait){.conf = &s->conf, .on_ready = on_ready, .on_failed = on_failed};
    s->failed = -1;
    s->conn = NULL;
    upstream_take(s->upstreams, &s->wait);
    assert_true(run_for(s, 50));
    upstream_cancel(&s->wait);
    assert_true(run_for(s, 50));
    assert_int_equal(s->failed, -1);
    assert_null(s->conn);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(a_verified_origin_is_connected_and_its_connection_kept),
        STAGED(a_kept_connection_ends_with_the_peers_close_notify),
        STAGED(a_certificate_of_another_authority_is_refused_with_a_sentence),
        STAGED(a_certificate_for_another_name_is_refused),
        STAGED(insecure_takes_any_certificate),
        STAGED(a_handshake_that_fails_tells_how),
        STAGED(a_refused_connect_is_no_matter_of_tls),
        STAGED(after_bad_tls_the_next_origin_is_tried),
        STAGED(a_handshake_under_way_may_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
