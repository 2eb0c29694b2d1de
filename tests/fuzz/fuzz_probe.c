/*
 * One look of a health check at an origin in memory, which answers the bytes of the input in pieces
 * and then stays, finishes or resets: the check ends once and in time, its request is a whole one,
 * "well" means that the first answer behind the 1xx ones has a status that is expected, and only
 * what runs out here is "unknown".
 */
#include "fake_sockets.h"
#include "wire.h"

#include "net/loop.h"
#include "upstream/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    struct loop *loop;
    const uint8_t *bytes;
    size_t left, piece;
    unsigned how, told;
    enum probe_result result;
} scene;

static bool fake_is_over(void)
{
    return scene.left == 0;
}

static struct fake_socket *origin(void)
{
    for (unsigned i = 0; i < fake.count; i++)
        if (fake.sockets[i].kind == FAKE_ORIGIN)
            return &fake.sockets[i];
    return NULL;
}

/* The next piece, and behind the last one the end, if there is to be one. */
static void fake_step(void)
{
    struct fake_socket *s = origin();
    size_t len = scene.piece < scene.left ? scene.piece : scene.left;
    if (s == NULL || s->connecting) {
        scene.left = s != NULL && s->connect_error == 0 ? scene.left : 0;
        return;
    }
    fake_add(&s->in, scene.bytes, len);
    scene.bytes += len;
    scene.left -= len;
    if (scene.left == 0) {
        s->fin |= scene.how % 4 == 1;
        s->reset |= scene.how % 4 == 2;
    }
}

static void on_done(struct probe *probe, enum probe_result result)
{
    (void)probe;
    scene.told++;
    scene.result = result;
    loop_stop(scene.loop);
}

/* The status of the first answer that is none of 1xx; 0: there is none. */
static unsigned final_status(const struct fake_socket *s)
{
    size_t at = 0, left;
    while ((left = s->in.len - at) >= 12 && memcmp(s->in.at + at, "HTTP/1.", 7) == 0) {
        unsigned status = (unsigned)strtoul(
            (char[]){s->in.at[at + 9], s->in.at[at + 10], s->in.at[at + 11], '\0'}, NULL, 10);
        if (status >= 200)
            return status;
        const char *end = memmem(s->in.at + at, left, "\r\n\r\n", 4);
        if (end == NULL)
            break;
        at = (size_t)(end - s->in.at) + 4;
    }
    return 0;
}

static void judge(const struct probe *probe)
{
    const struct fake_socket *s = origin();
    struct wire request;
    must(scene.told == 1);
    must(scene.result == PROBE_WELL || probe->why[0] != '\0');
    must((scene.result == PROBE_UNKNOWN) ==
         (fake.connects == FAKE_NO_FD || fake.connects == FAKE_NO_PORT));
    if (scene.result == PROBE_WELL)
        must(fake.connects == FAKE_ACCEPTS && final_status(s) >= 200 && final_status(s) < 400);
    if (s == NULL || s->out.len == 0)
        return;
    wire_read(&request, s->out.at, s->out.len, true, false);
    must(request.result == WIRE_WHOLE && request.bytes == s->out.len && request.hosts == 1);
    must(wire_is(request.method, "get") && wire_is(request.target, "/health?x"));
    free(request.body);
}

/* Two bytes say how: the end, the connect and the pieces; the rest is what the origin sends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct origin_conf to = {.host = STR_INIT("198.51.100.1"), .port = 80};
    static const struct check_conf check = {.target = STR_INIT("/health?x"),
                                            .every_ms = 1000,
                                            .timeout_ms = 500,
                                            .status_min = 200,
                                            .status_max = 399};
    static struct upstream_conf conf;
    if (size < 2 || size > 100000)
        return 0;
    memset(&fake, 0, sizeof fake);
    fake.running = true;
    fake.now_us = 1000000000;
    fake.connects = (enum fake_connect)(data[0] / 4 % 16 < 5 ? data[0] / 4 % 16 : 0);
    must(addr_parse_ip(STR("198.51.100.1"), &to.addr));
    to.addr.port = 80;
    memset(&scene, 0, sizeof scene);
    scene.bytes = data + 2;
    scene.left = size - 2;
    scene.how = data[0];
    scene.piece = data[1] < 16 ? data[1] + 1U : data[1] * 200U;
    scene.loop = loop_new(0);
    must(scene.loop != NULL);
    struct probe probe = {
        .loop = scene.loop, .conf = &conf, .to = &to, .check = &check, .on_done = on_done};
    probe_start(&probe);
    must(scene.told == 0);
    loop_run(scene.loop);
    /* A piece each turn is 10 us here: it is over soon after the last one. */
    must(fake.now_us < 1000000000 + 2000000);
    judge(&probe);
    probe_stop(&probe);
    loop_end(scene.loop);
    for (unsigned i = 0; i < fake.count; i++) {
        must(!fake.sockets[i].open);
        free(fake.sockets[i].in.at);
        free(fake.sockets[i].out.at);
    }
    fake.running = false;
    return 0;
}
