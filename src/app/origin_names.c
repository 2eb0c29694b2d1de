#include "app/origin_names.h"

#include "base/arena.h"
#include "base/map.h"
#include "config/nearest.h"
#include "proxy/snapshot.h"
#include "upstream/upstream_conf.h"

struct search {
    struct query *query;
    struct str wanted;
    struct map seen;
    struct nearest nearest;
    bool found, out_of_memory;
};

static struct str without_scheme(struct str text)
{
    struct str scheme = STR("http://");
    return str_starts(text, scheme) ? str_skip(text, scheme.len) : text;
}

static void look_at(struct search *search, struct str text)
{
    if (map_get(&search->seen, text) != NULL)
        return;
    if (!map_set(&search->seen, text, search)) {
        search->out_of_memory = true;
        return;
    }
    nearest_try(&search->nearest, without_scheme(text));
    if (!str_eq(without_scheme(text), search->wanted))
        return;
    search->found = true;
    text_add(&search->query->out, text);
    text_add_byte(&search->query->out, '\n');
}

static void look_in(struct search *search, const struct site *site)
{
    for (size_t i = 0; i < site->route_count; i++)
        for (const struct target *t = &site->routes[i].target; t != NULL; t = t->otherwise)
            for (unsigned n = 0; t->upstream != NULL && n < t->upstream->origin_count; n++)
                look_at(search, t->upstream->origins[n].text);
}

bool origin_names_answer(struct query *query, const struct snapshot *snapshot)
{
    struct search search = {.query = query};
    if (query->word_count != 2) {
        text_add_z(&query->out, "which origin?\n");
        return false;
    }
    search.wanted = without_scheme(query->words[1]);
    map_init(&search.seen, query->arena);
    nearest_init(&search.nearest, search.wanted);
    for (size_t i = 0; i < snapshot->site_count; i++)
        look_in(&search, snapshot->sites[i]);
    if (search.found)
        return true;
    text_add_z(&query->out, "no route has the origin '");
    text_add_escaped(&query->out, query->words[1]);
    text_add_z(&query->out, search.out_of_memory ? "' among those looked at\n" : "'\n");
    if (search.nearest.best.len != 0)
        text_printf(&query->out, "did you mean '%.*s'?\n", STR_ARG(search.nearest.best));
    return false;
}
