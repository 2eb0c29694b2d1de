#include "tls/tls_tickets.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"

static const uint8_t one[32] = {1}, two[32] = {2}, three[32] = {3};
static const int64_t now = 1800000000, period = 3 * TLS_TICKET_SECONDS;

/* What GnuTLS would put in front of a ticket made at `at` with this key. */
static void name(const uint8_t key[64], int64_t at, char ticket[20])
{
    uint8_t input[72], digest[64];
    for (int i = 0; i < 8; i++)
        input[i] = (uint8_t)((at / period) >> (56 - 8 * i));
    memcpy(input + 8, key, 64);
    assert_int_equal(EVP_Digest(input, 72, digest, NULL, EVP_sha3_512(), NULL), 1);
    memcpy(ticket, digest, 16);
    memcpy(ticket + 16, "rest", 4);
}

static void keys_differ_by_secret_and_id_and_by_nothing_else(void **state)
{
    (void)state;
    struct tls_tickets *a = tls_tickets_new(), *b = tls_tickets_new();
    uint8_t keys[4][64];
    bool old;
    tls_tickets_set(a, one, NULL);
    tls_tickets_set(b, one, three);
    assert_true(tls_tickets_key(a, one, STR(""), now, keys[0], &old) && !old);
    assert_true(tls_tickets_key(b, one, STR(""), now + 99, keys[1], &old) && !old);
    assert_true(tls_tickets_key(a, two, STR(""), now, keys[2], &old) && !old);
    tls_tickets_set(a, two, NULL);
    assert_true(tls_tickets_key(a, one, STR(""), now, keys[3], &old) && !old);
    assert_memory_equal(keys[0], keys[1], 64);
    assert_memory_not_equal(keys[0], keys[2], 64);
    assert_memory_not_equal(keys[0], keys[3], 64);
    tls_tickets_end(a);
    tls_tickets_end(b);
}

static void a_ticket_of_the_epoch_before_gets_its_key(void **state)
{
    (void)state;
    struct tls_tickets *tickets = tls_tickets_new();
    uint8_t first[64], key[64];
    char ticket[20];
    bool old;
    tls_tickets_set(tickets, one, NULL);
    assert_true(tls_tickets_key(tickets, three, STR(""), now, first, &old));
    const struct {
        int64_t made, shown;
        size_t len;
        bool old;
    } cases[] = {
        {now, now, 20, true},
        {now, now, 16, true},
        {now, now, 15, false},
        {now, now + period, 20, true},
        {now, now + 2 * period, 20, false},
    };
    tls_tickets_set(tickets, two, one);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        name(first, cases[i].made, ticket);
        assert_true(tls_tickets_key(tickets, three, str_from(ticket, cases[i].len), cases[i].shown,
                                    key, &old));
        assert_int_equal(old, cases[i].old);
        assert_int_equal(memcmp(key, first, 64) == 0, cases[i].old);
    }
    name(first, now, ticket);
    assert_true(tls_tickets_key(tickets, two, str_from(ticket, 20), now, key, &old));
    assert_false(old); /* of another site */
    tls_tickets_end(tickets);
}

static void *read_keys(void *argument)
{
    uint8_t key[64], expected[2][64];
    struct tls_tickets *own = tls_tickets_new();
    bool old;
    tls_tickets_set(own, one, NULL);
    assert_true(tls_tickets_key(own, three, STR(""), now, expected[0], &old));
    tls_tickets_set(own, two, NULL);
    assert_true(tls_tickets_key(own, three, STR(""), now, expected[1], &old));
    size_t torn = 0;
    for (int i = 0; i < 2000; i++) {
        assert_true(tls_tickets_key(argument, three, STR(""), now, key, &old));
        if (memcmp(key, expected[0], 64) != 0 && memcmp(key, expected[1], 64) != 0)
            torn++;
    }
    tls_tickets_end(own);
    return torn == 0 ? NULL : argument;
}

static void readers_never_see_half_a_secret(void **state)
{
    (void)state;
    struct tls_tickets *tickets = tls_tickets_new();
    pthread_t threads[2];
    tls_tickets_set(tickets, one, NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_keys, tickets), 0);
    for (int i = 0; i < 2000; i++)
        tls_tickets_set(tickets, i % 2 == 0 ? two : one, NULL);
    for (int i = 0; i < 2; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    tls_tickets_end(tickets);
}

static void some_tickets(void *unused)
{
    (void)unused;
    struct tls_tickets *tickets = tls_tickets_new();
    assert_true(tickets != NULL || alloc_has_failed());
    if (tickets != NULL)
        tls_tickets_end(tickets);
}

static void without_memory_there_are_no_tickets(void **state)
{
    (void)state;
    assert_true(alloc_walk(some_tickets, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_differ_by_secret_and_id_and_by_nothing_else),
        cmocka_unit_test(a_ticket_of_the_epoch_before_gets_its_key),
        cmocka_unit_test(readers_never_see_half_a_secret),
        cmocka_unit_test(without_memory_there_are_no_tickets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
