#include "net/dns_channel.h"

#include "base/hash.h"

#include <ares.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct dns_channel {
    struct loop *loop;
    ares_channel ares;
    struct loop_timer timer;
    struct link watches;
};

/* A socket of c-ares. */
struct watch {
    struct link link;
    struct loop_io io;
    struct loop_task task;
    struct dns_channel *channel;
};

struct query {
    void (*on_reply)(void *user, const struct dns_reply *reply);
    void *user;
};

/* --- sockets and time ----------------------------------------------------------------------------
 */

static void set_timer(struct dns_channel *channel)
{
    struct timeval tv;
    if (ares_timeout(channel->ares, NULL, &tv) == NULL) {
        timer_clear(&channel->timer);
        return;
    }
    uint64_t ms = (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000;
    timer_set(channel->loop, &channel->timer, ms + 1);
}

static void on_time(struct loop_timer *timer)
{
    struct dns_channel *channel = LIST_OF(timer, struct dns_channel, timer);
    ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(channel);
}

static void on_socket(struct loop_io *io, uint32_t events)
{
    const struct watch *watch = LIST_OF(io, struct watch, io);
    struct dns_channel *channel = watch->channel;
    bool in = (events & (LOOP_IN | LOOP_HUP)) != 0, out = (events & (LOOP_OUT | LOOP_HUP)) != 0;
    /* The watch may be gone after this. */
    ares_process_fd(channel->ares, in ? io->fd : ARES_SOCKET_BAD, out ? io->fd : ARES_SOCKET_BAD);
    set_timer(channel);
}

static void watch_free(struct loop_task *task)
{
    free(LIST_OF(task, struct watch, task));
}

static void watch_end(struct watch *watch)
{
    loop_remove(watch->channel->loop, &watch->io);
    list_remove(&watch->link);
    watch->task.run = watch_free;
    loop_defer(watch->channel->loop, &watch->task);
}

static void watch_new(struct dns_channel *channel, int fd, uint32_t wanted)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return; /* the query runs into its timeout */
    watch->channel = channel;
    watch->io = (struct loop_io){.fd = fd, .on_event = on_socket};
    if (!loop_add(channel->loop, &watch->io, wanted)) {
        free(watch);
        return;
    }
    list_add(&channel->watches, &watch->link);
}

static struct watch *watch_of(struct dns_channel *channel, int fd)
{
    for (struct link *at = channel->watches.next; at != &channel->watches; at = at->next)
        if (LIST_OF(at, struct watch, link)->io.fd == fd)
            return LIST_OF(at, struct watch, link);
    return NULL;
}

static void on_state(void *user, ares_socket_t fd, int in, int out)
{
    struct dns_channel *channel = user;
    struct watch *watch = watch_of(channel, fd);
    uint32_t wanted = (in ? (uint32_t)LOOP_IN : 0U) | (out ? (uint32_t)LOOP_OUT : 0U);
    if (wanted == 0) {
        if (watch != NULL)
            watch_end(watch);
    } else if (watch == NULL) {
        watch_new(channel, fd, wanted);
    } else {
        loop_want(channel->loop, &watch->io, wanted);
    }
}

/* --- beginning and end
 * ----------------------------------------------------------------------------- */

static bool set_servers(struct dns_channel *channel, const struct resolv_conf *conf)
{
    struct ares_addr_port_node nodes[RESOLV_SERVERS_MAX] = {0};
    for (unsigned i = 0; i < conf->server_count; i++) {
        const struct addr *server = &conf->servers[i];
        bool ip4 = server->family == ADDR_IP4;
        nodes[i].family = ip4 ? AF_INET : AF_INET6;
        memcpy(&nodes[i].addr, server->ip, ip4 ? 4 : 16);
        nodes[i].udp_port = nodes[i].tcp_port = server->port;
        nodes[i].next = i + 1 < conf->server_count ? &nodes[i + 1] : NULL;
    }
    return ares_set_servers_ports(channel->ares, nodes) == ARES_SUCCESS;
}

/* With all of these given c-ares looks into no file and no variable of the environment, but for
 * /dev/urandom, for whose absence rand() is seeded: query identifiers must not be guessed. */
static bool ares_begin(struct dns_channel *channel, const struct resolv_conf *conf)
{
    static char dns_only[] = "b";
    unsigned seed;
    random_bytes(&seed, sizeof seed);
    srand(seed);
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
        .timeout = (int)conf->timeout_ms,
        .tries = (int)conf->attempts,
        .lookups = dns_only,
        .sock_state_cb = on_state,
        .sock_state_cb_data = channel,
    };
    const int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
                      ARES_OPT_DOMAINS | ARES_OPT_SERVERS | ARES_OPT_SORTLIST | ARES_OPT_LOOKUPS |
                      ARES_OPT_SOCK_STATE_CB;
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        return false;
    if (ares_init_options(&channel->ares, &options, given) == ARES_SUCCESS) {
        if (set_servers(channel, conf))
            return true;
        ares_destroy(channel->ares);
    }
    ares_library_cleanup();
    return false;
}

struct dns_channel *dns_channel_new(struct loop *loop, const struct resolv_conf *conf)
{
    struct dns_channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL)
        return NULL;
    channel->loop = loop;
    channel->timer.on_fire = on_time;
    list_init(&channel->watches);
    if (!ares_begin(channel, conf)) {
        free(channel);
        return NULL;
    }
    return channel;
}

void dns_channel_end(struct dns_channel *channel)
{
    if (channel == NULL)
        return;
    ares_destroy(channel->ares);
    ares_library_cleanup();
    timer_clear(&channel->timer);
    free(channel);
}

/* --- answers
 * ---------------------------------------------------------------------------------------- */

static void read_addresses(struct dns_reply *reply, const struct ares_addrinfo *info)
{
    uint32_t ttl_s = UINT32_MAX;
    for (const struct ares_addrinfo_cname *c = info->cnames; c != NULL; c = c->next)
        if (c->ttl >= 0 && (uint32_t)c->ttl < ttl_s)
            ttl_s = (uint32_t)c->ttl;
    for (const struct ares_addrinfo_node *n = info->nodes; n != NULL; n = n->ai_next) {
        struct addr *addr = &reply->addrs[reply->count];
        if (reply->count == DNS_ADDRS_MAX || !addr_from_sockaddr(addr, n->ai_addr, n->ai_addrlen))
            continue;
        addr->port = 0;
        if (n->ai_ttl >= 0 && (uint32_t)n->ai_ttl < ttl_s)
            ttl_s = (uint32_t)n->ai_ttl;
        reply->count++;
    }
    reply->ttl_s = ttl_s == UINT32_MAX ? 0 : ttl_s;
}

static struct dns_reply failure(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
        return (struct dns_reply){.result = DNS_NOT_FOUND, .why = "no such name"};
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED:
        return (struct dns_reply){.result = DNS_STOPPED, .why = "the resolver has ended"};
    case ARES_ETIMEOUT:
        return (struct dns_reply){.result = DNS_FAILED, .why = "the DNS server does not answer"};
    case ARES_ECONNREFUSED:
        return (struct dns_reply){.result = DNS_FAILED,
                                  .why = "the DNS server failed or cannot be reached"};
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ENOTIMP:
        return (struct dns_reply){.result = DNS_FAILED, .why = "the DNS server failed"};
    case ARES_EBADNAME:
        return (struct dns_reply){.result = DNS_NOT_FOUND, .why = "not a host name"};
    case ARES_ENOMEM:
        return (struct dns_reply){.result = DNS_FAILED, .why = "no memory"};
    default:
        return (struct dns_reply){.result = DNS_FAILED, .why = "the DNS server's answer is bad"};
    }
}

static void on_addrinfo(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct query query = *(struct query *)arg;
    struct dns_reply reply = failure(status);
    (void)timeouts;
    free(arg);
    if (status == ARES_SUCCESS && info != NULL) {
        reply = (struct dns_reply){.result = DNS_FOUND};
        read_addresses(&reply, info);
        if (reply.count == 0)
            reply = failure(ARES_ENODATA);
    }
    if (info != NULL)
        ares_freeaddrinfo(info);
    query.on_reply(query.user, &reply);
}

void dns_channel_ask(struct dns_channel *channel, const char *name, enum addr_family family,
                     void (*on_reply)(void *user, const struct dns_reply *reply), void *user)
{
    struct query *query = calloc(1, sizeof *query);
    if (query == NULL) {
        struct dns_reply reply = failure(ARES_ENOMEM);
        on_reply(user, &reply);
        return;
    }
    *query = (struct query){.on_reply = on_reply, .user = user};
    const struct ares_addrinfo_hints hints = {
        .ai_family = family == ADDR_IP4 ? AF_INET : AF_INET6,
        .ai_flags = ARES_AI_NOSORT,
        .ai_socktype = SOCK_STREAM,
    };
    ares_getaddrinfo(channel->ares, name, NULL, &hints, on_addrinfo, query);
    set_timer(channel);
}
