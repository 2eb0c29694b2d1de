/* The server codec over a stream in memory; its user is a script of what it answers. */
#include "http/h1_server.h"

#include "stream_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* The request under way, and what the user has heard. */
struct scene {
    struct pair pair;
    struct pair_end *server, *client;
    struct codec *codec;
    struct codec_request request;
    struct message message;
    struct arena *arena; /* of all requests of a test */
    enum codec_state state;
    char heard[4096];
    size_t heard_len;
    unsigned begun, done, over;
    bool hold; /* requests are not answered at once */
    bool gone;
    bool deaf; /* to bodies */
};

static struct scene scene;
static const struct head_limits LIMITS = {1024, 20, 4096};

static void note(const char *what, struct str bytes)
{
    int len = snprintf(scene.heard + scene.heard_len, sizeof scene.heard - scene.heard_len,
                       "%s%.*s", what, STR_ARG(bytes));
    scene.heard_len += (size_t)len;
    assert_true(scene.heard_len < sizeof scene.heard);
}

static bool answer_head(unsigned status, enum body_framing framing, uint64_t length, bool whole)
{
    struct message answer;
    message_init(&answer, scene.arena);
    answer.status = (uint16_t)status;
    answer.method = scene.message.method;
    answer.framing = (uint8_t)framing;
    answer.content_length = length;
    return codec_send_head(&scene.request, &answer, whole);
}

static void answer_hello(void)
{
    assert_true(answer_head(200, BODY_LENGTH, 5, false));
    codec_send_body(&scene.request, STR("hello"), true);
}

static struct codec_request *on_begin(void *user)
{
    (void)user;
    message_init(&scene.message, scene.arena);
    scene.request = (struct codec_request){.message = &scene.message};
    scene.begun++;
    return &scene.request;
}

static void on_head(struct codec_request *request)
{
    note("[", request->message->target);
    if (!scene.hold)
        answer_hello();
}

static void on_bad(struct codec_request *request, const struct parse_error *error)
{
    (void)request;
    note("!", str_from_z(error->why));
    assert_true(answer_head(error->status, BODY_LENGTH, 3, false));
    codec_send_body(&scene.request, STR("bad"), true);
}

static void on_body(struct codec_request *request, struct str piece)
{
    (void)request;
    if (!scene.deaf)
        note("", piece);
}

static void on_body_end(struct codec_request *request)
{
    assert_true(request->body_whole);
    note("]", (struct str){0});
}

static void on_drained(struct codec_request *request)
{
    (void)request;
}

static void on_gone(struct codec_request *request, enum stream_end end)
{
    (void)end;
    scene.gone = true;
    codec_reset(request);
}

static void on_done(struct codec_request *request)
{
    assert_ptr_equal(request, &scene.request);
    scene.done++;
}

static void on_state(void *user, enum codec_state state)
{
    (void)user;
    assert_int_equal(scene.over, 0);
    scene.state = state;
}

static void on_over(void *user, enum stream_end end)
{
    (void)user;
    scene.over++;
    codec_end(scene.codec, end == STREAM_RESET);
}

static const struct codec_user user = {
    .on_begin = on_begin,
    .on_head = on_head,
    .on_bad = on_bad,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_drained = on_drained,
    .on_gone = on_gone,
    .on_done = on_done,
    .on_state = on_state,
    .on_over = on_over,
};

static int start(void **state)
{
    (void)state;
    memset(&scene, 0, sizeof scene);
    pair_init(&scene.pair);
    scene.server = &scene.pair.ends[0];
    scene.client = &scene.pair.ends[1];
    scene.arena = arena_new(1 << 20, 4096);
    scene.codec = h1_server_new(&scene.server->stream, &user, &scene, &LIMITS);
    return scene.codec == NULL;
}

static int stop(void **state)
{
    (void)state;
    if (scene.over == 0)
        codec_end(scene.codec, false);
    assert_int_equal(scene.begun, scene.done);
    pair_fini(&scene.pair);
    arena_end(scene.arena);
    return 0;
}

static void say(const char *text)
{
    stream_send_str(&scene.client->stream, str_from_z(text));
    pair_pump(&scene.pair, 100000);
}

static void drained(void)
{
    scene.server->backlog = 0;
    scene.server->stream.user->on_drained(scene.server->stream.user_data);
    pair_pump(&scene.pair, 100000);
}

/* How many answers the client has got. */
static unsigned answers(void)
{
    struct str got = str_from(scene.client->bytes, scene.client->len);
    unsigned count = 0;
    for (size_t at; (at = str_find(got, STR("HTTP/1.1 "))) != SIZE_MAX; count++)
        got = str_skip(got, at + 1);
    return count;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- claims ---- */

static void requests_are_heard_alike_however_they_come(void **state)
{
    const char *stream =
        GET("/1") "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" GET(
            "/3") "POST /4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                  "chunked\r\n\r\n3\r\ndef\r\n2;x=y\r\ngh"
                  "\r\n0\r\nT: 1\r\n\r\n" GET("/5");
    for (size_t piece = 1; piece < 80; piece++) {
        stream_send_str(&scene.client->stream, str_from_z(stream));
        scene.hold = true;
        do {
            pair_turn(&scene.pair, piece);
            if (scene.begun != scene.done && scene.request.body_whole)
                answer_hello();
        } while (scene.done < 5);
        assert_string_equal(scene.heard, "[/1[/2abc][/3[/4defgh][/5");
        assert_int_equal(answers(), 5);
        assert_int_equal(scene.state, CODEC_IDLE);
        stop(state);
        assert_int_equal(start(state), 0);
    }
}

static void requests_wait_while_a_backlog_of_answers_does(void **state)
{
    (void)state;
    scene.server->backlog = 100000;
    say(GET("/1") GET("/2") GET("/3"));
    assert_int_equal(scene.begun, 0);
    assert_true(scene.server->paused);
    assert_int_equal(scene.state, CODEC_HEAD); /* so that its time is limited */
    drained();
    assert_string_equal(scene.heard, "[/1[/2[/3");
    assert_false(scene.server->paused);
    assert_int_equal(scene.state, CODEC_IDLE);
}

static void a_half_closed_client_gets_its_last_answer_whole(void **state)
{
    (void)state;
    say(GET("/1"));
    assert_int_equal(answers(), 1);
    scene.server->backlog = 1000;
    stream_finish(&scene.client->stream);
    pair_pump(&scene.pair, 1000);
    assert_int_equal(scene.over, 0);
    assert_int_equal(scene.state, CODEC_OVER);
    drained();
    assert_int_equal(scene.over, 1);
}

static void a_half_closed_client_gets_an_answer_that_comes_later(void **state)
{
    (void)state;
    scene.hold = true;
    stream_send_str(&scene.client->stream, STR(GET("/1")));
    stream_finish(&scene.client->stream);
    pair_pump(&scene.pair, 1000);
    assert_false(scene.gone);
    answer_hello();
    assert_int_equal(answers(), 1);
    assert_int_equal(scene.over, 1);
}

static void a_reset_after_a_half_close_is_the_end(void **state)
{
    (void)state;
    scene.hold = true;
    stream_send_str(&scene.client->stream, STR(GET("/1")));
    stream_finish(&scene.client->stream);
    pair_pump(&scene.pair, 1000);
    scene.server->stream.user->on_end(scene.server->stream.user_data, STREAM_RESET);
    assert_true(scene.gone);
    assert_int_equal(scene.over, 1);
}

static void a_part_of_a_head_before_the_end_ends_the_connection(void **state)
{
    (void)state;
    scene.hold = true;
    say(GET("/1") "GET /2 HT");
    stream_finish(&scene.client->stream);
    scene.server->paused = false; /* it was not read while the first was open */
    pair_pump(&scene.pair, 1000);
    answer_hello();
    assert_int_equal(answers(), 1);
    assert_int_equal(scene.over, 1);
}

static bool client_heard(const char *words)
{
    return str_find(str_from(scene.client->bytes, scene.client->len), str_from_z(words)) !=
           SIZE_MAX;
}

static void draining_ends_a_connection_behind_an_answer_that_says_so(void **state)
{
    (void)state;
    scene.hold = true;
    say(GET("/1"));
    codec_drain(scene.codec);
    assert_false(scene.client->fin);
    answer_hello();
    assert_true(client_heard("Connection: close"));
    assert_true(scene.client->fin);
    assert_int_equal(scene.state, CODEC_OVER);
}

/* The head had gone out before: whoever read it may send another request at once. */
static void draining_lets_a_client_that_was_told_nothing_ask_once_more(void **state)
{
    (void)state;
    scene.hold = true;
    say(GET("/1"));
    assert_true(answer_head(200, BODY_LENGTH, 5, false));
    codec_drain(scene.codec);
    codec_send_body(&scene.request, STR("hello"), true);
    assert_false(scene.client->fin);
    assert_int_equal(scene.state, CODEC_IDLE);
    assert_false(client_heard("Connection: close"));
    scene.hold = false;
    say(GET("/2"));
    assert_int_equal(answers(), 2);
    assert_true(client_heard("Connection: close"));
    assert_true(scene.client->fin);
}

static void an_idle_connection_outlives_draining_and_ends_when_told(void **state)
{
    (void)state;
    say(GET("/1"));
    codec_drain(scene.codec);
    assert_false(scene.client->fin);
    codec_end_idle(scene.codec);
    assert_true(scene.client->fin);
    assert_int_equal(scene.state, CODEC_OVER);
}

static void a_connection_that_is_not_idle_is_not_ended_as_such(void **state)
{
    (void)state;
    scene.hold = true;
    say(GET("/1"));
    codec_end_idle(scene.codec);
    answer_hello();
    assert_false(scene.client->fin);
    say("GET /2 HT");
    codec_end_idle(scene.codec);
    assert_false(scene.client->fin);
}

static void an_early_answer_to_an_announced_body_ends_the_connection(void **state)
{
    (void)state;
    /* It may send the body or not: what comes next cannot be told apart (RFC 9110 10.1.1). */
    say("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_true(scene.client->fin);
    say(GET("/smuggled"));
    assert_string_equal(scene.heard, "[/");
}

static void an_early_answer_to_a_small_body_keeps_the_connection(void **state)
{
    (void)state;
    say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n");
    assert_int_equal(answers(), 1);
    assert_int_equal(scene.state, CODEC_DROPPING);
    say("GET /smuggled HTTP/1.1\r\nHost: " GET("/2"));
    assert_string_equal(scene.heard, "[/[/2");
    assert_int_equal(scene.state, CODEC_IDLE);
}

static void only_the_middle_of_a_large_body_is_expected(void **state)
{
    static char piece[STREAM_READ_EXPECTED_MAX];
    char head[100];
    static const struct {
        size_t length;
        bool large;
    } rows[] = {{STREAM_READ_EXPECTED_MAX, false}, {STREAM_READ_EXPECTED_MAX + 1, true}};
    (void)state;
    scene.hold = scene.deaf = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
                 rows[i].length);
        say(head);
        assert_int_equal(scene.server->expects_much, rows[i].large);
        say("x");
        assert_false(scene.server->expects_much);
        stream_send_str(&scene.client->stream, str_from(piece, rows[i].length - 1));
        pair_pump(&scene.pair, 100000);
        assert_true(scene.request.body_whole);
        answer_hello();
        pair_pump(&scene.pair, 100000);
    }
    assert_int_equal(scene.done, 2);
}

static void a_body_that_breaks_its_length_is_never_written(void **state)
{
    (void)state;
    scene.hold = true;
    say(GET("/1"));
    assert_true(answer_head(200, BODY_LENGTH, 5, false));
    codec_send_body(&scene.request, STR("hello!"), false);
    assert_int_equal(scene.over, 1);
    assert_true(scene.client->reset);
    assert_true(str_find(str_from(scene.client->bytes, scene.client->len), STR("hello")) ==
                SIZE_MAX);
}

static void a_tunnel_carries_what_came_before_it(void **state)
{
    (void)state;
    scene.hold = true;
    stream_send_str(&scene.client->stream, STR(GET("/1") "early"));
    stream_finish(&scene.client->stream);
    pair_pump(&scene.pair, 1000);
    assert_true(answer_head(101, BODY_NONE, 0, false));
    pair_pump(&scene.pair, 1000);
    assert_string_equal(scene.heard, "[/1early]");
    codec_send_body(&scene.request, STR("late"), true);
    assert_int_equal(scene.over, 1);
    assert_true(str_ends(str_from(scene.client->bytes, scene.client->len), STR("late")));
}

static void a_tunnel_asked_for_by_a_half_closed_client_ends_with_the_origin(void **state)
{
    (void)state;
    scene.hold = true;
    say(GET("/1"));
    stream_finish(&scene.client->stream);
    pair_pump(&scene.pair, 1000);
    assert_true(answer_head(101, BODY_NONE, 0, false));
    assert_string_equal(scene.heard, "[/1]");
    codec_send_body(&scene.request, (struct str){0}, true);
    assert_int_equal(scene.over, 1);
}

static void no_1xx_goes_to_http_1_0(void **state)
{
    (void)state;
    scene.hold = true;
    say("GET / HTTP/1.0\r\n\r\n");
    assert_true(answer_head(103, BODY_NONE, 0, false));
    assert_true(answer_head(200, BODY_CHUNKED, 0, false));
    codec_send_body(&scene.request, STR("bytes"), true);
    struct str got = str_from(scene.client->bytes, scene.client->len);
    assert_true(str_find(got, STR("103")) == SIZE_MAX);
    assert_true(str_find(got, STR("chunked")) == SIZE_MAX);
    assert_true(str_ends(got, STR("\r\n\r\nbytes")));
    assert_true(scene.client->fin);
}

static void a_head_that_takes_too_long_is_refused(void **state)
{
    (void)state;
    static const struct parse_error late = {.status = 408, .why = "late"};
    say("GET / HT");
    assert_int_equal(scene.state, CODEC_HEAD);
    h1_server_refuse(scene.codec, &late);
    assert_string_equal(scene.heard, "!late");
    assert_true(scene.client->fin);
    say("TP/1.1\r\n\r\n");
    assert_string_equal(scene.heard, "!late");
}

int main(void)
{
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        CLAIM(requests_are_heard_alike_however_they_come),
        CLAIM(requests_wait_while_a_backlog_of_answers_does),
        CLAIM(a_half_closed_client_gets_its_last_answer_whole),
        CLAIM(a_half_closed_client_gets_an_answer_that_comes_later),
        CLAIM(a_reset_after_a_half_close_is_the_end),
        CLAIM(a_part_of_a_head_before_the_end_ends_the_connection),
        CLAIM(draining_ends_a_connection_behind_an_answer_that_says_so),
        CLAIM(draining_lets_a_client_that_was_told_nothing_ask_once_more),
        CLAIM(an_idle_connection_outlives_draining_and_ends_when_told),
        CLAIM(a_connection_that_is_not_idle_is_not_ended_as_such),
        CLAIM(an_early_answer_to_an_announced_body_ends_the_connection),
        CLAIM(an_early_answer_to_a_small_body_keeps_the_connection),
        CLAIM(only_the_middle_of_a_large_body_is_expected),
        CLAIM(a_body_that_breaks_its_length_is_never_written),
        CLAIM(a_tunnel_carries_what_came_before_it),
        CLAIM(a_tunnel_asked_for_by_a_half_closed_client_ends_with_the_origin),
        CLAIM(no_1xx_goes_to_http_1_0),
        CLAIM(a_head_that_takes_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
