#include "app/query_desk.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fail.h"

static unsigned calls;

static bool two_more(struct query *query, void *user)
{
    (void)user;
    text_printf(&query->out, "more %u\n", ++calls);
    return calls < 2;
}

static bool answer(struct query *query, void *user)
{
    (void)user;
    if (str_eq(query->words[0], STR("long")))
        for (int i = 0; i <= QUERY_ANSWER_MAX / 64; i++)
            text_printf(&query->out, "%64d", i);
    if (str_eq(query->words[0], STR("follow")))
        query->more = two_more;
    else
        text_printf(&query->out, "%u %.*s", query->word_count, STR_ARG(query_option(query, "k")));
    return query->words[0].len > 0;
}

struct desk_test {
    struct query_desk desk;
    int client;
    char got[256];
    size_t got_len;
};

static void start(struct desk_test *t)
{
    int ends[2];
    memset(t, 0, sizeof *t);
    calls = 0;
    query_desk_init(&t->desk, answer, NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    t->client = ends[0];
    query_desk_take(&t->desk, ends[1], 0);
}

static void take_answer(struct desk_test *t)
{
    ssize_t got;
    for (int turn = 0; turn < 5; turn++) {
        query_desk_turn(&t->desk, 1);
        while ((got = recv(t->client, t->got + t->got_len, sizeof t->got - 1 - t->got_len,
                           MSG_DONTWAIT)) > 0)
            t->got_len += (size_t)got;
    }
}

static void ask(struct desk_test *t, const char *bytes, size_t len, size_t piece)
{
    start(t);
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        assert_int_equal(send(t->client, bytes + at, n, 0), n);
        query_desk_turn(&t->desk, 0);
    }
    shutdown(t->client, SHUT_WR);
    take_answer(t);
}

static void end(struct desk_test *t)
{
    query_desk_fini(&t->desk);
    close(t->client);
}

static const struct {
    const char *bytes;
    size_t len;
    const char *answer;
} rows[] = {
    {"name\0", 5, "ok\n1 "},
    {"name\0k\0v\0", 9, "ok\n3 v"},
    {"name\0x\0k\0", 9, "ok\n3 "}, /* `k` is a value there */
    {"name\0k\0", 7, "ok\n2 "},
    {"\0", 1, "failed\n1 "},
    {"follow\0", 7, "ok\nmore 1\nmore 2\n"},
    {"name", 4, "failed\nthe question is too long, or none\n"},
    {"", 0, "failed\nthe question is too long, or none\n"},
    {"long\0", 5, "failed\nit is too long\n"},
};

static void a_question_is_answered_however_it_arrives(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t piece = 1; piece <= 8; piece += 7) {
            struct desk_test t;
            ask(&t, rows[i].bytes, rows[i].len, piece);
            assert_string_equal(t.got, rows[i].answer);
            assert_int_equal(query_desk_timeout(&t.desk), -1);
            end(&t);
        }
}

static void a_question_may_have_so_many_words_and_no_more(void **state)
{
    (void)state;
    char bytes[2 * (QUERY_WORDS_MAX + 1)];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = i % 2 == 0 ? 'w' : '\0';
    struct desk_test t;
    ask(&t, bytes, sizeof bytes - 2, 100);
    assert_string_equal(t.got, "ok\n256 ");
    end(&t);
    ask(&t, bytes, sizeof bytes, 100);
    assert_string_equal(t.got, "failed\nthe question is too long, or none\n");
    end(&t);
}

static void who_says_nothing_is_dropped(void **state)
{
    (void)state;
    struct desk_test t;
    char byte;
    start(&t);
    query_desk_turn(&t.desk, QUERY_MS - 1);
    assert_int_equal(recv(t.client, &byte, 1, MSG_DONTWAIT), -1);
    query_desk_turn(&t.desk, QUERY_MS);
    assert_int_equal(recv(t.client, &byte, 1, MSG_DONTWAIT), 0);
    end(&t);
}

static void one_client_too_many_is_told_so(void **state)
{
    (void)state;
    struct query_desk desk;
    int mine[QUERY_CLIENTS_MAX + 1], ends[2];
    query_desk_init(&desk, answer, NULL);
    for (unsigned i = 0; i <= QUERY_CLIENTS_MAX; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        mine[i] = ends[0];
        query_desk_take(&desk, ends[1], 0);
    }
    char got[64] = "";
    assert_int_equal(recv(mine[QUERY_CLIENTS_MAX - 1], got, sizeof got, MSG_DONTWAIT), -1);
    assert_true(recv(mine[QUERY_CLIENTS_MAX], got, sizeof got - 1, MSG_DONTWAIT) > 0);
    assert_string_equal(got, "failed\ntoo many questions are open\n");
    query_desk_fini(&desk);
    for (unsigned i = 0; i <= QUERY_CLIENTS_MAX; i++)
        close(mine[i]);
}

static void one_question(void *unused)
{
    struct desk_test t;
    (void)unused;
    start(&t);
    ssize_t sent = send(t.client, "a b\0", 4, MSG_NOSIGNAL);
    if (sent > 0)
        shutdown(t.client, SHUT_WR);
    take_answer(&t);
    assert_true(t.got_len > 0 || alloc_has_failed());
    end(&t);
}

static void without_memory_a_question_is_dropped(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_question, NULL) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_is_answered_however_it_arrives),
        cmocka_unit_test(a_question_may_have_so_many_words_and_no_more),
        cmocka_unit_test(who_says_nothing_is_dropped),
        cmocka_unit_test(one_client_too_many_is_told_so),
        cmocka_unit_test(without_memory_a_question_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
