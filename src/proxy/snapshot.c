#include "proxy/snapshot.h"

#include "base/arena.h"

/* ---- access ---- */

bool access_list_admits(const struct access_list *list, const struct addr *client,
                        const struct access_rule **rule)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct access_rule *at = &list->rules[i];
        bool matches = at->net_count == 0;
        for (size_t n = 0; n < at->net_count && !matches; n++)
            matches = cidr_has(&at->nets[n], client);
        if (matches) {
            *rule = at;
            return at->allow;
        }
    }
    *rule = list->count ? &list->rules[0] : NULL;
    return !list->has_allow;
}

/* ---- parts of the old snapshot ---- */

static struct str hash_key(const uint64_t *hash)
{
    return str_from(hash, sizeof *hash);
}

struct site *snapshot_find_site(const struct snapshot *old, uint64_t hash)
{
    return old ? map_get(&old->by_hash, hash_key(&hash)) : NULL;
}

void snapshot_hold(struct site *site)
{
    site->part.held++;
}

/* ---- names ---- */

static bool link_host(struct listener *listener, struct site *site, struct str host)
{
    if (str_eq(host, STR("*"))) {
        listener->catch_all = site;
        return true;
    }
    if (str_starts(host, STR("*.")))
        return map_set(&listener->wildcards, str_skip(host, 1), site);
    return map_set(&listener->hosts, host, site);
}

static bool link_site(struct listener *listener, struct site *site)
{
    if (listener->first == NULL)
        listener->first = site;
    for (size_t i = 0; i < site->host_count; i++)
        if (!link_host(listener, site, site->hosts[i]))
            return false;
    return true;
}

static bool link_request_names(struct snapshot *snapshot, const struct route_conf *conf)
{
    for (size_t i = 0; conf != NULL && i < conf->header_count; i++) {
        const struct header_edit *edit = &conf->headers[i];
        if (edit->response || (edit->op != HEADER_SET && edit->op != HEADER_ADD))
            continue;
        struct str name = str_lower(snapshot->arena, edit->name);
        if (name.at == NULL || !map_set(&snapshot->request_names, name, snapshot))
            return false;
    }
    return true;
}

static bool link_site_names(struct snapshot *snapshot, const struct site *site)
{
    if (!link_request_names(snapshot, site->conf))
        return false;
    for (size_t i = 0; i < site->route_count; i++)
        if (site->routes[i].conf != site->conf &&
            !link_request_names(snapshot, site->routes[i].conf))
            return false;
    return true;
}

bool snapshot_link(struct snapshot *snapshot)
{
    map_init(&snapshot->by_hash, snapshot->arena);
    map_init(&snapshot->request_names, snapshot->arena);
    for (size_t i = 0; i < snapshot->listener_count; i++) {
        map_init(&snapshot->listeners[i].hosts, snapshot->arena);
        map_init(&snapshot->listeners[i].wildcards, snapshot->arena);
    }
    for (size_t i = 0; i < snapshot->site_count; i++) {
        struct site *site = snapshot->sites[i];
        if (!map_set(&snapshot->by_hash, hash_key(&site->part.hash), site) ||
            !link_site_names(snapshot, site))
            return false;
        for (size_t j = 0; j < snapshot->listener_count; j++)
            if ((site->listeners >> j & 1) != 0 && !link_site(&snapshot->listeners[j], site))
                return false;
    }
    return true;
}

/* The longest wildcard first: a name has at most 127 labels, so this ends soon. */
static struct site *wildcard_site(const struct listener *listener, struct str host)
{
    if (listener->wildcards.count == 0)
        return NULL;
    for (size_t dot = str_find_byte(host, '.'); dot != SIZE_MAX;) {
        host = str_skip(host, dot);
        struct site *site = map_get(&listener->wildcards, host);
        if (site != NULL)
            return site;
        dot = str_find_byte(str_skip(host, 1), '.');
        dot = dot == SIZE_MAX ? dot : dot + 1;
    }
    return NULL;
}

struct site *listener_site(const struct listener *listener, struct str host)
{
    struct site *site = map_get(&listener->hosts, host);
    if (site == NULL)
        site = wildcard_site(listener, host);
    return site ? site : listener->catch_all;
}

struct site *listener_default_site(const struct listener *listener, struct str sni,
                                   const struct addr *local)
{
    char text[64];
    struct text name = text_over(text, sizeof text);
    struct site *site = sni.len ? listener_site(listener, sni) : NULL;
    if (site != NULL)
        return site;
    addr_add_text(&name, local);
    site = map_get(&listener->hosts, text_str(&name));
    if (site != NULL)
        return site;
    return listener->catch_all ? listener->catch_all : listener->first;
}

/* ---- giving up ---- */

/* Pins are taken and given back by the same thread, so each slot and their sum are exact. */
static bool pinned(const atomic_uint *pins, unsigned threads)
{
    for (unsigned i = 0; i < threads && i < SNAPSHOT_THREADS_MAX; i++)
        if (atomic_load_explicit(&pins[i], memory_order_acquire) != 0)
            return true;
    return false;
}

void snapshot_retire(struct retired *retired, struct snapshot *snapshot)
{
    snapshot->next = retired->snapshots;
    retired->snapshots = snapshot;
}

static void release_parts(struct retired *retired, struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->site_count; i++) {
        struct part *part = &snapshot->sites[i]->part;
        if (--part->held != 0)
            continue;
        part->next = retired->parts;
        retired->parts = part;
    }
}

static void sweep_snapshots(struct retired *retired, uint64_t acknowledged, unsigned threads)
{
    for (struct snapshot **at = &retired->snapshots; *at != NULL;) {
        struct snapshot *snapshot = *at;
        if (snapshot->generation >= acknowledged || pinned(snapshot->pins, threads)) {
            at = &snapshot->next;
            continue;
        }
        *at = snapshot->next;
        release_parts(retired, snapshot);
        arena_end(snapshot->arena);
    }
}

static void sweep_parts(struct retired *retired, unsigned threads)
{
    for (struct part **at = &retired->parts; *at != NULL;) {
        struct part *part = *at;
        if (pinned(part->pins, threads)) {
            at = &part->next;
            continue;
        }
        *at = part->next;
        arena_end(part->arena);
    }
}

void snapshot_sweep(struct retired *retired, uint64_t acknowledged, unsigned threads)
{
    sweep_snapshots(retired, acknowledged, threads);
    sweep_parts(retired, threads);
}

void snapshot_end(struct snapshot *snapshot)
{
    struct retired retired = {0};
    if (snapshot == NULL)
        return;
    release_parts(&retired, snapshot);
    arena_end(snapshot->arena);
    sweep_parts(&retired, SNAPSHOT_THREADS_MAX);
}
