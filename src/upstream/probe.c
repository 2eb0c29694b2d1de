#include "upstream/probe.h"

#include "base/text.h"
#include "http/h1_client.h"

#include <string.h>

/* A head at its limits, its fields and the codec. */
#define PROBE_ARENA_BYTES ((size_t)512 * 1024)
#define PROBE_CHUNK_BYTES ((size_t)4 * 1024)

static const struct head_limits answer_limits = {
    .line_bytes_max = 16 * 1024,
    .fields_max = 200,
    .size_bytes_max = 32 * 1024,
};

static struct probe *probe_of(struct client_request *request)
{
    return LIST_OF(request, struct probe, client);
}

/* --- the end -------------------------------------------------------------------------------------
 */

static void let_go(struct probe *probe)
{
    timer_clear(&probe->timer);
    if (probe->dial.loop != NULL)
        dial_stop(&probe->dial);
    if (probe->client.codec != NULL)
        client_end(probe->client.codec);
    probe->client.codec = NULL;
    if (probe->stream != NULL)
        stream_close(probe->stream);
    probe->stream = NULL;
}

void probe_stop(struct probe *probe)
{
    if (!probe->running)
        return;
    probe->running = false;
    let_go(probe);
    arena_end(probe->arena);
    probe->arena = NULL;
}

/* The codec may be further up the stack, in the arena: its end waits for the loop. */
static void tell(struct loop_timer *timer)
{
    struct probe *probe = LIST_OF(timer, struct probe, timer);
    probe_stop(probe);
    probe->on_done(probe, probe->result);
}

static void end_later(struct probe *probe, enum probe_result result)
{
    let_go(probe);
    probe->result = result;
    probe->timer.on_fire = tell;
    timer_set(probe->loop, &probe->timer, 1);
}

static void end_because(struct probe *probe, enum probe_result result, struct str why)
{
    struct text text = text_over(probe->why, sizeof probe->why - 1);
    text_add(&text, why);
    probe->why[text.len] = '\0';
    end_later(probe, result);
}

/* --- asking --------------------------------------------------------------------------------------
 */

/* As a browser would name the origin. */
static struct str host_field(const struct probe *probe)
{
    const struct origin_conf *to = probe->to;
    if (probe->check->host.len != 0)
        return probe->check->host;
    if (to->addr.family == ADDR_UNIX)
        return STR("localhost");
    struct text text = text_in(probe->arena, to->host.len + 16);
    bool brackets = to->addr.family == ADDR_IP6;
    text_add_z(&text, brackets ? "[" : "");
    text_add(&text, to->host);
    text_add_z(&text, brackets ? "]" : "");
    if (to->port != (to->tls ? 443 : 80))
        text_printf(&text, ":%u", to->port);
    return text_str(&text);
}

static bool build_request(struct probe *probe, struct message *head)
{
    message_init(head, probe->arena);
    head->method = METHOD_GET;
    head->method_text = STR("GET");
    head->version = 11;
    return message_add_id(head, HEADER_HOST, host_field(probe)) &&
           message_add_id(head, HEADER_CONNECTION, STR("close")) &&
           message_add_id(head, HEADER_USER_AGENT, STR("portcullis (check)")) &&
           message_add_id(head, HEADER_ACCEPT, STR("*/*"));
}

static const struct client_user client_user;

static void ask(struct probe *probe)
{
    struct message head;
    message_init(&probe->answer, probe->arena);
    probe->client = (struct client_request){
        .user = &client_user, .answer = &probe->answer, .method = METHOD_GET};
    probe->asked = true;
    if (!build_request(probe, &head) ||
        h1_client_new(probe->arena, probe->stream, &probe->client, &answer_limits) == NULL)
        end_because(probe, PROBE_UNKNOWN, STR("no memory"));
    else if (!client_send_head(&probe->client, &head, probe->check->target, true))
        end_because(probe, PROBE_UNKNOWN, STR("the request must not be written"));
}

/* --- what the origin says ------------------------------------------------------------------------
 */

static void on_head(struct client_request *request)
{
    struct probe *probe = probe_of(request);
    const struct check_conf *check = probe->check;
    unsigned status = probe->answer.status;
    if (status >= check->status_min && status <= check->status_max)
        return;
    struct text text = text_over(probe->why, sizeof probe->why - 1);
    text_printf(&text, "it answered %u", status);
    probe->why[text.len] = '\0';
    end_later(probe, PROBE_ILL);
}

static void on_body(struct client_request *request, struct str piece, bool last)
{
    struct probe *probe = probe_of(request);
    probe->body_bytes += piece.len;
    if (last || probe->body_bytes > PROBE_BODY_MAX)
        end_later(probe, PROBE_WELL);
}

static void on_end(struct client_request *request)
{
    end_later(probe_of(request), PROBE_WELL);
}

static void on_failed(struct client_request *request, enum client_failure failure)
{
    (void)failure;
    end_because(probe_of(request), PROBE_ILL, str_from_z(request->why));
}

static void nothing(struct client_request *request)
{
    (void)request;
}

static const struct client_user client_user = {
    .on_informational = nothing,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_failed = on_failed,
    .on_drained = nothing,
};

/* --- connecting ----------------------------------------------------------------------------------
 */

/* Between the connect and the codec, and for checks that end there. */
static void nobody_bytes(void *user, struct str bytes)
{
    (void)user;
    (void)bytes;
}
static void nobody_end(void *user, enum stream_end end)
{
    (void)user;
    (void)end;
}
static void nobody_drained(void *user)
{
    (void)user;
}
static const struct stream_user nobody = {
    .on_bytes = nobody_bytes, .on_end = nobody_end, .on_drained = nobody_drained};

static void dial_failed(struct probe *probe)
{
    bool ours = probe->dial.failure == UPSTREAM_NO_SOCKET;
    end_because(probe, ours ? PROBE_UNKNOWN : PROBE_ILL, str_from_z(probe->dial.why));
}

static void on_dialled(struct dial *dial, struct stream *stream)
{
    struct probe *probe = LIST_OF(dial, struct probe, dial);
    if (stream == NULL) {
        dial_failed(probe);
        return;
    }
    probe->stream = stream;
    stream_set_user(stream, &nobody, NULL);
    if (probe->check->tcp)
        end_later(probe, PROBE_WELL);
    else
        ask(probe);
}

static void on_late(struct loop_timer *timer)
{
    struct probe *probe = LIST_OF(timer, struct probe, timer);
    end_because(probe, PROBE_ILL,
                !probe->asked               ? STR("connecting took too long")
                : probe->answer.status != 0 ? STR("its answer did not end in time")
                                            : STR("it did not answer in time"));
}

void probe_start(struct probe *probe)
{
    probe->running = true;
    probe->asked = false;
    probe->body_bytes = 0;
    probe->why[0] = '\0';
    probe->good = (struct addr){0};
    probe->client.codec = NULL;
    probe->stream = NULL;
    probe->answer.status = 0;
    probe->timer = (struct loop_timer){.on_fire = on_late};
    probe->dial_conf = *probe->conf;
    probe->dial_conf.connect_ms = probe->check->timeout_ms;
    probe->dial = (struct dial){.loop = probe->loop,
                                .resolver = probe->resolver,
                                .tls = probe->tls,
                                .conf = &probe->dial_conf,
                                .to = probe->to,
                                .good = &probe->good,
                                .ports_out = probe->ports_out,
                                .on_done = on_dialled};
    probe->arena = arena_new(PROBE_ARENA_BYTES, PROBE_CHUNK_BYTES);
    if (probe->arena == NULL) {
        end_because(probe, PROBE_UNKNOWN, STR("no memory"));
        return;
    }
    timer_set(probe->loop, &probe->timer, probe->check->timeout_ms);
    if (!dial_start(&probe->dial))
        dial_failed(probe);
}
