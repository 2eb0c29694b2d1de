/*
 * The little HTTP server of the metrics, on sockets in memory: up to three clients send what the
 * script says in pieces, take their answers slowly, finish or reset at any point. Each gets at most
 * one answer, well-framed by a reader of its own, a 200 only for GET or HEAD of /metrics from whom
 * it admits; nobody keeps a place for longer than the time-outs.
 */
#include "fake_sockets.h"
#include "wire.h"

#include "app/metrics_desk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char samples[] = "# HELP up Is it up?\n# TYPE up gauge\nup 1\n";

static void fake_step(void) {}

static bool fake_is_over(void)
{
    return true;
}

/* Peers with an even last byte may read. */
static bool admits(void *user, const struct addr *peer)
{
    (void)user;
    return peer->ip[3] % 2 == 0;
}

static void write_samples(void *user, struct text *out)
{
    (void)user;
    text_add_z(out, samples);
}

static void come(unsigned number)
{
    int fd;
    struct fake_socket *s = fake_new(FAKE_CLIENT, &fd);
    must(s != NULL);
    s->peer.sin_family = AF_INET;
    s->peer.sin_addr.s_addr = htonl(0x7f000000U + number);
}

static void judge(const struct fake_socket *s)
{
    struct wire request, answer;
    must(!s->open);
    if (s->out.len == 0)
        return;
    /* One empty line before a request is allowed (RFC 9112 2.2). */
    size_t skip = s->read > 2 && memcmp(s->in.at, "\r\n", 2) == 0 ? 2 : 0;
    bool head = s->read > skip + 5 && memcmp(s->in.at + skip, "HEAD ", 5) == 0;
    wire_read(&request, s->in.at + skip, s->read - skip, true, false);
    wire_read(&answer, s->out.at, s->out.len, false, head && request.head_whole);
    must(answer.result != WIRE_BAD);
    must(answer.result == WIRE_CUT || answer.bytes == s->out.len ||
         (head && answer.status != 200)); /* a bad head is answered with its reason */
    if (answer.head_whole && answer.status == 200) {
        must(request.head_whole && ntohl(s->peer.sin_addr.s_addr) % 2 == 0);
        must(request.target.len >= 8 && memcmp(request.target.at, "/metrics", 8) == 0);
        must(head || wire_is(request.method, "get"));
        must(head || answer.result == WIRE_CUT ||
             (answer.body_len == sizeof samples - 1 &&
              memcmp(answer.body, samples, answer.body_len) == 0));
    }
    free(request.body);
    free(answer.body);
}

/* Each step: a byte says which client and what, a second how much. */
static void play(struct metrics_desk *desk, struct fake_socket *clients, const uint8_t *at,
                 size_t left, uint64_t *now_ms)
{
    while (left >= 2) {
        struct fake_socket *s = &clients[at[0] % 3];
        size_t n = at[1];
        unsigned op = at[0] / 3 % 8;
        at += 2, left -= 2;
        if (op <= 1) {
            n = n < left ? n : left;
            if (!s->fin && !s->reset)
                fake_add(&s->in, at, n);
            at += n, left -= n;
        }
        if (op == 2)
            s->fin = true;
        if (op == 3)
            s->window = n;
        if (op == 4)
            s->rate = n;
        if (op == 5)
            s->reset = true;
        if (op == 6)
            s->errno_once = n % 2 ? EINTR : EAGAIN;
        if (op == 7)
            *now_ms += n * 20;
        fake_arrive();
        metrics_desk_turn(desk, ++*now_ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct metrics_desk desk;
    const struct metrics_desk_conf conf = {.admits = admits, .write = write_samples};
    struct addr addr;
    uint64_t now_ms = 1000;
    int fd;
    if (size > 6000)
        return 0;
    memset(&fake, 0, sizeof fake);
    fake.running = true;
    must(addr_parse_ip(STR("127.0.0.1"), &addr));
    metrics_desk_init(&desk, &conf);
    must(fake_new(FAKE_LISTEN, &fd) != NULL);
    metrics_desk_listen(&desk, &addr, fd);
    for (unsigned i = 0; i < 3; i++)
        come(i);
    metrics_desk_turn(&desk, now_ms);
    play(&desk, &fake.sockets[1], data, size, &now_ms);
    for (unsigned i = 0; i < 8; i++) {
        now_ms += METRICS_SEND_MS;
        metrics_desk_turn(&desk, now_ms);
    }
    for (unsigned i = 0; i < METRICS_CLIENTS_MAX; i++)
        must(desk.clients[i] == NULL);
    for (unsigned i = 1; i <= 3; i++)
        judge(&fake.sockets[i]);
    metrics_desk_fini(&desk);
    must(!fake.sockets[0].open);
    fake.running = false;
    for (unsigned i = 0; i < fake.count; i++) {
        free(fake.sockets[i].in.at);
        free(fake.sockets[i].out.at);
    }
    return 0;
}
