#include "net/resolver.h"

#include "base/clock.h"
#include "base/text.h"

#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fail.h"

/* --- a DNS server on the same loop
 * ------------------------------------------------------------------ */

enum behaviour { SAYS, SAYS_NOTHING, SAYS_NXDOMAIN, SAYS_SERVFAIL, SAYS_NONSENSE };
enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28 };

struct record {
    const char *name;
    unsigned type;
    const char *value; /* address, or the name of a CNAME */
    unsigned ttl_s;
};

struct server {
    struct loop_io io;
    const struct record *records; /* up to a name of NULL */
    enum behaviour a, aaaa;
    unsigned queries;
    unsigned copies; /* of each address record: 0 and 1 are one */
};

struct reply {
    uint8_t bytes[4096];
    size_t len;
    unsigned answers;
};

static void put16(struct reply *r, unsigned v)
{
    r->bytes[r->len++] = (uint8_t)(v >> 8);
    r->bytes[r->len++] = (uint8_t)v;
}

static size_t name_to_wire(uint8_t *out, const char *name)
{
    size_t len = 0;
    struct str rest = str_from_z(name), label;
    while (str_split(&rest, '.', &label)) {
        out[len++] = (uint8_t)label.len;
        memcpy(out + len, label.at, label.len);
        len += label.len;
    }
    out[len++] = 0;
    return len;
}

static void put_record(struct reply *r, const struct record *record)
{
    r->len += name_to_wire(r->bytes + r->len, record->name);
    put16(r, record->type);
    put16(r, 1);
    put16(r, record->ttl_s >> 16);
    put16(r, record->ttl_s & 0xffff);
    uint8_t data[256];
    struct addr addr;
    size_t len = 4;
    if (record->type == TYPE_CNAME) {
        len = name_to_wire(data, record->value);
    } else {
        assert_true(addr_parse_ip(str_from_z(record->value), &addr));
        len = record->type == TYPE_A ? 4 : 16;
        memcpy(data, addr.ip, len);
    }
    put16(r, (unsigned)len);
    memcpy(r->bytes + r->len, data, len);
    r->len += len;
    r->answers++;
}

static void put_records(struct reply *r, const struct server *server, const char *name,
                        unsigned type, bool *known)
{
    for (const struct record *record = server->records; record->name != NULL; record++) {
        if (strcasecmp(record->name, name) != 0)
            continue;
        *known = true;
        if (record->type == type)
            for (unsigned i = 0; i == 0 || i < server->copies; i++)
                put_record(r, record);
        if (record->type == TYPE_CNAME) {
            put_record(r, record);
            put_records(r, server, record->value, type, known);
        }
    }
}

static size_t read_name(const uint8_t *query, size_t len, char *name)
{
    size_t at = 12, out = 0;
    while (at < len && query[at] != 0) {
        for (unsigned i = 0; i < query[at]; i++)
            name[out++] = (char)query[at + 1 + i];
        name[out++] = '.';
        at += query[at] + 1U;
    }
    name[out != 0 ? out - 1 : 0] = '\0';
    return at + 1;
}

static void on_query(struct loop_io *io, uint32_t events)
{
    struct server *server = LIST_OF(io, struct server, io);
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;
    uint8_t query[512];
    (void)events;
    ssize_t got = recvfrom(io->fd, query, sizeof query, 0, (struct sockaddr *)&from, &from_len);
    if (got < 17)
        return;
    server->queries++;
    char name[256];
    size_t at = read_name(query, (size_t)got, name);
    unsigned type = (unsigned)query[at] << 8 | query[at + 1];
    enum behaviour does = type == TYPE_A ? server->a : server->aaaa;
    if (does == SAYS_NOTHING)
        return;
    struct reply r = {.len = at + 4};
    memcpy(r.bytes, query, r.len);
    bool known = false;
    if (does == SAYS)
        put_records(&r, server, name, type, &known);
    r.bytes[2] = 0x81;
    r.bytes[3] = (uint8_t)(0x80 | (does == SAYS_SERVFAIL ? 2 : known ? 0 : 3));
    r.bytes[7] = (uint8_t)r.answers;
    r.bytes[9] = r.bytes[11] = 0;
    if (does == SAYS_NONSENSE)
        r.bytes[3] = 0x80, r.bytes[7] = 200;
    sendto(io->fd, r.bytes, r.len, 0, (struct sockaddr *)&from, from_len);
}

static uint16_t server_begin(struct loop *loop, struct server *server)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    server->io = (struct loop_io){.fd = fd, .on_event = on_query};
    assert_true(loop_add(loop, &server->io, LOOP_IN));
    return ntohs(sa.sin_port);
}

static void server_end(struct loop *loop, struct server *server)
{
    loop_remove(loop, &server->io);
    close(server->io.fd);
}

/* --- the stage
 * ---------------------------------------------------------------------------------------- */

static const struct record records[] = {
    {"app.test", TYPE_A, "10.0.0.1", 60},       {"both.test", TYPE_A, "10.0.0.2", 60},
    {"both.test", TYPE_AAAA, "fd00::2", 60},    {"short.test", TYPE_A, "10.0.0.3", 0},
    {"alias.test", TYPE_CNAME, "app.test", 60}, {"many.test", TYPE_A, "10.0.0.4", 60},
    {"many.test", TYPE_AAAA, "fd00::4", 60},    {"db.second.test", TYPE_A, "10.0.0.5", 60},
    {"v6.test", TYPE_AAAA, "fd00::6", 60},      {NULL, 0, NULL, 0},
};

struct stage {
    struct loop *loop;
    struct server server;
    uint16_t port;
    struct resolver_hub *hub;
    struct resolver *resolver;
    struct loop_timer timer;
    bool rung;
};

struct asker {
    struct resolver_wait wait;
    struct resolver_answer answer;
    unsigned answers;
    struct loop *stop;
};

static const char conf_format[] = "nameserver 127.0.0.1:%u\n"
                                  "search first.test second.test\n"
                                  "options timeout:1 attempts:1\n";

static struct str conf_text(uint16_t port, char *memory, size_t size)
{
    snprintf(memory, size, conf_format, port);
    return str_from_z(memory);
}

static int stage_begin(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    char memory[200];
    s->loop = loop_new(0);
    s->server.records = records;
    s->port = server_begin(s->loop, &s->server);
    s->hub = resolver_hub_new(s->loop, conf_text(s->port, memory, sizeof memory),
                              STR("192.0.2.7 hosted.test Hosted\n2001:db8::7 hosted.test\n"));
    assert_non_null(s->hub);
    s->resolver = resolver_new(s->hub, s->loop);
    assert_non_null(s->resolver);
    *state = s;
    return 0;
}

static int stage_end(void **state)
{
    struct stage *s = *state;
    resolver_end(s->resolver);
    resolver_hub_end(s->hub);
    server_end(s->loop, &s->server);
    loop_end(s->loop);
    free(s);
    return 0;
}

static void on_timer(struct loop_timer *timer)
{
    struct stage *s = LIST_OF(timer, struct stage, timer);
    s->rung = true;
    loop_stop(s->loop);
}

/* True when the time was up before anybody was answered. */
static bool run_for(struct stage *s, uint64_t ms)
{
    s->rung = false;
    s->timer.on_fire = on_timer;
    timer_set(s->loop, &s->timer, ms);
    loop_run(s->loop);
    timer_clear(&s->timer);
    return s->rung;
}

static void on_answer(struct resolver_wait *wait, const struct resolver_answer *answer)
{
    struct asker *asker = LIST_OF(wait, struct asker, wait);
    asker->answer = *answer;
    asker->answers++;
    if (asker->stop != NULL)
        loop_stop(asker->stop);
}

static void ask(struct stage *s, struct asker *asker, const char *name)
{
    *asker = (struct asker){.wait = {.name = str_from_z(name), .on_answer = on_answer}};
    resolver_ask(s->resolver, &asker->wait);
    asker->stop = s->loop;
}

static void ask_and_wait(struct stage *s, struct asker *asker, const char *name)
{
    ask(s, asker, name);
    if (asker->answers == 0)
        assert_false(run_for(s, 8000));
    assert_int_equal(asker->answers, 1);
}

static void expect(const struct asker *asker, const char *addrs)
{
    char memory[1000];
    struct text text = text_over(memory, sizeof memory - 1);
    for (unsigned i = 0; i < asker->answer.count; i++) {
        text_add_z(&text, i == 0 ? "" : " ");
        addr_add_text(&text, &asker->answer.addrs[i]);
    }
    if (asker->answer.count == 0)
        text_printf(&text, "(%s)", asker->answer.why);
    memory[text.len] = '\0';
    assert_string_equal(memory, addrs);
}

static void expect_name(struct stage *s, const char *name, const char *addrs)
{
    struct asker a;
    ask_and_wait(s, &a, name);
    expect(&a, addrs);
}

/* --- without the DNS
 * ----------------------------------------------------------------------------------- */

static void addresses_and_localhost_are_answered_at_once(void **state)
{
    struct stage *s = *state;
    static const struct {
        const char *name, *addrs;
    } rows[] = {
        {"10.1.2.3", "10.1.2.3"},         {"::1", "::1"},
        {"[2001:db8::1]", "2001:db8::1"}, {"localhost", "::1 127.0.0.1"},
        {"LOCALHOST.", "::1 127.0.0.1"},  {"app.localhost", "::1 127.0.0.1"},
        {"", "(not a host name)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct asker a;
        ask(s, &a, rows[i].name);
        assert_int_equal(a.answers, 1);
        expect(&a, rows[i].addrs);
    }
    assert_int_equal(s->server.queries, 0);
}

static void the_hosts_file_comes_first(void **state)
{
    struct stage *s = *state;
    expect_name(s, "hosted.test", "192.0.2.7 2001:db8::7");
    expect_name(s, "Hosted", "192.0.2.7");
    expect_name(s, "hosted.test.", "192.0.2.7 2001:db8::7");
    assert_int_equal(s->server.queries, 0);
}

static void names_that_cannot_be_are_refused(void **state)
{
    struct stage *s = *state;
    char longest[256];
    memset(longest, 'a', sizeof longest);
    longest[254] = '\0';
    expect_name(s, longest, "(not a host name)");
    longest[253] = '\0'; /* long enough to be asked for, but its label is too long */
    expect_name(s, longest, "(no such name)");
    struct asker a = {.wait = {.name = STR("a\0b"), .on_answer = on_answer}};
    resolver_ask(s->resolver, &a.wait);
    expect(&a, "(not a host name)");
}

/* --- the DNS
 * -------------------------------------------------------------------------------------------- */

static void names_are_asked_for_and_kept(void **state)
{
    struct stage *s = *state;
    expect_name(s, "app.test", "10.0.0.1");
    assert_int_equal(s->server.queries, 2); /* A and AAAA */
    struct asker a;
    ask(s, &a, "APP.test");
    assert_int_equal(a.answers, 1);
    expect(&a, "10.0.0.1");
    assert_int_equal(s->server.queries, 2);
    expect_name(s, "v6.test", "fd00::6");
}

static void aliases_are_followed(void **state)
{
    struct stage *s = *state;
    expect_name(s, "alias.test", "10.0.0.1");
}

static void both_families_are_in_the_answer(void **state)
{
    struct stage *s = *state;
    struct asker a;
    ask_and_wait(s, &a, "both.test");
    assert_int_equal(a.answer.count, 2);
    assert_int_not_equal(a.answer.addrs[0].family, a.answer.addrs[1].family);
}

static void of_many_addresses_some_of_each_family_are_taken(void **state)
{
    struct stage *s = *state;
    s->server.copies = 12;
    struct asker a;
    ask_and_wait(s, &a, "many.test");
    unsigned ip4 = 0, ip6 = 0;
    for (unsigned i = 0; i < a.answer.count; i++) {
        ip4 += a.answer.addrs[i].family == ADDR_IP4;
        ip6 += a.answer.addrs[i].family == ADDR_IP6;
    }
    assert_true(ip4 + ip6 <= RESOLVER_ADDRS_MAX && ip4 >= 1 && ip6 >= 1);
}

static void a_name_that_is_not_there_is_not_asked_for_again_at_once(void **state)
{
    struct stage *s = *state;
    expect_name(s, "none.test.", "(no such name)");
    unsigned before = s->server.queries;
    expect_name(s, "none.test.", "(no such name)");
    assert_int_equal(s->server.queries, before);
    assert_true(run_for(s, RESOLVER_FAILED_MS + 100));
    expect_name(s, "none.test.", "(no such name)");
    assert_true(s->server.queries > before);
}

static void the_search_list_completes_names(void **state)
{
    struct stage *s = *state;
    expect_name(s, "db", "10.0.0.5");
    assert_int_equal(s->server.queries, 4); /* db.first.test, db.second.test */
    expect_name(s, "db.", "(no such name)");
}

static void an_outage_does_not_lead_to_the_next_of_the_search_list(void **state)
{
    struct stage *s = *state;
    s->server.a = s->server.aaaa = SAYS_SERVFAIL;
    expect_name(s, "db", "(the DNS server failed or cannot be reached)");
    assert_int_equal(s->server.queries, 2);
}

static void answers_expire_by_their_ttl_of_at_least_a_second(void **state)
{
    struct stage *s = *state;
    expect_name(s, "short.test", "10.0.0.3");
    assert_true(run_for(s, 500));
    expect_name(s, "short.test", "10.0.0.3");
    assert_int_equal(s->server.queries, 2);
    assert_true(run_for(s, 700));
    expect_name(s, "short.test", "10.0.0.3");
    assert_int_equal(s->server.queries, 4);
}

static void while_the_dns_fails_the_last_good_answer_stands(void **state)
{
    struct stage *s = *state;
    expect_name(s, "short.test", "10.0.0.3");
    assert_true(run_for(s, 1200));
    s->server.a = s->server.aaaa = SAYS_SERVFAIL;
    expect_name(s, "short.test", "10.0.0.3");
    struct asker a;
    ask(s, &a, "short.test");
    assert_int_equal(a.answers, 1);
    expect(&a, "10.0.0.3");
}

static void when_the_dns_is_silent_the_last_good_answer_comes_soon(void **state)
{
    struct stage *s = *state;
    expect_name(s, "short.test", "10.0.0.3");
    assert_true(run_for(s, 1200));
    s->server.a = s->server.aaaa = SAYS_NOTHING;
    uint64_t begin = clock_mono_ms();
    struct asker a, b;
    ask(s, &a, "short.test");
    assert_int_equal(a.answers, 0);
    assert_false(run_for(s, 5000));
    expect(&a, "10.0.0.3");
    assert_true(clock_mono_ms() - begin >= RESOLVER_STALE_MS - 50);
    ask(s, &b, "short.test"); /* now it is known to be slow */
    assert_int_equal(b.answers, 1);
    expect(&b, "10.0.0.3");
    /* Given up, and asked anew: who asks does not wait to learn that a second time. */
    for (unsigned i = 0; i < 40; i++) {
        struct asker c;
        assert_true(run_for(s, 100));
        ask(s, &c, "short.test");
        assert_int_equal(c.answers, 1);
        expect(&c, "10.0.0.3");
    }
}

static void a_name_that_is_gone_is_gone(void **state)
{
    struct stage *s = *state;
    expect_name(s, "short.test.", "10.0.0.3");
    assert_true(run_for(s, 1200));
    s->server.a = s->server.aaaa = SAYS_NXDOMAIN;
    expect_name(s, "short.test.", "(no such name)");
}

static void a_silent_server_is_given_up(void **state)
{
    struct stage *s = *state;
    s->server.a = s->server.aaaa = SAYS_NOTHING;
    expect_name(s, "app.test", "(the DNS server does not answer)");
}

static void one_family_does_not_wait_long_for_the_other(void **state)
{
    struct stage *s = *state;
    s->server.aaaa = SAYS_NOTHING;
    uint64_t begin = clock_mono_ms();
    expect_name(s, "app.test", "10.0.0.1");
    assert_true(clock_mono_ms() - begin < 800);
    /* The query left over ends by its own timeout. */
    assert_true(run_for(s, 1500));
}

static void nonsense_is_no_answer(void **state)
{
    struct stage *s = *state;
    s->server.a = s->server.aaaa = SAYS_NONSENSE;
    struct asker a;
    ask_and_wait(s, &a, "app.test");
    assert_int_equal(a.answer.count, 0);
}

/* --- lifetimes
 * ------------------------------------------------------------------------------------------- */

static void equal_questions_share_one_look_up(void **state)
{
    struct stage *s = *state;
    struct resolver *other = resolver_new(s->hub, s->loop);
    struct asker a[3];
    for (int i = 0; i < 2; i++)
        ask(s, &a[i], "app.test");
    a[2] = (struct asker){.wait = {.name = STR("app.test"), .on_answer = on_answer}};
    resolver_ask(other, &a[2].wait);
    while (a[0].answers + a[1].answers + a[2].answers < 3)
        run_for(s, 20);
    for (int i = 0; i < 3; i++)
        expect(&a[i], "10.0.0.1");
    assert_int_equal(s->server.queries, 2);
    resolver_end(other);
}

static void who_has_cancelled_is_not_answered(void **state)
{
    struct stage *s = *state;
    struct asker a, b;
    ask(s, &a, "app.test");
    ask(s, &b, "app.test");
    resolver_cancel(&a.wait);
    resolver_cancel(&a.wait);
    assert_false(run_for(s, 5000));
    assert_int_equal(a.answers, 0);
    assert_int_equal(b.answers, 1);
    resolver_cancel(&b.wait);
}

struct canceller {
    struct asker asker;
    struct asker *other;
};

static void cancel_other(struct resolver_wait *wait, const struct resolver_answer *answer)
{
    struct canceller *c = LIST_OF(LIST_OF(wait, struct asker, wait), struct canceller, asker);
    resolver_cancel(&c->other->wait);
    on_answer(wait, answer);
}

static void an_answer_may_cancel_another(void **state)
{
    struct stage *s = *state;
    struct asker other;
    struct canceller c = {.other = &other};
    c.asker = (struct asker){.wait = {.name = STR("app.test"), .on_answer = cancel_other}};
    resolver_ask(s->resolver, &c.asker.wait);
    ask(s, &other, "app.test");
    assert_true(run_for(s, 300));
    assert_int_equal(c.asker.answers, 1);
    assert_int_equal(other.answers, 0);
}

struct ender {
    struct asker asker;
    struct stage *stage;
};

static void end_resolver(struct resolver_wait *wait, const struct resolver_answer *answer)
{
    struct ender *e = LIST_OF(LIST_OF(wait, struct asker, wait), struct ender, asker);
    resolver_end(e->stage->resolver);
    e->stage->resolver = NULL;
    on_answer(wait, answer);
}

static void an_answer_may_end_the_resolver(void **state)
{
    struct stage *s = *state;
    struct asker other;
    struct ender e = {.stage = s};
    e.asker = (struct asker){.wait = {.name = STR("app.test"), .on_answer = end_resolver}};
    resolver_ask(s->resolver, &e.asker.wait);
    ask(s, &other, "app.test");
    assert_true(run_for(s, 300));
    assert_int_equal(e.asker.answers, 1);
    assert_int_equal(other.answers, 0);
}

static void hub_and_resolver_may_end_in_either_order_with_questions_under_way(void **state)
{
    struct stage *s = *state;
    s->server.a = s->server.aaaa = SAYS_NOTHING;
    for (int order = 0; order < 4; order++) {
        char memory[200];
        struct resolver_hub *hub =
            resolver_hub_new(s->loop, conf_text(s->port, memory, sizeof memory), (struct str){0});
        struct resolver *resolver = resolver_new(hub, s->loop);
        struct asker a = {.wait = {.name = STR("app.test"), .on_answer = on_answer}};
        resolver_ask(resolver, &a.wait);
        if (order >= 2)
            assert_true(run_for(s, 30)); /* else the question is still in the mail */
        if (order % 2 == 0)
            resolver_end(resolver);
        resolver_hub_end(hub);
        assert_true(run_for(s, 30));
        if (order % 2 == 1) {
            expect(&a, "(the resolver has ended)");
            struct asker b = {.wait = {.name = STR("both.test"), .on_answer = on_answer}};
            resolver_ask(resolver, &b.wait);
            assert_int_equal(b.answers, 1);
            resolver_end(resolver);
        }
    }
}

static void a_new_configuration_counts_at_once(void **state)
{
    struct stage *s = *state;
    static const struct record moved[] = {{"app.test", TYPE_A, "10.9.9.9", 60}, {NULL, 0, NULL, 0}};
    struct server other = {.records = moved};
    uint16_t port = server_begin(s->loop, &other);
    char memory[200];
    expect_name(s, "app.test", "10.0.0.1");
    /* One is asked for while the change is made: it is asked for again. */
    s->server.a = s->server.aaaa = SAYS_NOTHING;
    struct asker a;
    ask(s, &a, "both.test");
    assert_true(run_for(s, 30));
    resolver_hub_configure(s->hub, conf_text(port, memory, sizeof memory),
                           STR("192.0.2.1 new.test\n"));
    assert_false(run_for(s, 3000));
    expect(&a, "(no such name)");
    expect_name(s, "app.test", "10.9.9.9");
    expect_name(s, "new.test", "192.0.2.1");
    server_end(s->loop, &other);
}

/* --- threads
 * ---------------------------------------------------------------------------------------------- */

enum { THREADS = 3, ROUNDS = 60 };

struct worker {
    struct loop *loop;
    struct resolver_hub *hub;
    struct resolver *resolver;
    struct asker asker;
    unsigned left, wrong;
    pthread_t thread;
};

static void worker_answered(struct resolver_wait *wait, const struct resolver_answer *answer);

static void worker_ask(struct worker *w)
{
    static const char *const names[] = {"app.test", "both.test", "alias.test", "hosted.test",
                                        "localhost"};
    w->asker.wait = (struct resolver_wait){.name = str_from_z(names[w->left % 5]),
                                           .on_answer = worker_answered};
    resolver_ask(w->resolver, &w->asker.wait);
}

static void worker_answered(struct resolver_wait *wait, const struct resolver_answer *answer)
{
    struct worker *w = LIST_OF(LIST_OF(wait, struct asker, wait), struct worker, asker);
    w->wrong += answer->count == 0;
    if (w->left-- > 1) {
        if (w->left % 7 == 0) { /* a resolver without memory asks again */
            resolver_end(w->resolver);
            w->resolver = resolver_new(w->hub, w->loop);
        }
        worker_ask(w);
        return;
    }
    loop_stop(w->loop);
}

static void *worker_run(void *arg)
{
    struct worker *w = arg;
    w->resolver = resolver_new(w->hub, w->loop);
    worker_ask(w);
    loop_run(w->loop);
    /* One more is left under way. */
    struct asker a = {.wait = {.name = STR("v6.test"), .on_answer = on_answer}};
    resolver_ask(w->resolver, &a.wait);
    resolver_end(w->resolver);
    loop_end(w->loop);
    return NULL;
}

static void *reload_run(void *arg)
{
    const struct stage *s = arg;
    char memory[200];
    for (int i = 0; i < 20; i++) {
        resolver_hub_configure(s->hub, conf_text(s->port, memory, sizeof memory),
                               STR("192.0.2.7 hosted.test\n"));
        usleep(2000);
    }
    return NULL;
}

static void *server_run(void *arg)
{
    struct stage *s = arg;
    loop_run(s->loop);
    return NULL;
}

static void many_threads_ask_while_the_configuration_changes(void **state)
{
    struct stage *s = *state;
    struct worker workers[THREADS] = {0};
    pthread_t server, reload;
    assert_int_equal(pthread_create(&server, NULL, server_run, s), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].loop = loop_new(i + 1);
        workers[i].hub = s->hub;
        workers[i].left = ROUNDS;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]), 0);
    }
    assert_int_equal(pthread_create(&reload, NULL, reload_run, s), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].wrong, 0);
    }
    pthread_join(reload, NULL);
    loop_stop(s->loop);
    pthread_join(server, NULL);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_begin, stage_end)

/* From nothing to an answer. */
static void one_lookup(void *state)
{
    struct stage mine = *(struct stage *)state;
    char memory[200];
    mine.hub = resolver_hub_new(mine.loop, conf_text(mine.port, memory, sizeof memory),
                                STR("192.0.2.7 hosted.test\n"));
    assert_true(mine.hub != NULL || alloc_has_failed());
    if (mine.hub == NULL)
        return;
    mine.resolver = resolver_new(mine.hub, mine.loop);
    assert_true(mine.resolver != NULL || alloc_has_failed());
    struct asker a;
    if (mine.resolver != NULL) {
        ask_and_wait(&mine, &a, "app.test");
        assert_true(a.answer.count > 0 || alloc_has_failed());
        resolver_end(mine.resolver);
    }
    resolver_hub_end(mine.hub);
}

static void without_memory_a_name_is_not_found(void **state)
{
    assert_true(alloc_walk(one_lookup, *state) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(addresses_and_localhost_are_answered_at_once),
        STAGED(the_hosts_file_comes_first),
        STAGED(names_that_cannot_be_are_refused),
        STAGED(names_are_asked_for_and_kept),
        STAGED(aliases_are_followed),
        STAGED(both_families_are_in_the_answer),
        STAGED(of_many_addresses_some_of_each_family_are_taken),
        STAGED(a_name_that_is_not_there_is_not_asked_for_again_at_once),
        STAGED(the_search_list_completes_names),
        STAGED(an_outage_does_not_lead_to_the_next_of_the_search_list),
        STAGED(answers_expire_by_their_ttl_of_at_least_a_second),
        STAGED(while_the_dns_fails_the_last_good_answer_stands),
        STAGED(when_the_dns_is_silent_the_last_good_answer_comes_soon),
        STAGED(a_name_that_is_gone_is_gone),
        STAGED(a_silent_server_is_given_up),
        STAGED(one_family_does_not_wait_long_for_the_other),
        STAGED(nonsense_is_no_answer),
        STAGED(equal_questions_share_one_look_up),
        STAGED(who_has_cancelled_is_not_answered),
        STAGED(an_answer_may_cancel_another),
        STAGED(an_answer_may_end_the_resolver),
        STAGED(hub_and_resolver_may_end_in_either_order_with_questions_under_way),
        STAGED(a_new_configuration_counts_at_once),
        STAGED(many_threads_ask_while_the_configuration_changes),
        STAGED(without_memory_a_name_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
