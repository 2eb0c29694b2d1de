/*
 * Whole exchanges: a front with its loop, sockets, codecs, pipeline and pools, between clients and
 * origins that a script plays in memory (fake_sockets.h), with what sockets answer: short writes,
 * EAGAIN, EINTR, resets, FINs at every point, one-byte reads, refused and silent connects, time.
 *
 * What each side received is read by a second, strict parser (wire.h), and must be what the others
 * sent: an origin gets requests that a client sent, from that client, with that body, no POST
 * twice; a client gets well-framed answers to its own requests in their order, whole ones with the
 * whole body; every request has its record, and at the end nothing is open and nothing pinned.
 */
#include "fake_sockets.h"
#include "wire.h"

#include "base/arena.h"
#include "config/compile.h"
#include "net/loop.h"
#include "observe/recall.h"
#include "proxy/front.h"
#include "tls/tls_tickets.h"
#include "upstream/origin_shared.h"

#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENTS_MAX = 4, WIRES_MAX = 64, FOREVER_US = 200000000 };

static const char conf[] =
    "listen http://192.0.2.254:80\nworkers 1\nlog off\n"
    "head_limit line 512b fields 24 size 2k\n"
    "timeout head 2s idle 3s body 2s send 2s connect 1s answer 2s stream 2s quiet 3s\n"
    "upstream two { server 198.51.100.1:80; server 198.51.100.2:80; connections 2 queue 2 timeout "
    "1s\n"
    "  retry 2; rest 1s }\n"
    "site a.test {\n"
    "  /s/* -> 198.51.100.3:80 { strip }\n"
    "  /k/* -> two { body 1k }\n"
    "  /o/* -> 198.51.100.4:80 { keepalive off; compress off; websocket off }\n"
    "  /t -> respond 200 'hello'\n"
    "  /old/* -> redirect /k/*\n"
    "}\n";

static struct {
    struct loop *loop;
    struct front *front;
    const uint8_t *at;
    size_t left;
    unsigned clients[CLIENTS_MAX], client_count, origins_raw;
    bool over, stopped, drained;
    uint64_t over_us;
} scene;

static struct snapshot *snapshot;

/* ---- what the script says ---- */

static unsigned next_byte(void)
{
    if (scene.left == 0)
        return 0;
    scene.left--;
    return *scene.at++;
}

static void say(struct fake_socket *s, const char *text, size_t len)
{
    if (!s->fin && !s->reset && s->in.len + len < FAKE_OUT_MAX / 4)
        fake_add(&s->in, text, len);
}

static char body_byte(unsigned seed, size_t i)
{
    return (char)('A' + (seed + i) % 23);
}

/* `len` bytes; chunked in chunks of 7 at most. */
static void say_body(struct fake_socket *s, unsigned seed, size_t len, bool chunked)
{
    char piece[32];
    for (size_t i = 0; i < len;) {
        size_t n = len - i < 7 ? len - i : 7;
        char *at = piece;
        if (chunked)
            at += snprintf(at, 8, "%zx\r\n", n);
        for (size_t k = 0; k < n; k++)
            *at++ = body_byte(seed, i + k);
        i += n;
        if (chunked)
            *at++ = '\r', *at++ = '\n';
        say(s, piece, (size_t)(at - piece));
    }
    if (chunked)
        say(s, "0\r\n\r\n", 5);
}

static struct fake_socket *pick(enum fake_kind kind)
{
    unsigned count = 0, want = next_byte();
    for (unsigned i = 0; i < fake.count; i++)
        count += fake.sockets[i].kind == kind;
    for (unsigned i = 0, k = 0; count != 0 && i < fake.count; i++)
        if (fake.sockets[i].kind == kind && k++ == want % count)
            return &fake.sockets[i];
    return NULL;
}

static void new_client(void)
{
    int fd;
    char address[32];
    if (scene.client_count == CLIENTS_MAX)
        return;
    struct fake_socket *s = fake_new(FAKE_CLIENT, &fd);
    if (s == NULL)
        return;
    scene.clients[scene.client_count++] = (unsigned)(fd - FAKE_FIRST);
    snprintf(address, sizeof address, "192.0.2.%u", scene.client_count);
    s->peer = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(1234)};
    inet_pton(AF_INET, address, &s->peer.sin_addr);
}

static void say_request(struct fake_socket *s)
{
    static const char *const methods[] = {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"};
    static const char *const targets[] = {"/s/x",   "/k/y?q", "/o/z",     "/t",
                                          "/old/a", "/none",  "/k/%41/b", "http://a.test/s/abs"};
    static const char *const fields[] = {"",
                                         "Connection: close\r\n",
                                         "Expect: 100-continue\r\n",
                                         "X-Forwarded-For: 6.6.6.6\r\n",
                                         "Accept-Encoding: gzip\r\n",
                                         "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                         "Sec-WebSocket-Version: 13\r\n"
                                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                                         "Connection: X-Id, te\r\nTE: trailers\r\n",
                                         "Range: bytes=1-2\r\n"};
    unsigned what = next_byte(), how = next_byte(), id = next_byte(), len = next_byte();
    unsigned framing = how % 4; /* 0, 1: none; 2: length; 3: chunked */
    char head[512], length[64] = "";
    if (framing == 2)
        snprintf(length, sizeof length, "Content-Length: %u\r\n", len * 9);
    int n =
        snprintf(head, sizeof head, "%s %s HTTP/1.%u\r\nHost: a.test\r\nX-Id: %u\r\n%s%s%s\r\n",
                 methods[what % 6], targets[what / 6 % 8], how & 64 ? 0U : 1U, id,
                 fields[how / 4 % 8], length, framing == 3 ? "Transfer-Encoding: chunked\r\n" : "");
    say(s, head, (size_t)n);
    if (framing >= 2)
        say_body(s, id, len * 9, framing == 3);
}

static void say_raw(struct fake_socket *s)
{
    size_t len = next_byte();
    if (len > scene.left)
        len = scene.left;
    say(s, (const char *)scene.at, len);
    scene.at += len;
    scene.left -= len;
    s->raw = true;
    scene.origins_raw += s->kind == FAKE_ORIGIN;
}

/* Digits only, else 0: both sides read the same text. */
static unsigned number_of(struct wire_text t)
{
    uint64_t n = 0;
    return t.len < 6 && wire_number(t, &n) ? (unsigned)n : 0;
}

static unsigned client_of(const struct wire *w)
{
    must(w->xffs == 1 && w->xff.len == 9 && memcmp(w->xff.at, "192.0.2.", 8) == 0);
    unsigned client = (unsigned)(w->xff.at[8] - '0');
    must(client >= 1 && client <= scene.client_count);
    return client;
}

/* All requests that an origin has on one connection; after an upgrade that it may have agreed to
 * bytes are no requests. */
static unsigned origin_requests(const struct fake_socket *s, struct wire *list)
{
    unsigned count = 0;
    for (size_t at = 0; at < s->out.len && count < WIRES_MAX;) {
        struct wire *w = &list[count];
        wire_read(w, s->out.at + at, s->out.len - at, true, false);
        must(w->result != WIRE_BAD);
        if (!w->head_whole) {
            free(w->body);
            break;
        }
        must(w->hosts == 1);
        count++;
        at += w->bytes;
        if (w->upgrade && s->raw)
            break;
    }
    return count;
}

static void forget(struct wire *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free(list[i].body);
}

/* An answer to the first request that has none; its tag says whose it is. */
static void say_answer(struct fake_socket *s)
{
    static const unsigned statuses[] = {200, 404, 302, 500, 204, 304, 206, 201};
    static struct wire list[WIRES_MAX];
    unsigned what = next_byte(), seed = next_byte(), count = origin_requests(s, list);
    unsigned client = 0, id = 0, status = statuses[what % 8], framing = what / 8 % 4;
    size_t len = (size_t)seed * (what & 64 ? 90U : 3U);
    bool head = false, interim = (what & 128) != 0, solicited = s->answered < count;
    char text[400], length[64] = "";
    if (solicited) {
        client = client_of(&list[s->answered]);
        id = number_of(list[s->answered].id);
        head = wire_is(list[s->answered].method, "head");
    } else if (s->ever_blocked || s->arrived != s->in.len) {
        forget(list, count);
        return; /* it could still be on its way: nobody can tell it from an answer */
    }
    forget(list, count);
    if (interim)
        status = what % 2 ? 100 : 103;
    if (status < 200 || status == 204 || status == 304)
        framing = 3;
    else if (framing == 3)
        framing = 0;
    if (framing == 0)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", len);
    if (framing == 1)
        snprintf(length, sizeof length, "Transfer-Encoding: chunked\r\n");
    int n =
        snprintf(text, sizeof text, "HTTP/1.1 %u X\r\n%sX-Tag: %u.%u.%u.%zu\r\n%s%s\r\n", status,
                 length, client, id, seed, len, what % 5 == 0 ? "Connection: close\r\n" : "",
                 seed % 3 == 0 ? "Content-Type: text/plain\r\n" : "");
    say(s, text, (size_t)n);
    if (framing < 3 && !head)
        say_body(s, seed, len, framing == 1);
    if (framing == 2)
        s->fin = true;
    if (!interim)
        s->answered++;
    if (!solicited) /* it is there before anything else can be asked */
        s->arrived = s->in.len;
}

/* Gone without a word, or with a RST. What had not arrived is lost; an answer that ends with its
 * connection must not seem whole by that. */
static void cut(struct fake_socket *s)
{
    bool by_reset = next_byte() % 2 || s->fin;
    s->in.len = s->arrived;
    if (by_reset)
        s->reset = true;
    else
        s->fin = s->deaf = true;
}

static void say_switch(struct fake_socket *s)
{
    static const char text[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                               "Upgrade: websocket\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    say(s, text, sizeof text - 1);
    s->answered++;
    s->raw = true;
}

static void set_pace(struct fake_socket *s)
{
    static const size_t paces[] = {1, 2, 3, 7, 64, 1000, 20000, SIZE_MAX};
    unsigned pace = next_byte();
    s->rate = paces[pace % 8];
    s->chunk = paces[pace / 8 % 8];
}

static void act(void)
{
    unsigned op = next_byte();
    struct fake_socket *s = NULL;
    if (op % 16 >= 1 && op % 16 <= 11)
        s = pick(op & 64 ? FAKE_ORIGIN : FAKE_CLIENT);
    if (op % 16 != 0 && op % 16 <= 11 && s == NULL)
        return;
    switch (op % 16) {
    case 0:
        new_client();
        break;
    case 1:
    case 2:
        if (s->kind == FAKE_CLIENT)
            say_request(s);
        else if (!s->connecting)
            say_answer(s);
        break;
    case 3:
        if (!s->connecting)
            say_raw(s);
        break;
    case 4:
        s->fin = !s->connecting;
        break;
    case 5:
        if (!s->connecting)
            cut(s);
        break;
    case 6:
        s->window = (size_t)next_byte() * 5;
        break;
    case 7:
        set_pace(s);
        break;
    case 8:
        s->errno_once = next_byte() % 2 ? EINTR : EAGAIN;
        break;
    case 9:
        if (s->kind == FAKE_ORIGIN && !s->connecting)
            say_switch(s);
        break;
    case 10: /* a silent connect is answered after all */
        if (s->kind == FAKE_ORIGIN && s->connecting && s->connect_error < 0)
            s->connect_error = next_byte() % 2 ? ECONNREFUSED : 0;
        break;
    case 11:
        s->window += 100000;
        break;
    case 12:
        fake.connects = (enum fake_connect)(next_byte() % 5);
        break;
    case 13:
        fake.now_us += next_byte() * 20000;
        break;
    case 14: /* some turns go by */
        scene.drained |= op == 254;
        if (op == 254)
            front_drain(scene.front, false);
        break;
    default:
        break;
    }
}

static bool fake_is_over(void)
{
    return scene.over;
}

/* The script is at its end: everybody listens, nobody speaks, and time tells. */
static void wind_up(void)
{
    scene.over = true;
    scene.over_us = fake.now_us;
    if (fake.connects == FAKE_NO_FD)
        fake.connects = FAKE_ACCEPTS;
    for (unsigned i = 0; i < fake.count; i++) {
        fake.sockets[i].rate = fake.sockets[i].chunk = SIZE_MAX;
        fake.sockets[i].window += FAKE_OUT_MAX / 2;
    }
}

static void fake_step(void)
{
    if (scene.left != 0)
        act();
    else if (!scene.over)
        wind_up();
    if (!scene.over || scene.stopped)
        return;
    bool open = fake_someone_waits();
    for (unsigned i = 0; i < fake.count; i++)
        open |= fake.sockets[i].kind == FAKE_CLIENT && fake.sockets[i].open;
    must(!open || fake.now_us - scene.over_us < FOREVER_US || scene.drained);
    if (!open || fake.now_us - scene.over_us >= FOREVER_US) {
        scene.stopped = true;
        loop_stop(scene.loop);
    }
}

/* ---- what must hold ---- */

/* What a client sent, as far as a strict reader can tell. */
static struct {
    struct wire list[WIRES_MAX];
    unsigned count;
} sent[CLIENTS_MAX];

static void read_client(unsigned client)
{
    const struct fake_socket *s = &fake.sockets[scene.clients[client]];
    size_t at = 0;
    sent[client].count = 0;
    while (at < s->arrived && sent[client].count < WIRES_MAX) {
        struct wire *w = &sent[client].list[sent[client].count];
        while (at + 1 < s->arrived && s->in.at[at] == '\r' && s->in.at[at + 1] == '\n')
            at += 2;
        wire_read(w, s->in.at + at, s->arrived - at, true, false);
        if (!w->head_whole) {
            free(w->body);
            return;
        }
        sent[client].count++;
        at += w->bytes;
        if (w->result != WIRE_WHOLE)
            return;
    }
}

static bool ends_with(struct wire_text whole, struct wire_text end)
{
    return whole.len >= end.len &&
           (end.len == 0 || memcmp(whole.at + whole.len - end.len, end.at, end.len) == 0);
}

static bool could_be(const struct wire *origins, const struct wire *clients)
{
    struct wire_text tail = {origins->target.at + 1, origins->target.len - 1};
    if (origins->method.len != clients->method.len ||
        memcmp(origins->method.at, clients->method.at, clients->method.len) != 0 ||
        (origins->ids != 0 && number_of(origins->id) != number_of(clients->id)))
        return false;
    if (!ends_with(clients->target, tail))
        return false;
    if (origins->upgrade)
        return true; /* what follows is no body */
    if (origins->result == WIRE_WHOLE &&
        (clients->result != WIRE_WHOLE || origins->body_len != clients->body_len))
        return false;
    return origins->body_len <= clients->body_len &&
           (origins->body_len == 0 || memcmp(origins->body, clients->body, origins->body_len) == 0);
}

/* How often each request that may not be repeated has come to an origin, by client and id. */
static unsigned came[CLIENTS_MAX][256];
/* So many of a client's requests have begun at least: an origin saw the last of them. */
static unsigned begun[CLIENTS_MAX];

static bool repeatable(const struct wire *w)
{
    return !wire_is(w->method, "post") && !wire_is(w->method, "patch");
}

static void judge_origin(const struct fake_socket *s)
{
    static struct wire list[WIRES_MAX];
    unsigned count = origin_requests(s, list);
    for (unsigned i = 0; i < count; i++) {
        unsigned client = client_of(&list[i]) - 1;
        unsigned k = 0;
        while (k < sent[client].count && !could_be(&list[i], &sent[client].list[k]))
            k++;
        must(k < sent[client].count || sent[client].count == WIRES_MAX);
        if (k < sent[client].count && k + 1 > begun[client])
            begun[client] = k + 1;
        if (list[i].ids != 0 && wire_is(list[i].method, "post"))
            came[client][number_of(list[i].id) % 256]++;
    }
    forget(list, count);
}

static void judge_posts(void)
{
    for (unsigned client = 0; client < scene.client_count; client++) {
        unsigned asked[256] = {0};
        for (unsigned i = 0; i < sent[client].count; i++)
            if (!repeatable(&sent[client].list[i]))
                asked[number_of(sent[client].list[i].id) % 256]++;
        for (unsigned id = 0; id < 256; id++)
            must(came[client][id] <= asked[id] || sent[client].count == WIRES_MAX);
    }
}

/* gzip in place of the body; what was cut decodes as far as it goes. */
static void unpack(struct wire *w)
{
    enum { ROOM = 1 << 16 };
    char *out = malloc(ROOM);
    z_stream z = {.next_in = (unsigned char *)w->body,
                  .avail_in = (unsigned)w->body_len,
                  .next_out = (unsigned char *)out,
                  .avail_out = ROOM};
    must(out != NULL && inflateInit2(&z, 15 + 16) == Z_OK);
    int end = inflate(&z, Z_SYNC_FLUSH);
    must(end == Z_STREAM_END || (w->result == WIRE_CUT && (end == Z_OK || end == Z_BUF_ERROR)));
    free(w->body);
    w->body = out;
    w->body_len = z.total_out;
    inflateEnd(&z);
}

/* An origin's answer that says it is whole is the whole of the answer to this very request. */
static void judge_tagged(struct wire *w, const struct wire *request, unsigned client)
{
    char text[64];
    unsigned to = 0, id = 0, seed = 0;
    size_t len = 0;
    if (w->tag.len == 0 || w->tag.len >= sizeof text || scene.origins_raw != 0)
        return;
    memcpy(text, w->tag.at, w->tag.len);
    text[w->tag.len] = '\0';
    must(sscanf(text, "%u.%u.%u.%zu", &to, &id, &seed, &len) == 4);
    must(to == client + 1 && (id == 0 || id == number_of(request->id)));
    if (w->framing == WIRE_NONE)
        return;
    if (w->encoded)
        unpack(w);
    must(w->result != WIRE_WHOLE || w->body_len == len);
    for (size_t i = 0; i < w->body_len; i++)
        must(w->body[i] == body_byte(seed, i));
}

static unsigned records_of(unsigned client, unsigned number, unsigned *status)
{
    unsigned count = 0;
    const struct recall_entry *entry;
    for (unsigned i = 0; (entry = recall_at(front_recall(scene.front), i)) != NULL; i++)
        if (entry->kind == ACCESS_REQUEST && entry->connection_id == client + 1) {
            count++;
            if (entry->request_number == number)
                *status = entry->status;
        }
    return count;
}

static void judge_client(unsigned client)
{
    const struct fake_socket *s = &fake.sockets[scene.clients[client]];
    unsigned k = 0, status = 0;
    bool last = false;
    for (size_t at = 0; at < s->out.len;) {
        struct wire w;
        const struct wire *request = k < sent[client].count ? &sent[client].list[k] : NULL;
        must(!last && k <= sent[client].count);
        wire_read(&w, s->out.at + at, s->out.len - at, false,
                  request != NULL && wire_is(request->method, "head"));
        must(w.result != WIRE_BAD || !w.head_whole || request == NULL);
        must(w.head_whole || w.result == WIRE_CUT);
        at += w.bytes;
        if (w.head_whole && w.status == 101) {
            must(request != NULL && request->upgrade);
            free(w.body);
            return; /* a tunnel */
        }
        if (w.head_whole && request != NULL)
            judge_tagged(&w, request, client);
        /* What a HEAD in a head that is not valid would get cannot be told. */
        last = w.result != WIRE_WHOLE || w.close || request == NULL;
        if (w.head_whole && w.status >= 200) {
            k++;
            records_of(client, k, &status);
            must(status == w.status);
        }
        free(w.body);
        /* A HEAD that was given up before it was read gets the page with its body, as any would. */
        bool unread = w.close && (w.status == 408 || w.status == 400);
        if (request == NULL || w.result == WIRE_CUT || unread)
            break; /* what is left, if anything, is of the part that is missing */
    }
    must(records_of(client, 0, &status) >= k);
}

/* The numbers of a connection's requests have no gap: each that began was recorded at its end. */
static void judge_records(unsigned client)
{
    unsigned status = 0, highest = 0;
    const struct recall_entry *entry;
    for (unsigned i = 0; (entry = recall_at(front_recall(scene.front), i)) != NULL; i++)
        if (entry->kind == ACCESS_REQUEST && entry->connection_id == client + 1 &&
            entry->request_number > highest)
            highest = entry->request_number;
    must(records_of(client, 0, &status) == highest && highest >= begun[client]);
}

static void judge(void)
{
    const struct front_counters *counters = front_counters(scene.front);
    memset(came, 0, sizeof came);
    memset(begun, 0, sizeof begun);
    for (unsigned i = 0; i < scene.client_count; i++)
        read_client(i);
    for (unsigned i = 0; i < fake.count; i++)
        if (fake.sockets[i].kind == FAKE_ORIGIN)
            judge_origin(&fake.sockets[i]);
    judge_posts();
    for (unsigned i = 0; i < scene.client_count; i++) {
        judge_client(i);
        judge_records(i);
    }
    must(counters->exchanges == 0);
    must(scene.drained || (counters->sessions == 0 && front_idle(scene.front)));
    must(snapshot->pins[0] == 0 && snapshot->sites[0]->part.pins[0] == 0);
    for (unsigned i = 0; i < scene.client_count; i++)
        forget(sent[i].list, sent[i].count);
}

/* ---- the stage ---- */

static void set_up(void)
{
    struct diag diag;
    struct source_set *sources = source_set_disk();
    diag_init(&diag, arena_new(1 << 20, 4096));
    must(source_put(sources, SOURCE_CONF, STR("x.conf"), str_from_z(conf)));
    snapshot = compile_snapshot(sources, STR("x.conf"), NULL, NULL, &diag);
    source_set_end(sources);
    struct text told = text_in(diag.arena, 1 << 16);
    diag_render(&diag, &told, false);
    if (snapshot == NULL)
        fprintf(stderr, "%.*s", (int)told.len, told.at);
    arena_end(diag.arena);
    must(snapshot != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tls_tickets *tickets;
    int fd;
    if (snapshot == NULL)
        set_up();
    if (tickets == NULL)
        tickets = tls_tickets_new();
    if (size > 4096)
        return 0;
    memset(&fake, 0, sizeof fake);
    memset(&scene, 0, sizeof scene);
    fake.running = true;
    fake.now_us = 1000000000;
    scene.at = data;
    scene.left = size;
    scene.loop = loop_new(0);
    struct origin_registry *origins = origin_registry_new();
    const struct front_conf front_conf = {
        .loop = scene.loop, .threads = 64, .tickets = tickets, .origins = origins};
    scene.front = front_new(&front_conf);
    must(scene.loop != NULL && origins != NULL && scene.front != NULL);
    front_use(scene.front, snapshot);
    fake_new(FAKE_LISTEN, &fd);
    must(front_listen(scene.front, &snapshot->listeners[0].addr, false, fd));
    loop_run(scene.loop);
    judge();
    front_end(scene.front);
    loop_end(scene.loop);
    origin_registry_end(origins);
    for (unsigned i = 0; i < fake.count; i++) {
        must(!fake.sockets[i].open || (fake.sockets[i].kind == FAKE_CLIENT && i >= fake.waiting));
        free(fake.sockets[i].in.at);
        free(fake.sockets[i].out.at);
    }
    fake.running = false;
    return 0;
}
