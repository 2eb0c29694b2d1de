#include "proxy/access_policy.h"

enum { LEVELS = sizeof((struct route_conf *)0)->access / sizeof(struct access_list *) };

static bool same_nets(const struct access_rule *a, const struct access_rule *b)
{
    if (a->net_count != b->net_count)
        return false;
    for (size_t i = 0; i < a->net_count; i++)
        if (!addr_eq_host(&a->nets[i].net, &b->nets[i].net) || a->nets[i].bits != b->nets[i].bits)
            return false;
    return true;
}

static bool same_list(const struct access_list *a, const struct access_list *b)
{
    if (a == b)
        return true;
    if (a == NULL || b == NULL || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->rules[i].allow != b->rules[i].allow || !same_nets(&a->rules[i], &b->rules[i]))
            return false;
    return true;
}

/* The next level at or behind `*at` that has rules; NULL: no more. */
static const struct access_list *next_list(const struct route_conf *conf, size_t *at)
{
    while (conf != NULL && *at < LEVELS) {
        const struct access_list *list = conf->access[(*at)++];
        if (list != NULL && list->count != 0)
            return list;
    }
    return NULL;
}

bool access_policy_admits(const struct route_conf *conf, const struct addr *client)
{
    const struct access_rule *rule;
    for (size_t i = 0; conf != NULL && i < LEVELS; i++)
        if (conf->access[i] != NULL && !access_list_admits(conf->access[i], client, &rule))
            return false;
    return true;
}

/* On which level a list stands makes no difference: every list must let a request in. */
bool access_policy_same(const struct route_conf *a, const struct route_conf *b)
{
    size_t at_a = 0, at_b = 0;
    for (bool more = a != b; more;) {
        const struct access_list *of_a = next_list(a, &at_a), *of_b = next_list(b, &at_b);
        if (!same_list(of_a, of_b))
            return false;
        more = of_a != NULL;
    }
    return true;
}
