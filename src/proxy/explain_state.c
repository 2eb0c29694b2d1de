#include "proxy/explain_state.h"

#include "observe/access_mask.h"

/* Of a target; heads are shorter. */
#define URL_BYTES_MAX ((size_t)256 * 1024)

static bool has_host(const struct site *site, struct str name)
{
    for (size_t i = 0; i < site->host_count; i++)
        if (str_eq(site->hosts[i], name) ||
            (str_starts(site->hosts[i], STR("*.")) && str_ends(name, str_skip(site->hosts[i], 1))))
            return true;
    return false;
}

void explain_other_listener(const struct explain *e, struct str name)
{
    const struct snapshot *s = e->snapshot;
    size_t here = (size_t)(e->listener - s->listeners);
    for (size_t i = 0; i < s->site_count; i++)
        if (has_host(s->sites[i], name) && (s->sites[i]->listeners >> here & 1) == 0)
            report_add(e->report, "nearly", &s->sites[i]->where,
                       "a site has this name, but not on this listener");
}

struct str explain_addr(const struct explain *e, const struct addr *addr)
{
    struct text text = text_in(e->arena, 128);
    addr_add_text(&text, addr);
    return text_str(&text);
}

struct str explain_masked(const struct explain *e, struct str url)
{
    struct text text = text_in(e->arena, URL_BYTES_MAX);
    access_mask_url(&text, url);
    return text_str(&text);
}
