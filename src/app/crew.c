#include "app/crew.h"

#include "app/child.h"
#include "app/log_files.h"
#include "app/worker.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

void crew_init(struct crew *crew)
{
    memset(crew, 0, sizeof *crew);
}

static struct hand *free_hand(struct crew *crew)
{
    struct hand *oldest = NULL;
    for (unsigned i = 0; i < CREW_MAX; i++) {
        struct hand *hand = &crew->hands[i];
        if (hand->pid == 0)
            return hand;
        if (hand->draining && (oldest == NULL || hand->kill_at_ms < oldest->kill_at_ms))
            oldest = hand;
    }
    /* All places taken by those that drain: the one with the least time left goes now. Its place is
     * free when its end was seen, which the caller tries again for. */
    if (oldest != NULL)
        crew_kill(oldest);
    errno = EAGAIN;
    return NULL;
}

/* ---- letters ---- */

static bool send_load(struct hand *hand, const struct crew_order *order)
{
    struct letter m;
    letter_init(&m, LETTER_LOAD);
    m.u.load.generation = order->generation;
    if (!letter_set_text(m.u.load.path, sizeof m.u.load.path, str_from_z(order->path)))
        return false;
    conduct_ordered(&hand->conduct, order->generation);
    const int fds[2] = {order->pack, order->keys};
    return channel_send(hand->channel, &m, fds, order->keys >= 0 ? 2 : 1);
}

bool crew_send_secrets(struct hand *hand, const struct secrets *secrets)
{
    struct letter m;
    letter_init(&m, LETTER_SECRETS);
    memcpy(m.u.secrets.current, secrets->current, sizeof m.u.secrets.current);
    memcpy(m.u.secrets.previous, secrets->previous, sizeof m.u.secrets.previous);
    m.u.secrets.epoch = secrets->epoch;
    bool sent = channel_send(hand->channel, &m, NULL, 0);
    explicit_bzero(&m, sizeof m);
    return sent;
}

bool crew_send_log(struct hand *hand, const struct log_files *logs, unsigned slot)
{
    const struct log_file *file = &logs->slots[slot];
    struct letter m;
    letter_init(&m, LETTER_LOG);
    m.u.log.id = file->id;
    m.u.log.slot = slot;
    m.u.log.syslog = file->syslog;
    memcpy(m.u.log.path, file->conf.path, sizeof m.u.log.path);
    m.u.log.rotate_bytes = file->conf.rotate_bytes;
    return channel_send(hand->channel, &m, &file->fd, 1);
}

static bool send_logs(struct hand *hand, const struct log_files *logs)
{
    for (unsigned i = 0; i < LOG_FILES_MAX; i++)
        if (logs->slots[i].fd >= 0 && (logs->slots[i].wanted || logs->slots[i].fresh))
            if (!crew_send_log(hand, logs, i))
                return false;
    return true;
}

static bool knows(const struct hand *hand, const struct letter_addr *addr)
{
    for (unsigned i = 0; i < hand->known_count; i++)
        if (letter_addr_eq(&hand->known[i], addr) && hand->known[i].tls == addr->tls)
            return true;
    return false;
}

bool crew_listen(struct hand *hand, const struct listener_group *group, unsigned first)
{
    struct letter m;
    letter_init(&m, LETTER_LISTEN);
    m.u.listen.addr = group->addr;
    /* Every socket finds a thread, also when there are more sockets; a single one serves all. */
    unsigned count = group->inherited ? hand->threads : group->count;
    for (unsigned i = first; i < count; i++) {
        int fd = group->fds[group->inherited ? 0 : i];
        m.u.listen.thread = i % hand->threads;
        if (!channel_send(hand->channel, &m, &fd, 1))
            return false;
    }
    if (!knows(hand, &group->addr) && hand->known_count < 2 * ADDRS_MAX)
        hand->known[hand->known_count++] = group->addr;
    return true;
}

static bool send_listeners(struct hand *hand, const struct listeners *listeners)
{
    for (unsigned i = 0; i < listeners->count; i++)
        if (!knows(hand, &listeners->groups[i]->addr) &&
            !crew_listen(hand, listeners->groups[i], 0))
            return false;
    return true;
}

void crew_unlisten(struct hand *hand, const struct letter_addr *addr)
{
    struct letter m;
    letter_init(&m, LETTER_UNLISTEN);
    m.u.unlisten = *addr;
    unsigned kept = 0;
    for (unsigned i = 0; i < hand->known_count; i++)
        if (!letter_addr_eq(&hand->known[i], addr))
            hand->known[kept++] = hand->known[i];
    hand->known_count = kept;
    if (!channel_send(hand->channel, &m, NULL, 0))
        crew_kill(hand);
}

bool crew_tell(struct hand *hand, const struct letter_history *history)
{
    struct letter m;
    letter_init(&m, LETTER_HISTORY);
    m.u.history = *history;
    return channel_send(hand->channel, &m, NULL, 0);
}

bool crew_drain_origin(struct hand *hand, struct str text, bool on)
{
    struct letter m = drains_letter_of(text, on);
    return channel_send(hand->channel, &m, NULL, 0);
}

/* Before it serves: no request shall slip through to an origin that is drained. */
static bool send_drains(struct hand *hand, const struct drains *drains)
{
    for (unsigned i = 0; i < drains->count; i++) {
        struct letter m = drains_letter(drains, i);
        if (!channel_send(hand->channel, &m, NULL, 0))
            return false;
    }
    return true;
}

bool crew_ask(struct hand *hand)
{
    conduct_asked(&hand->conduct);
    struct letter m;
    letter_init(&m, LETTER_ASK);
    return channel_send(hand->channel, &m, NULL, 0);
}

bool crew_pass(struct hand *hand, int fd)
{
    struct letter m;
    letter_init(&m, LETTER_QUERY);
    return channel_send(hand->channel, &m, &fd, 1);
}

/* The snapshot before the sockets: a worker accepts only what it can answer. */
bool crew_order(struct hand *hand, const struct crew_order *order)
{
    return send_logs(hand, order->logs) && send_load(hand, order) &&
           send_listeners(hand, order->listeners);
}

/* ---- processes ---- */

struct hand *crew_start(struct crew *crew, const struct crew_order *order)
{
    struct hand *hand = free_hand(crew);
    if (hand == NULL)
        return NULL;
    struct worker_conf conf = {.uid = order->form->settings.uid, .gid = order->form->settings.gid};
    conf.sandbox = (struct sandbox_conf){.on = order->form->settings.sandbox != 0,
                                         .needs = order->form->settings.needs,
                                         .roots = order->form->roots,
                                         .root_count = order->form->root_count};
    memcpy(conf.user, order->form->settings.user, sizeof conf.user);
    memset(hand, 0, sizeof *hand);
    pid_t pid = child_start(worker_main, &conf, -1, &hand->channel);
    if (pid < 0)
        return NULL;
    hand->pid = pid;
    crew->starts++;
    hand->threads = load_form_threads(order->form);
    hand->started_ms = clock_mono_ms();
    conduct_init(&hand->conduct, hand->started_ms);
    struct letter m;
    letter_init(&m, LETTER_START);
    m.u.threads = hand->threads;
    if (!channel_send(hand->channel, &m, NULL, 0) || !crew_send_secrets(hand, order->secrets) ||
        !send_drains(hand, order->drains) || !crew_order(hand, order))
        crew_kill(hand); /* its end is reported as any other */
    return hand;
}

void crew_drain(struct hand *hand, uint32_t deadline_ms)
{
    while (hand->known_count > 0 && deadline_ms > 0) {
        struct letter_addr addr = hand->known[0];
        crew_unlisten(hand, &addr);
    }
    struct letter m;
    letter_init(&m, LETTER_DRAIN);
    m.u.drain.deadline_ms = deadline_ms;
    if (!channel_send(hand->channel, &m, NULL, 0))
        crew_kill(hand);
    hand->draining = true;
    hand->kill_at_ms = clock_mono_ms() + deadline_ms + CREW_GRACE_MS;
}

void crew_kill(struct hand *hand)
{
    if (hand->pid > 0)
        kill(hand->pid, SIGKILL);
}

void crew_offended(struct hand *hand, const char *what)
{
    log_error("the worker (pid %d) %s: it is ended", (int)hand->pid, what);
    hand->offended = true;
    crew_kill(hand);
}

bool crew_is_worker(struct crew *crew, pid_t pid, struct hand **hand)
{
    uint64_t now_ms = clock_mono_ms();
    *hand = NULL;
    if (pid <= 0)
        return false;
    for (unsigned i = 0; i < CREW_MAX; i++)
        if (crew->hands[i].pid == pid) {
            *hand = &crew->hands[i];
            return true;
        }
    for (unsigned i = 0; i < CREW_ENDED_MAX; i++)
        if (crew->ended[i].pid == pid && now_ms < crew->ended[i].until_ms)
            return true;
    return false;
}

void crew_forget(struct crew *crew, struct hand *hand)
{
    crew->ended[crew->ended_next].pid = hand->pid;
    crew->ended[crew->ended_next].until_ms = clock_mono_ms() + CREW_ENDED_MS;
    crew->ended_next = (crew->ended_next + 1) % CREW_ENDED_MAX;
    if (hand->channel >= 0)
        close(hand->channel);
    if (crew->serving == hand)
        crew->serving = NULL;
    memset(hand, 0, sizeof *hand);
    hand->channel = -1;
}
