/*
 * DNS queries through c-ares on one loop. It opens no file for its configuration (all of it is
 * handed over), reads no environment, knows no search domains; answers over UDP, over TCP where
 * they were cut. Not for use from other threads.
 */
#ifndef PC_NET_DNS_CHANNEL_H
#define PC_NET_DNS_CHANNEL_H

#include "net/loop.h"
#include "net/resolv_conf.h"

struct dns_channel;

/* Of one family; a name with more addresses is used with these. */
enum { DNS_ADDRS_MAX = 16 };

enum dns_result {
    DNS_FOUND,
    DNS_NOT_FOUND, /* the DNS says that there is none */
    DNS_FAILED,    /* the DNS does not say: timeout, SERVFAIL, nonsense, no memory */
    DNS_STOPPED,   /* the channel has ended */
};

struct dns_reply {
    enum dns_result result;
    unsigned count;
    struct addr addrs[DNS_ADDRS_MAX];
    uint32_t ttl_s;  /* the least of all records, also of the aliases */
    const char *why; /* a constant */
};

struct dns_channel *dns_channel_new(struct loop *loop, const struct resolv_conf *conf)
    __attribute__((warn_unused_result));
/* All queries under way are answered with DNS_STOPPED. Not from inside an answer. */
void dns_channel_end(struct dns_channel *channel);

/* Asks for A (ADDR_IP4) or AAAA (ADDR_IP6); answers exactly once, perhaps before it returns. */
void dns_channel_ask(struct dns_channel *channel, const char *name, enum addr_family family,
                     void (*on_reply)(void *user, const struct dns_reply *reply), void *user);

#endif
