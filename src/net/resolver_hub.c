#include "net/resolver_hub.h"

#include "base/log.h"
#include "net/dns_channel.h"
#include "net/hosts.h"
#include "net/name_notice.h"
#include "net/resolv_conf.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Once one family has answered, the other is waited for this long (RFC 8305 3 has 50 ms for one
 * that is merely slow; a server that never answers AAAA must not cost more). */
enum { OTHER_FAMILY_MS = 100 };
/* Names looked up at once: all of a configuration's, but no endless heap. */
enum { LOOKUPS_MAX = 4096 };
/* Lines of the hosts file change by a reload only; resolvers then ask anew at once. */
enum { HOSTS_TTL_S = 300 };

enum { IP4 = 1, IP6 = 2 };

/* One name on its way through the search list. */
struct lookup {
    struct link link;
    struct resolver_hub *hub;
    struct hub_question *questions;
    char name[RESOLVER_NAME_MAX + 1];
    unsigned candidate;
    unsigned waiting; /* IP4, IP6: queries under way */
    bool over;        /* answered; waits for the last query only to be freed */
    struct loop_timer timer;
    struct dns_reply ip4, ip6;
};

struct resolver_hub {
    struct loop *loop;
    atomic_uint references, generation;
    pthread_mutex_t lock; /* guards `ended`, and posting against it */
    bool ended;
    /* From here on only the loop's own thread. */
    struct resolv_conf conf;
    struct hosts *hosts;
    struct dns_channel *channel; /* NULL: there was no memory for it */
    struct link lookups;
    unsigned lookup_count;
    struct name_notices notices;
};

void resolver_hub_hold(struct resolver_hub *hub)
{
    atomic_fetch_add_explicit(&hub->references, 1, memory_order_relaxed);
}

void resolver_hub_release(struct resolver_hub *hub)
{
    if (atomic_fetch_sub_explicit(&hub->references, 1, memory_order_acq_rel) != 1)
        return;
    hosts_end(hub->hosts);
    name_notices_fini(&hub->notices);
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}

unsigned resolver_hub_generation(const struct resolver_hub *hub)
{
    return atomic_load_explicit(&hub->generation, memory_order_acquire);
}

/* False when the hub has ended: its loop may be gone. */
static bool hub_post(struct resolver_hub *hub, struct loop_task *task)
{
    pthread_mutex_lock(&hub->lock);
    bool alive = !hub->ended;
    if (alive)
        loop_post(hub->loop, task);
    pthread_mutex_unlock(&hub->lock);
    return alive;
}

/* --- answers
 * ---------------------------------------------------------------------------------------- */

static void answer_question(struct hub_question *question, const struct resolver_answer *answer,
                            uint32_t ttl_s, bool lasting)
{
    struct resolver_hub *hub = question->hub;
    question->answer = *answer;
    question->ttl_s = ttl_s;
    question->lasting = lasting;
    question->on_answer(question);
    resolver_hub_release(hub);
}

static void lookup_free(struct lookup *lookup)
{
    if (lookup->waiting == 0)
        free(lookup);
}

static void lookup_answer(struct lookup *lookup, const struct resolver_answer *answer,
                          uint32_t ttl_s, bool lasting)
{
    lookup->over = true;
    timer_clear(&lookup->timer);
    list_remove(&lookup->link);
    lookup->hub->lookup_count--;
    while (lookup->questions != NULL) {
        struct hub_question *question = lookup->questions;
        lookup->questions = question->next;
        answer_question(question, answer, ttl_s, lasting);
    }
    lookup_free(lookup);
}

static void lookup_fail(struct lookup *lookup, const char *why, bool lasting)
{
    const struct resolver_answer answer = {.why = why};
    lookup_answer(lookup, &answer, 0, lasting);
}

/* Whether the machine has a way to that address: connecting a UDP socket sends nothing, but asks
 * the routing table. */
static bool has_route(const struct addr *to)
{
    struct sockaddr_storage sa;
    struct addr any_port = *to;
    any_port.port = 53;
    socklen_t len = addr_to_sockaddr(&any_port, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool routed = connect(fd, (struct sockaddr *)&sa, len) == 0;
    close(fd);
    return routed;
}

static void add_addresses(struct resolver_answer *answer, const struct dns_reply *reply,
                          unsigned most)
{
    for (unsigned i = 0; i < reply->count && i < most && answer->count < RESOLVER_ADDRS_MAX; i++)
        answer->addrs[answer->count++] = reply->addrs[i];
}

/* IPv6 first where there is a way (RFC 6724 in one line), else last; neither crowds out the
 * other. */
static void lookup_found(struct lookup *lookup)
{
    struct resolver_answer answer = {0};
    const struct dns_reply *ip4 = &lookup->ip4, *ip6 = &lookup->ip6;
    name_found(&lookup->hub->notices, str_from_z(lookup->name));
    unsigned half = RESOLVER_ADDRS_MAX / 2;
    bool ip6_first = ip6->count != 0 && has_route(&ip6->addrs[0]);
    const struct dns_reply *first = ip6_first ? ip6 : ip4, *second = ip6_first ? ip4 : ip6;
    add_addresses(&answer, first, second->count < half ? RESOLVER_ADDRS_MAX - second->count : half);
    add_addresses(&answer, second, RESOLVER_ADDRS_MAX);
    uint32_t ttl_s = UINT32_MAX;
    if (ip4->count != 0)
        ttl_s = ip4->ttl_s;
    if (ip6->count != 0 && ip6->ttl_s < ttl_s)
        ttl_s = ip6->ttl_s;
    lookup_answer(lookup, &answer, ttl_s, false);
}

/* --- asking
 * ------------------------------------------------------------------------------------------- */

static void lookup_ask(struct lookup *lookup);

/* Both families are known for the present name. The next of the search list is asked for only when
 * the DNS vouches that this one does not exist: else an outage would lead to another host. */
static void lookup_judge(struct lookup *lookup)
{
    const struct dns_reply *ip4 = &lookup->ip4, *ip6 = &lookup->ip6;
    if (ip4->result == DNS_FOUND || ip6->result == DNS_FOUND) {
        lookup_found(lookup);
    } else if (ip4->result == DNS_STOPPED || ip6->result == DNS_STOPPED) {
        lookup->candidate = 0;
        lookup_ask(lookup);
    } else if (ip4->result == DNS_FAILED || ip6->result == DNS_FAILED) {
        const char *why = ip4->result == DNS_FAILED ? ip4->why : ip6->why;
        name_failed(&lookup->hub->notices, str_from_z(lookup->name), why, false);
        lookup_fail(lookup, why, false);
    } else {
        lookup->candidate++;
        lookup_ask(lookup);
    }
}

static void on_reply(struct lookup *lookup, unsigned family, struct dns_reply *place,
                     const struct dns_reply *reply)
{
    lookup->waiting &= ~family;
    if (lookup->over) {
        lookup_free(lookup);
        return;
    }
    *place = *reply;
    if (lookup->waiting == 0)
        lookup_judge(lookup);
    else if (reply->result == DNS_FOUND)
        timer_set(lookup->hub->loop, &lookup->timer, OTHER_FAMILY_MS);
}

static void on_ip4(void *user, const struct dns_reply *reply)
{
    struct lookup *lookup = user;
    on_reply(lookup, IP4, &lookup->ip4, reply);
}

static void on_ip6(void *user, const struct dns_reply *reply)
{
    struct lookup *lookup = user;
    on_reply(lookup, IP6, &lookup->ip6, reply);
}

static void other_family_is_late(struct loop_timer *timer)
{
    lookup_found(LIST_OF(timer, struct lookup, timer));
}

static void lookup_ask(struct lookup *lookup)
{
    struct resolver_hub *hub = lookup->hub;
    char name[RESOLV_NAME_MAX + 1];
    if (hub->channel == NULL) {
        lookup_fail(lookup, hub->ended ? "the resolver has ended" : "no memory", false);
        return;
    }
    do {
        if (!resolv_conf_candidate(&hub->conf, str_from_z(lookup->name), lookup->candidate, name)) {
            name_failed(&hub->notices, str_from_z(lookup->name), "no such name", true);
            lookup_fail(lookup, "no such name", true);
            return;
        }
    } while (name[0] == '\0' && lookup->candidate++ <= RESOLV_SEARCH_MAX);
    timer_clear(&lookup->timer);
    lookup->ip4 = lookup->ip6 = (struct dns_reply){0};
    lookup->waiting = IP4 | IP6;
    /* The second may answer at once and end the look-up: nothing comes after it. */
    dns_channel_ask(hub->channel, name, ADDR_IP6, on_ip6, lookup);
    dns_channel_ask(hub->channel, name, ADDR_IP4, on_ip4, lookup);
}

static bool answer_from_hosts(struct resolver_hub *hub, struct hub_question *question)
{
    struct resolver_answer answer = {0};
    struct str name = str_from(question->name, question->name_len);
    if (str_ends(name, STR(".")))
        name.len--;
    if (hub->hosts != NULL)
        answer.count = hosts_find(hub->hosts, name, answer.addrs, RESOLVER_ADDRS_MAX);
    if (answer.count == 0)
        return false;
    answer_question(question, &answer, HOSTS_TTL_S, false);
    return true;
}

static struct lookup *lookup_under_way(struct resolver_hub *hub, const char *name)
{
    for (struct link *at = hub->lookups.next; at != &hub->lookups; at = at->next)
        if (strcmp(LIST_OF(at, struct lookup, link)->name, name) == 0)
            return LIST_OF(at, struct lookup, link);
    return NULL;
}

static struct lookup *lookup_new(struct resolver_hub *hub, const char *name)
{
    if (hub->lookup_count == LOOKUPS_MAX)
        return NULL;
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL)
        return NULL;
    lookup->hub = hub;
    lookup->timer.on_fire = other_family_is_late;
    memcpy(lookup->name, name, strlen(name));
    list_add(&hub->lookups, &lookup->link);
    hub->lookup_count++;
    return lookup;
}

static void hub_refuse(struct hub_question *question, const char *why)
{
    const struct resolver_answer answer = {.why = why};
    answer_question(question, &answer, 0, false);
}

static void on_question(struct loop_task *task)
{
    struct hub_question *question = LIST_OF(task, struct hub_question, task);
    struct resolver_hub *hub = question->hub;
    if (hub->ended) {
        hub_refuse(question, "the resolver has ended");
        return;
    }
    if (answer_from_hosts(hub, question))
        return;
    struct lookup *lookup = lookup_under_way(hub, question->name);
    bool fresh = lookup == NULL;
    if (fresh && (lookup = lookup_new(hub, question->name)) == NULL) {
        hub_refuse(question, "too many names at once");
        return;
    }
    question->next = lookup->questions;
    lookup->questions = question;
    if (fresh)
        lookup_ask(lookup);
}

bool resolver_hub_ask(struct resolver_hub *hub, struct hub_question *question)
{
    question->hub = hub;
    question->task.run = on_question;
    resolver_hub_hold(hub); /* until it is answered */
    if (hub_post(hub, &question->task))
        return true;
    resolver_hub_release(hub);
    return false;
}

/* --- configuration, beginning and end
 * ------------------------------------------------------------------ */

struct change {
    struct loop_task task;
    struct resolver_hub *hub;
    struct resolv_conf conf;
    struct hosts *hosts;
};

/* The new channel stands before the old one ends, whose queries are then asked again. */
static void hub_set(struct resolver_hub *hub, const struct resolv_conf *conf, struct hosts *hosts)
{
    struct dns_channel *old = hub->channel;
    hosts_end(hub->hosts);
    hub->conf = *conf;
    hub->hosts = hosts;
    hub->channel = dns_channel_new(hub->loop, conf);
    dns_channel_end(old);
    atomic_fetch_add_explicit(&hub->generation, 1, memory_order_release);
}

static void on_change(struct loop_task *task)
{
    struct change *change = LIST_OF(task, struct change, task);
    struct resolver_hub *hub = change->hub;
    if (hub->ended)
        hosts_end(change->hosts);
    else
        hub_set(hub, &change->conf, change->hosts);
    free(change);
    resolver_hub_release(hub);
}

void resolver_hub_configure(struct resolver_hub *hub, struct str resolv_conf, struct str hosts)
{
    struct change *change = calloc(1, sizeof *change);
    if (change == NULL || (change->hosts = hosts_new(hosts)) == NULL) {
        free(change);
        log_warning("no memory for the new resolv.conf and hosts: names resolve as before");
        return;
    }
    resolv_conf_parse(resolv_conf, &change->conf);
    change->hub = hub;
    change->task.run = on_change;
    resolver_hub_hold(hub);
    if (hub_post(hub, &change->task))
        return;
    hosts_end(change->hosts);
    free(change);
    resolver_hub_release(hub);
}

struct resolver_hub *resolver_hub_new(struct loop *loop, struct str resolv_conf, struct str hosts)
{
    struct resolver_hub *hub = calloc(1, sizeof *hub);
    if (hub == NULL)
        return NULL;
    hub->loop = loop;
    atomic_store(&hub->references, 1);
    list_init(&hub->lookups);
    pthread_mutex_init(&hub->lock, NULL);
    hub->hosts = hosts_new(hosts);
    resolv_conf_parse(resolv_conf, &hub->conf);
    hub->channel = dns_channel_new(loop, &hub->conf);
    if (hub->hosts == NULL || hub->channel == NULL) {
        resolver_hub_end(hub);
        return NULL;
    }
    return hub;
}

void resolver_hub_end(struct resolver_hub *hub)
{
    if (hub == NULL)
        return;
    pthread_mutex_lock(&hub->lock);
    hub->ended = true;
    pthread_mutex_unlock(&hub->lock);
    struct dns_channel *channel = hub->channel;
    hub->channel = NULL;
    dns_channel_end(channel);
    resolver_hub_release(hub);
}
