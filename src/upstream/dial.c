#include "upstream/dial.h"

#include "base/clock.h"
#include "base/text.h"
#include "net/tcp.h"
#include "tls/tls_connect.h"

#include <errno.h>
#include <string.h>

static const char *error_name(int error)
{
    const char *name = strerrordesc_np(error);
    return name != NULL ? name : "unknown error";
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* What ran out is ours and says nothing about the origin. */
static bool is_our_fault(int error)
{
    return error == EADDRNOTAVAIL || is_shortage(error);
}

static void text_end(struct dial *dial, struct text *text)
{
    dial->why[text->len] = '\0';
}

static struct text text_begin(struct dial *dial)
{
    return text_over(dial->why, sizeof dial->why - 1);
}

static void say_unresolved(struct dial *dial, const char *why)
{
    struct text text = text_begin(dial);
    text_add_z(&text, "resolve ");
    text_add_escaped(&text, dial->to->host);
    text_printf(&text, ": %s", why);
    text_end(dial, &text);
    dial->failure = UPSTREAM_UNRESOLVED;
}

static void say_failed(struct dial *dial, enum upstream_failure failure, const char *why)
{
    struct text text = text_begin(dial);
    text_add_z(&text, failure == UPSTREAM_BAD_TLS ? "TLS to " : "connect to ");
    if (dial->to->addr.family == ADDR_NONE) {
        text_add_escaped(&text, dial->to->host);
        text_add_z(&text, " at ");
    }
    if (dial->addr_at < dial->addr_count)
        addr_add_text_port(&text, &dial->addrs[dial->addr_at]);
    text_printf(&text, ": %s", why);
    text_end(dial, &text);
    dial->failure = failure;
}

static void say_no_port(struct dial *dial)
{
    if (dial->ports_out != NULL)
        atomic_fetch_add_explicit(dial->ports_out, 1, memory_order_relaxed);
    say_failed(dial, UPSTREAM_NO_SOCKET,
               dial->conf->source_count == 0
                   ? "no local port is free"
                   : "no port of a source address is free, or it is not this machine's");
}

static void say_errno(struct dial *dial, int error)
{
    if (error == EADDRNOTAVAIL)
        say_no_port(dial);
    else
        say_failed(dial, is_our_fault(error) ? UPSTREAM_NO_SOCKET : UPSTREAM_REFUSED,
                   error_name(error));
}

/* --- the end -----------------------------------------------------------------------------------
 */

static void drop_stream(struct dial *dial)
{
    if (dial->stream != NULL)
        stream_close(dial->stream);
    dial->stream = NULL;
}

void dial_stop(struct dial *dial)
{
    timer_clear(&dial->timer);
    if (dial->asking)
        resolver_cancel(&dial->name);
    dial->asking = false;
    drop_stream(dial);
}

static void dial_fail(struct dial *dial)
{
    dial_stop(dial);
    dial->on_done(dial, NULL);
}

/* --- one address after the other ----------------------------------------------------------------
 */

static const struct stream_user dial_user;

/* Each address gets an equal share of what is left, so that one that swallows packets does not use
 * up the time of the others. */
static void set_share(struct dial *dial)
{
    uint64_t now = loop_now_ms(dial->loop);
    uint64_t left = dial->deadline_ms > now ? dial->deadline_ms - now : 1;
    uint64_t share = left / (dial->addr_count - dial->addr_at);
    timer_set(dial->loop, &dial->timer, share != 0 ? share : 1);
}

/* The next source address of the family of `to` that was not tried with it; NULL when none is
 * left. */
static const struct addr *next_source(struct dial *dial, const struct addr *to)
{
    const struct upstream_conf *conf = dial->conf;
    while (dial->sources_tried < conf->source_count) {
        unsigned at = (dial->source_at + dial->sources_tried++) % conf->source_count;
        if (conf->sources[at].family == to->family)
            return &conf->sources[at];
    }
    return NULL;
}

static struct stream *open_stream(struct dial *dial, const struct addr *to,
                                  const struct addr *source)
{
    struct stream *lower = tcp_connect(dial->loop, to, source, &dial_user, dial);
    if (lower == NULL && is_shortage(errno) && dial->make_room != NULL &&
        dial->make_room(dial->make_room_user))
        lower = tcp_connect(dial->loop, to, source, &dial_user, dial);
    if (lower == NULL || !dial->to->tls)
        return lower;
    struct stream *stream = tls_connect(lower, dial->tls, dial->to->tls_conf, &dial_user, dial);
    if (stream == NULL) {
        stream_close(lower);
        errno = ENOMEM;
    }
    return stream;
}

/* Starts a connect to the present address, or says why none can be started. */
static bool try_address(struct dial *dial)
{
    const struct addr *to = &dial->addrs[dial->addr_at];
    bool any_source = dial->conf->source_count == 0 || to->family == ADDR_UNIX;
    if (any_source && dial->sources_tried++ != 0)
        return false;
    for (;;) {
        const struct addr *source = any_source ? NULL : next_source(dial, to);
        if (!any_source && source == NULL) {
            if (dial->why[0] == '\0')
                say_failed(dial, UPSTREAM_NO_SOCKET, "no source address of its family");
            return false;
        }
        dial->stream = open_stream(dial, to, source);
        if (dial->stream != NULL)
            return true;
        say_errno(dial, errno);
        if (any_source)
            return false;
    }
}

/* Goes on with the present address and then the later ones; false when all have failed. */
static bool dial_on(struct dial *dial)
{
    for (; dial->addr_at < dial->addr_count; dial->addr_at++, dial->sources_tried = 0) {
        if (!try_address(dial))
            continue;
        set_share(dial);
        return true;
    }
    return false;
}

static void address_failed(struct dial *dial)
{
    drop_stream(dial);
    if (addr_eq(dial->good, &dial->addrs[dial->addr_at]))
        dial->good->family = ADDR_NONE;
    /* Where ports of one source ran out, another source may have some. */
    if (dial->failure != UPSTREAM_NO_SOCKET) {
        dial->addr_at++;
        dial->sources_tried = 0;
    }
    if (loop_now_ms(dial->loop) >= dial->deadline_ms || !dial_on(dial))
        dial_fail(dial);
}

/* --- what the stream says ------------------------------------------------------------------------
 */

static void dial_opened(void *user)
{
    struct dial *dial = user;
    struct stream *stream = dial->stream;
    dial->stream = NULL;
    timer_clear(&dial->timer);
    *dial->good = dial->addrs[dial->addr_at];
    if (dial->good->family == ADDR_UNIX)
        dial->good->family = ADDR_NONE; /* its path is the configuration's, which may go */
    dial->connect_us = clock_mono_us() - dial->started_us;
    dial->on_done(dial, stream);
}

/* The connection stood and was lost before it was ready. */
static void say_lost(struct dial *dial, const char *why)
{
    say_failed(dial, dial->to->tls ? UPSTREAM_BAD_TLS : UPSTREAM_REFUSED, why);
}

static void dial_ended(void *user, enum stream_end end)
{
    struct dial *dial = user;
    switch (end) {
    case STREAM_BAD_TLS:
        say_failed(dial, UPSTREAM_BAD_TLS, stream_error_text(dial->stream));
        break;
    case STREAM_REFUSED:
        say_errno(dial, stream_error(dial->stream));
        break;
    case STREAM_RESET:
        say_lost(dial, "connection reset in the handshake");
        break;
    case STREAM_FINISHED:
    case STREAM_TRUNCATED:
        say_lost(dial, "connection closed in the handshake");
        break;
    }
    address_failed(dial);
}

/* An open stream has got another user before a byte is read. */
static void dial_bytes(void *user, struct str bytes)
{
    (void)user;
    (void)bytes;
}

static void dial_drained(void *user)
{
    (void)user;
}

static const struct stream_user dial_user = {.on_open = dial_opened,
                                             .on_bytes = dial_bytes,
                                             .on_end = dial_ended,
                                             .on_drained = dial_drained};

static void dial_timed_out(struct loop_timer *timer)
{
    struct dial *dial = LIST_OF(timer, struct dial, timer);
    if (dial->asking) {
        say_unresolved(dial, "no answer in time");
        dial_fail(dial);
        return;
    }
    say_failed(dial, UPSTREAM_TIMED_OUT, "timed out");
    address_failed(dial);
}

/* --- addresses
 * ------------------------------------------------------------------------------------ */

static void put_good_first(struct dial *dial)
{
    for (unsigned i = 1; i < dial->addr_count; i++) {
        if (!addr_eq(&dial->addrs[i], dial->good))
            continue;
        memmove(&dial->addrs[1], &dial->addrs[0], i * sizeof dial->addrs[0]);
        dial->addrs[0] = *dial->good;
        return;
    }
}

static void dial_resolved(struct resolver_wait *wait, const struct resolver_answer *answer)
{
    struct dial *dial = LIST_OF(wait, struct dial, name);
    dial->asking = false;
    dial->answered = true;
    dial->addr_count = answer->count;
    for (unsigned i = 0; i < answer->count; i++) {
        dial->addrs[i] = answer->addrs[i];
        dial->addrs[i].port = dial->to->port;
    }
    put_good_first(dial);
    if (answer->count == 0)
        say_unresolved(dial, answer->why != NULL ? answer->why : "no address");
    if (!dial->starting && !dial_on(dial))
        dial_fail(dial);
}

static bool dial_resolve(struct dial *dial)
{
    if (dial->resolver == NULL) {
        say_unresolved(dial, "no resolver");
        return false;
    }
    timer_set(dial->loop, &dial->timer, dial->conf->connect_ms);
    dial->name = (struct resolver_wait){.name = dial->to->host, .on_answer = dial_resolved};
    dial->asking = dial->starting = true;
    dial->answered = false;
    resolver_ask(dial->resolver, &dial->name);
    dial->starting = false;
    return !dial->answered || dial_on(dial);
}

bool dial_start(struct dial *dial)
{
    dial->timer = (struct loop_timer){.on_fire = dial_timed_out};
    dial->started_us = clock_mono_us();
    dial->deadline_ms = loop_now_ms(dial->loop) + dial->conf->connect_ms;
    dial->addr_at = dial->addr_count = dial->sources_tried = 0;
    dial->asking = dial->starting = false;
    dial->stream = NULL;
    dial->why[0] = '\0';
    if (dial->to->addr.family == ADDR_NONE) {
        if (dial_resolve(dial))
            return true;
    } else {
        dial->addrs[0] = dial->to->addr;
        dial->addr_count = 1;
        if (dial_on(dial))
            return true;
    }
    dial_stop(dial);
    return false;
}
