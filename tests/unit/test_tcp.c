#include "net/tcp.h"

#include "base/buf.h"
#include "net/addr.h"
#include "net/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A user that counts what it is told; the peer is a plain socket that the test works by hand. */
struct side {
    struct stream *stream;
    struct loop *loop;
    size_t bytes, expected, most_at_once;
    uint32_t sum; /* of position and byte, so that order matters */
    unsigned opened, ended, drained;
    enum stream_end end;
    bool close_on_bytes, close_on_end, close_on_drained, close_on_open, pause_on_bytes, reply;
    bool stop_on_bytes;
};

static uint32_t mix(uint32_t sum, char c)
{
    return sum * 31 + (unsigned char)c;
}

static void shut(struct side *side)
{
    stream_close(side->stream);
    side->stream = NULL;
    loop_stop(side->loop);
}

static void on_open(void *user)
{
    struct side *side = user;
    side->opened++;
    if (side->close_on_open)
        shut(side);
    else
        loop_stop(side->loop);
}

static void on_bytes(void *user, struct str bytes)
{
    struct side *side = user;
    assert_int_equal(side->ended, 0);
    assert_true(bytes.len != 0);
    if (side->most_at_once < bytes.len)
        side->most_at_once = bytes.len;
    side->bytes += bytes.len;
    for (size_t i = 0; i < bytes.len; i++)
        side->sum = mix(side->sum, bytes.at[i]);
    if (side->reply)
        stream_send_str(side->stream, bytes);
    if (side->pause_on_bytes)
        stream_pause(side->stream, true);
    if (side->close_on_bytes)
        shut(side);
    else if (side->stop_on_bytes || (side->expected != 0 && side->bytes >= side->expected))
        loop_stop(side->loop);
}

static void on_end(void *user, enum stream_end end)
{
    struct side *side = user;
    side->ended++;
    side->end = end;
    if (side->close_on_end)
        shut(side);
    loop_stop(side->loop);
}

static void on_drained(void *user)
{
    struct side *side = user;
    side->drained++;
    assert_int_equal(stream_backlog(side->stream), 0);
    if (side->close_on_drained)
        shut(side);
    loop_stop(side->loop);
}

static const struct stream_user user = {on_open, on_bytes, on_end, on_drained};

struct alarm {
    struct loop_timer timer;
    struct loop *loop;
};

static void on_alarm(struct loop_timer *timer)
{
    loop_stop(LIST_OF(timer, struct alarm, timer)->loop);
}

/* Runs until a callback stops the loop, at most so long. */
static void run(struct loop *loop, uint64_t most_ms)
{
    struct alarm alarm = {.timer.on_fire = on_alarm, .loop = loop};
    timer_set(loop, &alarm.timer, most_ms);
    loop_run(loop);
    timer_clear(&alarm.timer);
}

enum { QUIET_MS = 20, LONG_MS = 5000 };

static int listening(struct addr *addr)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    assert_true(addr_from_sockaddr(addr, (struct sockaddr *)&in, len));
    return fd;
}

/* A TCP or UNIX pair; `fds[0]` is for tcp_open(). */
static void make_pair(int fds[2], bool tcp)
{
    if (!tcp) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        return;
    }
    struct addr addr;
    struct sockaddr_storage sa;
    int listener = listening(&addr);
    socklen_t len = addr_to_sockaddr(&addr, &sa);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&sa, len), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(fds[0] >= 0);
    close(listener);
}

static void small_buffers(int fd)
{
    int small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
}

static int start(struct side *side, bool tcp)
{
    int fds[2];
    make_pair(fds, tcp);
    side->loop = loop_new(0);
    assert_non_null(side->loop);
    small_buffers(fds[0]);
    small_buffers(fds[1]);
    side->stream = tcp_open(side->loop, fds[0], &user, side);
    assert_non_null(side->stream);
    return fds[1];
}

static void stop(struct side *side, int peer)
{
    if (side->stream != NULL)
        stream_close(side->stream);
    run(side->loop, 0); /* the memory goes at the end of a turn */
    loop_end(side->loop);
    if (peer >= 0)
        close(peer);
}

static char pattern(size_t i)
{
    return (char)(i * 7 + i / 253);
}

static void send_pattern(struct side *side, size_t bytes)
{
    static char piece[50000];
    for (size_t at = 0; at < bytes;) {
        size_t n = bytes - at < sizeof piece ? bytes - at : sizeof piece;
        for (size_t i = 0; i < n; i++)
            piece[i] = pattern(at + i);
        struct iovec iov[3] = {{piece, n / 3}, {piece + n / 3, 0}, {piece + n / 3, n - n / 3}};
        stream_send(side->stream, iov, 3);
        at += n;
    }
}

/* Reads what has come; answers how much in all, and that it is the pattern. */
static size_t take_pattern(int peer, size_t at)
{
    char room[3000];
    ssize_t got;
    while ((got = recv(peer, room, sizeof room, MSG_DONTWAIT)) > 0)
        for (ssize_t i = 0; i < got; i++)
            assert_int_equal(room[i], pattern(at++));
    return at;
}

static void what_the_socket_refuses_waits_and_goes_in_order(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct side side = {0};
        enum { ALL = 1000000 };
        int peer = start(&side, tcp);
        send_pattern(&side, ALL);
        assert_true(stream_backlog(side.stream) > ALL / 2);
        size_t taken = 0;
        for (int turn = 0; taken < ALL && turn < 100000; turn++) {
            taken = take_pattern(peer, taken);
            run(side.loop, 1);
        }
        assert_int_equal(taken, ALL);
        assert_int_equal(side.drained, 1);
        assert_int_equal(side.ended, 0);
        stop(&side, peer);
    }
}

/* What the peer of a stream can have ready for one read. */
static size_t fill(int peer)
{
    static char bytes[65536];
    size_t sum = 0;
    ssize_t sent;
    int much = 1 << 20;
    setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &much, sizeof much);
    while ((sent = send(peer, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        sum += (size_t)sent;
    return sum;
}

static size_t most_at_once(struct side *side, int peer)
{
    size_t ready = fill(peer);
    assert_true(ready > 2 * STREAM_READ_MAX);
    side->most_at_once = side->bytes = 0;
    side->expected = ready;
    run(side->loop, LONG_MS);
    assert_int_equal(side->bytes, ready);
    return side->most_at_once;
}

/* To exactly this backlog, whatever the socket took. */
static void set_backlog(struct side *side, size_t bytes)
{
    static char piece[4 << 20];
    while (stream_backlog(side->stream) == 0)
        stream_send_str(side->stream, str_from(piece, 65536));
    stream_send_str(side->stream, str_from(piece, bytes - stream_backlog(side->stream)));
    assert_int_equal(stream_backlog(side->stream), bytes);
}

static void large_reads_are_for_expected_bodies_while_backlogs_are_small(void **state)
{
    (void)state;
    struct side side = {0}, slow[3] = {0};
    int peer = start(&side, false), peers[3];
    assert_int_equal(most_at_once(&side, peer), STREAM_READ_MAX);
    stream_expect(side.stream, true);
    assert_true(most_at_once(&side, peer) > STREAM_READ_MAX);
    for (int i = 0; i < 3; i++)
        peers[i] = start(&slow[i], false);
    set_backlog(&slow[0], 4 << 20);
    set_backlog(&slow[1], 4 << 20);
    assert_true(most_at_once(&side, peer) > STREAM_READ_MAX);
    set_backlog(&slow[2], 70000);
    assert_int_equal(most_at_once(&side, peer), STREAM_READ_MAX);
    for (int i = 0; i < 3; i++)
        stop(&slow[i], peers[i]);
    assert_true(most_at_once(&side, peer) > STREAM_READ_MAX);
    assert_true(side.most_at_once <= STREAM_READ_EXPECTED_MAX);
    stream_expect(side.stream, false);
    assert_int_equal(most_at_once(&side, peer), STREAM_READ_MAX);
    stop(&side, peer);
}

static void a_backlog_without_end_is_a_reset(void **state)
{
    (void)state;
    struct side side = {0};
    int peer = start(&side, true);
    send_pattern(&side, 6000000);
    assert_int_equal(side.ended, 0); /* never inside the user's own call */
    run(side.loop, LONG_MS);
    assert_int_equal(side.ended, 1);
    assert_int_equal(side.end, STREAM_RESET);
    assert_int_equal(stream_error(side.stream), ENOBUFS);
    assert_int_equal(stream_backlog(side.stream), 0);
    send_pattern(&side, 10); /* on a dead stream nothing happens */
    stream_finish(side.stream);
    stream_pause(side.stream, true);
    stream_pause(side.stream, false);
    run(side.loop, QUIET_MS);
    assert_int_equal(side.ended, 1);
    stop(&side, peer);
}

static void a_paused_stream_delivers_nothing_until_it_is_resumed(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct side side = {.expected = 5};
        int peer = start(&side, tcp);
        stream_pause(side.stream, true);
        assert_int_equal(write(peer, "hello", 5), 5);
        run(side.loop, QUIET_MS);
        assert_int_equal(side.bytes, 0);
        stream_pause(side.stream, false);
        run(side.loop, LONG_MS);
        assert_int_equal(side.bytes, 5);
        stop(&side, peer);
    }
}

static void a_user_may_pause_inside_on_bytes(void **state)
{
    (void)state;
    struct side side = {.pause_on_bytes = true, .stop_on_bytes = true};
    int peer = start(&side, true);
    assert_int_equal(write(peer, "one", 3), 3);
    run(side.loop, LONG_MS);
    assert_int_equal(write(peer, "two", 3), 3);
    run(side.loop, QUIET_MS);
    assert_int_equal(side.bytes, 3);
    stream_pause(side.stream, false);
    run(side.loop, LONG_MS);
    assert_int_equal(side.bytes, 6);
    stop(&side, peer);
}

static void half_closed_by_the_peer_we_may_still_send(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct side side = {0};
        int peer = start(&side, tcp);
        shutdown(peer, SHUT_WR);
        run(side.loop, LONG_MS);
        assert_int_equal(side.ended, 1);
        assert_int_equal(side.end, STREAM_FINISHED);
        send_pattern(&side, 500);
        assert_int_equal(take_pattern(peer, 0), 500);
        run(side.loop, QUIET_MS);
        assert_int_equal(side.ended, 1);
        stop(&side, peer);
    }
}

static void finished_by_us_the_backlog_goes_first_and_reading_goes_on(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct side side = {.expected = 3};
        enum { ALL = 200000 };
        int peer = start(&side, tcp);
        send_pattern(&side, ALL);
        stream_finish(side.stream);
        stream_finish(side.stream);
        send_pattern(&side, 99); /* behind the end: nothing */
        size_t taken = 0;
        char byte;
        ssize_t last = -1;
        for (int turn = 0; turn < 100000 && last != 0; turn++) {
            taken = take_pattern(peer, taken);
            run(side.loop, 1);
            last = recv(peer, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        }
        assert_int_equal(taken, ALL);
        assert_int_equal(last, 0);
        assert_int_equal(write(peer, "abc", 3), 3);
        run(side.loop, LONG_MS);
        assert_int_equal(side.bytes, 3);
        stop(&side, peer);
    }
}

static void reset_socket(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static void a_reset_is_told_once_paused_or_not(void **state)
{
    (void)state;
    for (int paused = 0; paused < 2; paused++) {
        struct side side = {0};
        int peer = start(&side, true);
        stream_pause(side.stream, paused);
        reset_socket(peer);
        run(side.loop, LONG_MS);
        run(side.loop, QUIET_MS);
        assert_int_equal(side.ended, 1);
        assert_int_equal(side.end, STREAM_RESET);
        assert_int_equal(stream_error(side.stream), ECONNRESET);
        assert_true(stream_error_text(side.stream)[0] != '\0');
        assert_false(stream_healthy(side.stream));
        stop(&side, -1);
    }
}

static void sending_into_a_reset_fails_at_the_end_of_the_turn(void **state)
{
    (void)state;
    struct side side = {0};
    int peer = start(&side, true);
    reset_socket(peer);
    for (int i = 0; i < 3; i++)
        send_pattern(&side, 10);
    assert_int_equal(side.ended, 0);
    run(side.loop, LONG_MS);
    run(side.loop, QUIET_MS);
    assert_int_equal(side.ended, 1);
    assert_int_equal(side.end, STREAM_RESET);
    stop(&side, -1);
}

/* An origin that answers early and closes resets: the answer is still there to be read. */
static void what_came_before_a_reset_is_read_though_sending_fails(void **state)
{
    (void)state;
    struct side side = {.expected = 5};
    int peer = start(&side, true);
    assert_int_equal(write(peer, "hello", 5), 5);
    reset_socket(peer);
    for (int i = 0; i < 3; i++)
        send_pattern(&side, 10);
    assert_int_equal(stream_backlog(side.stream), 0);
    run(side.loop, LONG_MS);
    run(side.loop, QUIET_MS);
    assert_int_equal(side.bytes, 5);
    assert_int_equal(side.ended, 1);
    assert_int_equal(side.end, STREAM_RESET);
    stop(&side, -1);
}

static void paused_in_the_middle_of_a_reset_it_ends(void **state)
{
    (void)state;
    struct side side = {.expected = 5};
    int peer = start(&side, true);
    assert_int_equal(write(peer, "hello", 5), 5);
    reset_socket(peer);
    send_pattern(&side, 10);
    stream_pause(side.stream, true);
    run(side.loop, QUIET_MS);
    assert_int_equal(side.ended, 1);
    assert_int_equal(side.end, STREAM_RESET);
    stop(&side, -1);
}

/* Both sides closed is reported whether wanted or not: it must not spin, nor lose what had come. */
static void a_hang_up_while_paused_costs_no_turns_and_loses_nothing(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct side side = {.expected = 5};
        int peer = start(&side, tcp);
        stream_pause(side.stream, true);
        if (tcp)
            stream_finish(side.stream);
        assert_int_equal(write(peer, "hello", 5), 5);
        close(peer);
        uint64_t before = loop_turns(side.loop);
        run(side.loop, 100);
        assert_true(loop_turns(side.loop) - before < 60); /* the alarm's wheel turns a few times */
        assert_int_equal(side.bytes, 0);
        assert_int_equal(side.ended, 0);
        stream_pause(side.stream, false);
        run(side.loop, LONG_MS);
        assert_int_equal(side.bytes, 5);
        run(side.loop, LONG_MS);
        assert_int_equal(side.ended, 1);
        assert_int_equal(side.end, STREAM_FINISHED);
        before = loop_turns(side.loop);
        run(side.loop, 100);
        assert_true(loop_turns(side.loop) - before < 60);
        stop(&side, -1);
    }
}

static void a_hung_up_stream_may_be_closed(void **state)
{
    (void)state;
    struct side side = {0};
    int peer = start(&side, false);
    stream_pause(side.stream, true);
    close(peer);
    run(side.loop, QUIET_MS);
    stop(&side, -1);
}

static void closing_is_allowed_inside_every_callback(void **state)
{
    (void)state;
    struct side in_bytes = {.close_on_bytes = true, .reply = true};
    int peer = start(&in_bytes, true);
    assert_int_equal(write(peer, "x", 1), 1);
    shutdown(peer, SHUT_WR);
    run(in_bytes.loop, LONG_MS);
    run(in_bytes.loop, QUIET_MS);
    assert_int_equal(in_bytes.bytes, 1);
    assert_int_equal(in_bytes.ended, 0);
    stop(&in_bytes, peer);

    struct side in_end = {.close_on_end = true};
    peer = start(&in_end, true);
    shutdown(peer, SHUT_WR);
    run(in_end.loop, LONG_MS);
    run(in_end.loop, QUIET_MS);
    assert_int_equal(in_end.ended, 1);
    stop(&in_end, peer);

    struct side in_drained = {.close_on_drained = true};
    peer = start(&in_drained, true);
    send_pattern(&in_drained, 100000);
    assert_int_equal(write(peer, "y", 1), 1); /* readable in the same turn */
    for (size_t taken = 0, turn = 0; in_drained.stream != NULL && turn < 100000; turn++) {
        taken = take_pattern(peer, taken);
        run(in_drained.loop, 1);
    }
    assert_int_equal(in_drained.drained, 1);
    stop(&in_drained, peer);
}

static void a_reset_close_reaches_the_peer_as_a_reset(void **state)
{
    (void)state;
    struct side side = {0};
    char byte;
    int peer = start(&side, true);
    stream_reset(side.stream);
    side.stream = NULL;
    assert_int_equal(recv(peer, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    stop(&side, peer);
}

static void healthy_means_open_silent_and_not_ended(void **state)
{
    (void)state;
    struct side side = {0};
    int peer = start(&side, true);
    assert_true(stream_healthy(side.stream));
    stream_pause(side.stream, true);
    assert_int_equal(write(peer, "x", 1), 1);
    assert_false(stream_healthy(side.stream));
    stop(&side, peer);
    side = (struct side){0};
    peer = start(&side, true);
    close(peer);
    assert_false(stream_healthy(side.stream)); /* seen before the loop has told of it */
    stop(&side, -1);
}

/* Its machine acknowledges, and answers probes of the closed window. */
static void a_peer_that_reads_nothing_is_not_stranded(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct side side = {0};
        int peer = start(&side, tcp);
        assert_false(stream_stranded(side.stream, 0));
        send_pattern(&side, 3 * 1024 * 1024);
        run(side.loop, 700);
        assert_true(stream_backlog(side.stream) != 0);
        assert_false(stream_stranded(side.stream, 0));
        stop(&side, peer);
    }
}

static void connecting_opens_later_and_sends_what_was_given_before(void **state)
{
    (void)state;
    struct addr to, local, peer_addr;
    int listener = listening(&to);
    struct side side = {.loop = loop_new(0)};
    side.stream = tcp_connect(side.loop, &to, NULL, &user, &side);
    assert_non_null(side.stream);
    assert_int_equal(side.opened, 0);
    send_pattern(&side, 100);
    assert_int_equal(stream_backlog(side.stream), 100);
    run(side.loop, LONG_MS);
    assert_int_equal(side.opened, 1);
    run(side.loop, LONG_MS);
    assert_int_equal(side.drained, 1);
    int peer = accept(listener, NULL, NULL);
    assert_int_equal(take_pattern(peer, 0), 100);
    stream_addresses(side.stream, &local, &peer_addr);
    assert_true(addr_eq(&peer_addr, &to));
    assert_true(addr_is_loopback(&local) && local.port != 0);
    close(listener);
    stop(&side, peer);
}

static void finished_while_connecting_the_fin_still_goes(void **state)
{
    (void)state;
    for (int with_bytes = 0; with_bytes < 2; with_bytes++) {
        struct addr to;
        char room[10];
        int listener = listening(&to);
        struct side side = {.loop = loop_new(0)};
        side.stream = tcp_connect(side.loop, &to, NULL, &user, &side);
        if (with_bytes)
            send_pattern(&side, 5);
        stream_finish(side.stream);
        run(side.loop, LONG_MS);
        run(side.loop, QUIET_MS);
        int peer = accept(listener, NULL, NULL);
        if (with_bytes)
            assert_int_equal(recv(peer, room, sizeof room, MSG_DONTWAIT), 5);
        assert_int_equal(recv(peer, room, sizeof room, MSG_DONTWAIT), 0);
        close(listener);
        stop(&side, peer);
    }
}

static void a_refused_connection_is_told_as_such(void **state)
{
    (void)state;
    struct addr to;
    close(listening(&to)); /* nobody listens there now */
    struct side side = {.loop = loop_new(0)};
    side.stream = tcp_connect(side.loop, &to, NULL, &user, &side);
    assert_non_null(side.stream);
    assert_int_equal(side.ended, 0);
    run(side.loop, LONG_MS);
    assert_int_equal(side.opened, 0);
    assert_int_equal(side.ended, 1);
    assert_int_equal(side.end, STREAM_REFUSED);
    assert_int_equal(stream_error(side.stream), ECONNREFUSED);
    stop(&side, -1);

    struct addr nowhere = {.family = ADDR_UNIX, .path = "/nonexistent/socket"};
    side = (struct side){.loop = loop_new(0), .close_on_end = true};
    side.stream = tcp_connect(side.loop, &nowhere, NULL, &user, &side);
    assert_non_null(side.stream);
    assert_int_equal(side.ended, 0);
    run(side.loop, LONG_MS);
    assert_int_equal(side.end, STREAM_REFUSED);
    stop(&side, -1);

    struct addr none = {0};
    side = (struct side){.loop = loop_new(0)};
    assert_null(tcp_connect(side.loop, &none, NULL, &user, &side));
    stop(&side, -1);
}

static void a_stream_closed_while_it_connects_tells_nothing(void **state)
{
    (void)state;
    struct addr to;
    int listener = listening(&to);
    struct side side = {.loop = loop_new(0)};
    side.stream = tcp_connect(side.loop, &to, NULL, &user, &side);
    stream_close(side.stream);
    side.stream = NULL;
    run(side.loop, QUIET_MS);
    assert_int_equal(side.opened + side.ended, 0);
    side.close_on_open = true;
    side.stream = tcp_connect(side.loop, &to, NULL, &user, &side);
    run(side.loop, LONG_MS);
    run(side.loop, QUIET_MS);
    assert_int_equal(side.opened, 1);
    assert_int_equal(side.ended, 0);
    close(listener);
    stop(&side, -1);
}

static void a_source_address_is_used_or_refused_with_errno(void **state)
{
    (void)state;
    struct addr to, source, local;
    int listener = listening(&to);
    struct side side = {.loop = loop_new(0)};
    assert_true(addr_parse_ip(STR("127.0.0.9"), &source));
    side.stream = tcp_connect(side.loop, &to, &source, &user, &side);
    assert_non_null(side.stream);
    run(side.loop, LONG_MS);
    stream_addresses(side.stream, &local, NULL);
    assert_true(addr_eq_host(&local, &source));
    assert_true(addr_parse_ip(STR("192.0.2.1"), &source)); /* not ours (RFC 5737) */
    errno = 0;
    assert_null(tcp_connect(side.loop, &to, &source, &user, &side));
    assert_int_equal(errno, EADDRNOTAVAIL);
    close(listener);
    stop(&side, -1);
}

static void unix_sockets_connect_too(void **state)
{
    (void)state;
    char name[64];
    struct sockaddr_storage sa;
    snprintf(name, sizeof name, "@portcullis-test-%d", (int)getpid());
    struct addr to = {.family = ADDR_UNIX, .path = name};
    socklen_t len = addr_to_sockaddr(&to, &sa);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    struct side side = {.loop = loop_new(0), .expected = 2};
    side.stream = tcp_connect(side.loop, &to, NULL, &user, &side);
    assert_non_null(side.stream);
    run(side.loop, LONG_MS);
    assert_int_equal(side.opened, 1);
    int peer = accept(listener, NULL, NULL);
    assert_int_equal(write(peer, "ok", 2), 2);
    run(side.loop, LONG_MS);
    assert_int_equal(side.bytes, 2);
    close(listener);
    stop(&side, peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_socket_refuses_waits_and_goes_in_order),
        cmocka_unit_test(large_reads_are_for_expected_bodies_while_backlogs_are_small),
        cmocka_unit_test(a_backlog_without_end_is_a_reset),
        cmocka_unit_test(a_paused_stream_delivers_nothing_until_it_is_resumed),
        cmocka_unit_test(a_user_may_pause_inside_on_bytes),
        cmocka_unit_test(half_closed_by_the_peer_we_may_still_send),
        cmocka_unit_test(finished_by_us_the_backlog_goes_first_and_reading_goes_on),
        cmocka_unit_test(a_reset_is_told_once_paused_or_not),
        cmocka_unit_test(sending_into_a_reset_fails_at_the_end_of_the_turn),
        cmocka_unit_test(what_came_before_a_reset_is_read_though_sending_fails),
        cmocka_unit_test(paused_in_the_middle_of_a_reset_it_ends),
        cmocka_unit_test(a_hang_up_while_paused_costs_no_turns_and_loses_nothing),
        cmocka_unit_test(a_hung_up_stream_may_be_closed),
        cmocka_unit_test(closing_is_allowed_inside_every_callback),
        cmocka_unit_test(a_reset_close_reaches_the_peer_as_a_reset),
        cmocka_unit_test(healthy_means_open_silent_and_not_ended),
        cmocka_unit_test(a_peer_that_reads_nothing_is_not_stranded),
        cmocka_unit_test(connecting_opens_later_and_sends_what_was_given_before),
        cmocka_unit_test(finished_while_connecting_the_fin_still_goes),
        cmocka_unit_test(a_refused_connection_is_told_as_such),
        cmocka_unit_test(a_stream_closed_while_it_connects_tells_nothing),
        cmocka_unit_test(a_source_address_is_used_or_refused_with_errno),
        cmocka_unit_test(unix_sockets_connect_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
