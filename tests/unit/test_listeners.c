#include "app/listeners.h"

#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fail.h"

struct texts {
    char why_bytes[1024], notice_bytes[256];
    struct text why, notices;
};

static void init_texts(struct texts *t)
{
    t->why = text_over(t->why_bytes, sizeof t->why_bytes);
    t->notices = text_over(t->notice_bytes, sizeof t->notice_bytes);
}

/* A listening socket on loopback and its address. */
static int foreign(struct letter_addr *out)
{
    struct sockaddr_storage sa;
    struct addr addr = {.family = ADDR_IP4, .ip = {127, 0, 0, 1}};
    socklen_t len = addr_to_sockaddr(&addr, &sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    len = sizeof sa;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_true(addr_from_sockaddr(&addr, (struct sockaddr *)&sa, len));
    *out = letter_addr_from(&addr, false, false);
    return fd;
}

/* A port that was free a moment ago. */
static struct letter_addr free_addr(void)
{
    struct letter_addr addr;
    close(foreign(&addr));
    return addr;
}

static void a_group_has_a_socket_for_each_thread_and_never_shrinks(void **state)
{
    (void)state;
    struct listeners l;
    struct texts t;
    struct letter_addr addr = free_addr();
    init_texts(&t);
    listeners_init(&l);
    assert_true(listeners_want(&l, &addr, 1, 2, &t.why, &t.notices));
    assert_int_equal(listeners_find(&l, &addr)->count, 2);
    assert_true(listeners_want(&l, &addr, 1, 4, &t.why, &t.notices));
    assert_int_equal(listeners_find(&l, &addr)->count, 4);
    assert_true(listeners_want(&l, &addr, 1, 1, &t.why, &t.notices));
    assert_int_equal(listeners_find(&l, &addr)->count, 4);
    assert_int_equal(l.count, 1);
    listeners_fini(&l);
}

static unsigned gone_count;

static void count_gone(void *user, const struct letter_addr *addr)
{
    (void)user;
    (void)addr;
    gone_count++;
}

static void only_what_is_no_longer_wanted_is_closed(void **state)
{
    (void)state;
    struct listeners l;
    struct texts t;
    struct letter_addr addrs[2] = {free_addr(), free_addr()};
    init_texts(&t);
    listeners_init(&l);
    assert_true(listeners_want(&l, addrs, 2, 1, &t.why, &t.notices));
    int kept = listeners_find(&l, &addrs[1])->fds[0];
    gone_count = 0;
    listeners_keep(&l, &addrs[1], 1, count_gone, NULL);
    assert_int_equal(gone_count, 1);
    assert_null(listeners_find(&l, &addrs[0]));
    assert_int_equal(listeners_find(&l, &addrs[1])->fds[0], kept);
    listeners_fini(&l);
}

static void a_held_address_is_named_and_nothing_stays_open(void **state)
{
    (void)state;
    struct listeners l;
    struct texts t;
    struct letter_addr addrs[2] = {free_addr()};
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    int fd = foreign(&addrs[1]);
    pid_t holder = fork(); /* what our own process holds is not in the way */
    if (holder == 0) {
        char byte;
        close(pipe_fds[1]);
        _exit(read(pipe_fds[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(fd);
    init_texts(&t);
    listeners_init(&l);
    assert_false(listeners_want(&l, addrs, 2, 1, &t.why, &t.notices));
    assert_true(str_find(text_str(&t.why), STR("is held by test_listeners (pid ")) != SIZE_MAX);
    assert_int_equal(l.count, 0);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    listeners_fini(&l);
}

static void sockets_of_our_own_are_not_in_the_way(void **state)
{
    (void)state;
    struct listeners l;
    struct texts t;
    struct letter_addr one = free_addr();
    struct letter_addr all = {.family = ADDR_IP6, .any_family = 1, .port = one.port};
    struct letter_addr both[2] = {one, all};
    init_texts(&t);
    listeners_init(&l);
    assert_true(listeners_want(&l, &one, 1, 1, &t.why, &t.notices));
    assert_true(listeners_want(&l, both, 2, 1, &t.why, &t.notices));
    listeners_fini(&l);
}

static void a_socket_from_systemd_is_taken_by_its_address(void **state)
{
    (void)state;
    struct listeners l;
    struct texts t;
    struct letter_addr addr;
    init_texts(&t);
    listeners_init(&l);
    int fd = foreign(&addr);
    listeners_inherit(&l, fd, 1);
    assert_true(listeners_want(&l, &addr, 1, 4, &t.why, &t.notices));
    struct listener_group *group = listeners_find(&l, &addr);
    assert_true(group->inherited);
    assert_int_equal(group->count, 1);
    assert_int_equal(group->fds[0], fd);
    listeners_fini(&l);
}

static int begin_connect(const struct letter_addr *to)
{
    struct sockaddr_storage sa;
    struct addr addr = letter_addr_to(to);
    socklen_t len = addr_to_sockaddr(&addr, &sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(connect(fd, (struct sockaddr *)&sa, len) == 0 || errno == EINPROGRESS);
    return fd;
}

static bool comes(int fd, short events, int wait_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, wait_ms) == 1;
}

static void who_is_connected_is_served_and_nobody_else_when_turned_away(void **state)
{
    (void)state;
    struct listeners l;
    struct texts t;
    struct letter_addr addr = free_addr();
    init_texts(&t);
    listeners_init(&l);
    assert_true(listeners_want(&l, &addr, 1, 1, &t.why, &t.notices));
    int socket = listeners_find(&l, &addr)->fds[0];
    int early = begin_connect(&addr);
    assert_true(comes(early, POLLOUT, 5000));
    listeners_turn_away(&l);
    int late = begin_connect(&addr);
    assert_false(comes(late, POLLOUT, 200));
    int served = accept4(socket, NULL, NULL, SOCK_CLOEXEC);
    assert_true(served >= 0);
    assert_int_equal(accept4(socket, NULL, NULL, SOCK_CLOEXEC), -1);
    assert_int_equal(write(early, "x", 1), 1); /* and goes on being served */
    assert_true(comes(served, POLLIN, 5000));
    close(early);
    close(late);
    close(served);
    listeners_fini(&l);
}

/* It goes on being listened on by whoever gave it. */
static void a_socket_from_systemd_is_never_made_to_turn_away(void **state)
{
    (void)state;
    struct listeners l;
    struct texts t;
    struct letter_addr addr;
    int fd = foreign(&addr);
    init_texts(&t);
    listeners_init(&l);
    listeners_inherit(&l, fd, 1);
    assert_true(listeners_want(&l, &addr, 1, 1, &t.why, &t.notices));
    listeners_turn_away(&l);
    int late = begin_connect(&addr);
    assert_true(comes(late, POLLOUT, 5000));
    close(late);
    listeners_fini(&l);
}

static void two_groups(void *addrs)
{
    struct listeners l;
    struct texts t;
    init_texts(&t);
    listeners_init(&l);
    bool got = listeners_want(&l, addrs, 2, 2, &t.why, &t.notices);
    assert_true(got || (alloc_has_failed() && t.why.len > 0));
    listeners_fini(&l);
}

static void without_memory_an_address_is_refused_and_the_others_stay(void **state)
{
    (void)state;
    struct letter_addr addrs[2] = {free_addr(), free_addr()};
    assert_true(alloc_walk(two_groups, addrs) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_has_a_socket_for_each_thread_and_never_shrinks),
        cmocka_unit_test(only_what_is_no_longer_wanted_is_closed),
        cmocka_unit_test(a_held_address_is_named_and_nothing_stays_open),
        cmocka_unit_test(sockets_of_our_own_are_not_in_the_way),
        cmocka_unit_test(a_socket_from_systemd_is_taken_by_its_address),
        cmocka_unit_test(who_is_connected_is_served_and_nobody_else_when_turned_away),
        cmocka_unit_test(a_socket_from_systemd_is_never_made_to_turn_away),
        cmocka_unit_test(without_memory_an_address_is_refused_and_the_others_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
