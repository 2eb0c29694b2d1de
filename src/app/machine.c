#include "app/machine.h"

#include "base/arena.h"
#include "base/text.h"
#include "net/addr.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* /proc/net/if_inet6, last but one column */
#define IPV6_TEMPORARY 0x01U
#define IPV6_SCOPE_GLOBAL 0x00U

struct names {
    struct arena *arena;
    struct str *at;
    size_t count, max;
};

static void add(struct names *names, struct str name)
{
    for (size_t i = 0; i < names->count; i++)
        if (str_eq(names->at[i], name))
            return;
    if (names->count < names->max && !str_empty(name))
        names->at[names->count++] = name;
}

static void add_address(struct names *names, const struct addr *addr)
{
    char memory[64];
    struct text text = text_over(memory, sizeof memory);
    addr_add_text(&text, addr);
    add(names, str_dup(names->arena, text_str(&text)));
}

static void add_host_name(struct names *names)
{
    char name[256];
    if (gethostname(name, sizeof name) != 0)
        return;
    name[sizeof name - 1] = '\0';
    struct str s = str_lower(names->arena, str_from_z(name));
    for (size_t i = 0; i < s.len; i++)
        if (!char_is_alpha(s.at[i]) && !char_is_digit(s.at[i]) && s.at[i] != '-' && s.at[i] != '.')
            return;
    add(names, s);
}

static void add_ip4(struct names *names)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        struct addr addr;
        if (i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET &&
            addr_from_sockaddr(&addr, i->ifa_addr, sizeof(struct sockaddr_in)))
            add_address(names, &addr);
    }
    freeifaddrs(all);
}

/* Addresses that privacy extensions change every day would mean a new certificate each day. */
static void add_ip6(struct names *names)
{
    FILE *file = fopen("/proc/net/if_inet6", "re");
    char hex[33];
    unsigned scope, flags;
    if (file == NULL)
        return;
    while (fscanf(file, "%32s %*x %*x %x %x %*s", hex, &scope, &flags) == 3) {
        struct addr addr = {.family = ADDR_IP6};
        if (scope != IPV6_SCOPE_GLOBAL || (flags & IPV6_TEMPORARY) != 0 || strlen(hex) != 32)
            continue;
        for (size_t i = 0; i < 16; i++)
            addr.ip[i] = (uint8_t)(char_hex(hex[2 * i]) << 4 | char_hex(hex[2 * i + 1]));
        add_address(names, &addr);
    }
    fclose(file);
}

size_t machine_names(struct arena *arena, struct str *names, size_t max)
{
    struct names out = {.arena = arena, .at = names, .max = max};
    add(&out, STR("localhost"));
    add_host_name(&out);
    add(&out, STR("127.0.0.1"));
    add(&out, STR("::1"));
    add_ip4(&out);
    add_ip6(&out);
    return out.count;
}
