#include "app/holder.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct {
    const char *line;
    bool taken, listening;
    const char *local;
    uint32_t uid;
    uint64_t inode;
} lines[] = {
    {"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
     "inode",
     false, false, "", 0, 0},
    {"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 "
     "12345 1 0000000000000000 100 0 0 10 0",
     true, true, "127.0.0.1:8080", 33, 12345},
    {"   1: 00000000000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A "
     "00000000:00000000 00:00000000 00000000     0        0 77 1 0",
     true, true, "[::1]:443", 0, 77},
    {"  12: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 9 "
     "1",
     true, false, "127.0.0.1:8080", 1000, 9},
    {"   0: 0100007F:1F9 x", false, false, "", 0, 0},
    {"   0: 0100007:1F90 00000000:0000 0A 0:0 0:0 0 0 0 1 1", false, false, "", 0, 0},
    {"", false, false, "", 0, 0},
};

static void lines_of_proc_net_tcp_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct holder_socket socket;
        char memory[80];
        struct text text = text_over(memory, sizeof memory);
        assert_int_equal(holder_parse_line(str_from_z(lines[i].line), &socket), lines[i].taken);
        if (!lines[i].taken)
            continue;
        addr_add_text_port(&text, &socket.local);
        assert_true(str_eq(text_str(&text), str_from_z(lines[i].local)));
        assert_int_equal(socket.listening, lines[i].listening);
        assert_int_equal(socket.uid, lines[i].uid);
        assert_int_equal(socket.inode, lines[i].inode);
    }
}

static int listen_somewhere(struct addr *addr)
{
    struct sockaddr_storage sa;
    struct addr any = {.family = ADDR_IP4, .ip = {127, 0, 0, 1}};
    socklen_t len = addr_to_sockaddr(&any, &sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    len = sizeof sa;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_true(addr_from_sockaddr(addr, (struct sockaddr *)&sa, len));
    return fd;
}

static void a_socket_of_our_own_is_told_as_ours(void **state)
{
    (void)state;
    struct addr addr;
    struct holder holder;
    int fd = listen_somewhere(&addr);
    assert_true(holder_find(&addr, &holder));
    assert_true(holder.ours);
    assert_int_equal(holder.pid, getpid());
    assert_string_equal(holder.name, "test_holder");
    struct addr wildcard = {.family = ADDR_IP6, .port = addr.port};
    assert_true(holder_find(&wildcard, &holder)); /* all addresses collide with one of them */
    close(fd);
    assert_false(holder_find(&addr, &holder));
}

static void the_parent_is_named_not_the_child_that_inherited(void **state)
{
    (void)state;
    struct addr addr;
    int fd = listen_somewhere(&addr), done[2];
    assert_int_equal(pipe(done), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(done[1]);
        _exit(read(done[0], &byte, 1) == 0 ? 0 : 1);
    }
    struct holder holder;
    assert_true(holder_find(&addr, &holder));
    assert_int_equal(holder.pid, getpid());
    close(fd); /* now the child alone holds it */
    assert_true(holder_find(&addr, &holder));
    assert_int_equal(holder.pid, child);
    assert_true(holder.ours); /* a worker that is about to close it */
    close(done[0]);
    close(done[1]);
    waitpid(child, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_proc_net_tcp_are_read),
        cmocka_unit_test(a_socket_of_our_own_is_told_as_ours),
        cmocka_unit_test(the_parent_is_named_not_the_child_that_inherited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
