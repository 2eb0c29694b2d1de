/* The gate over turns that the test counts itself. */
#include "tls/tls_gate.h"

#include "alloc_fail.h"
#include "stream_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { CLIENTS = 3 * TLS_HANDSHAKES_PER_TURN };

struct client {
    struct tls_gate_place place;
    struct tls_gate *gate;
    unsigned called;
    uint64_t passed_in; /* the turn */
    bool passed;
};

static void ask(struct client *client)
{
    if (!tls_gate_pass(client->gate, NULL, &client->place))
        return;
    client->passed = true;
    client->passed_in = pair_turns;
}

static void go_on(struct tls_gate_place *place)
{
    struct client *client = LIST_OF(place, struct client, place);
    client->called++;
    ask(client);
}

static struct tls_gate *start(struct client *clients, size_t count)
{
    struct tls_gate *gate = tls_gate_new();
    assert_non_null(gate);
    pair_run_tasks();
    for (size_t i = 0; i < count; i++)
        clients[i] = (struct client){.place.go_on = go_on, .gate = gate};
    return gate;
}

static void so_many_go_on_in_one_turn_and_the_others_in_the_next_in_order(void **state)
{
    static struct client clients[CLIENTS];
    (void)state;
    for (size_t count = 1; count <= CLIENTS; count++) {
        struct tls_gate *gate = start(clients, count);
        uint64_t first = pair_turns;
        for (size_t i = 0; i < count; i++)
            ask(&clients[i]);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(clients[i].passed, i < TLS_HANDSHAKES_PER_TURN);
            if (!clients[i].passed)
                ask(&clients[i]); /* it stays where it is */
        }
        assert_int_equal(pair_posted != NULL, count > TLS_HANDSHAKES_PER_TURN);
        while (pair_run_tasks())
            ;
        for (size_t i = 0; i < count; i++) {
            assert_true(clients[i].passed);
            if (i > 0)
                assert_true(clients[i].passed_in >= clients[i - 1].passed_in);
            unsigned in_turn = 0;
            for (size_t k = 0; k < count; k++)
                in_turn += clients[k].passed_in == clients[i].passed_in;
            assert_true(in_turn <= TLS_HANDSHAKES_PER_TURN);
        }
        assert_int_equal(clients[count - 1].passed_in,
                         first + (count - 1) / TLS_HANDSHAKES_PER_TURN);
        tls_gate_end(gate);
    }
}

static void who_comes_later_stands_behind_those_who_wait(void **state)
{
    struct client clients[TLS_HANDSHAKES_PER_TURN + 2];
    enum { WAITING = TLS_HANDSHAKES_PER_TURN, LATE };
    struct tls_gate *gate = start(clients, LATE + 1);
    (void)state;
    for (size_t i = 0; i <= WAITING; i++)
        ask(&clients[i]);
    pair_turns++; /* the events of a turn may come before its mail */
    ask(&clients[LATE]);
    assert_false(clients[WAITING].passed || clients[LATE].passed);
    while (pair_run_tasks())
        ;
    assert_true(clients[WAITING].passed && clients[LATE].passed);
    tls_gate_end(gate);
}

static void who_leaves_is_not_called_nor_anyone_after_the_end(void **state)
{
    struct client clients[TLS_HANDSHAKES_PER_TURN + 2];
    struct tls_gate *gate = start(clients, TLS_HANDSHAKES_PER_TURN + 2);
    (void)state;
    for (size_t i = 0; i < TLS_HANDSHAKES_PER_TURN + 2; i++)
        ask(&clients[i]);
    tls_gate_leave(&clients[TLS_HANDSHAKES_PER_TURN].place);
    tls_gate_leave(&clients[0].place); /* it does not wait */
    while (pair_run_tasks())
        ;
    assert_int_equal(clients[TLS_HANDSHAKES_PER_TURN].called, 0);
    assert_int_equal(clients[TLS_HANDSHAKES_PER_TURN + 1].called, 1);
    for (size_t i = 0; i < TLS_HANDSHAKES_PER_TURN + 2; i++)
        ask(&clients[i]);
    tls_gate_end(gate); /* its task is still posted */
    while (pair_run_tasks())
        ;
    assert_int_equal(clients[TLS_HANDSHAKES_PER_TURN + 1].called, 1);
    tls_gate_leave(&clients[TLS_HANDSHAKES_PER_TURN + 1].place);
}

static void one_gate(void *unused)
{
    (void)unused;
    struct tls_gate *gate = tls_gate_new();
    assert_true(gate != NULL || alloc_has_failed());
    if (gate != NULL)
        tls_gate_end(gate);
}

static void without_memory_there_is_no_gate(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_gate, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_go_on_in_one_turn_and_the_others_in_the_next_in_order),
        cmocka_unit_test(who_comes_later_stands_behind_those_who_wait),
        cmocka_unit_test(who_leaves_is_not_called_nor_anyone_after_the_end),
        cmocka_unit_test(without_memory_there_is_no_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
