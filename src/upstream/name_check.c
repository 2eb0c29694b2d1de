#include "upstream/name_check.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"

/* Some hundred bytes a name; above it names are not looked at ahead. */
#define CHECK_BYTES_MAX ((size_t)4 * 1024 * 1024)

struct check_name {
    struct check_name *next;
    struct resolver_wait wait;
    struct where where;
};

struct name_check {
    struct arena *arena;
    struct resolver *resolver;
    struct map seen;
    struct check_name *names;
};

struct name_check *name_check_new(struct resolver *resolver)
{
    struct arena *arena = arena_new(CHECK_BYTES_MAX, 1024);
    struct name_check *check = arena == NULL ? NULL : ARENA_NEW(arena, struct name_check);
    if (check == NULL) {
        arena_end(arena);
        return NULL;
    }
    check->arena = arena;
    check->resolver = resolver;
    map_init(&check->seen, arena);
    return check;
}

static void on_answer(struct resolver_wait *wait, const struct resolver_answer *answer)
{
    const struct check_name *name = LIST_OF(wait, struct check_name, wait);
    if (answer->count != 0)
        return;
    char at[300] = "";
    struct text text = text_over(at, sizeof at - 1);
    if (!str_empty(name->where.file)) { /* the command line is in no file */
        text_add_escaped(&text, name->where.file);
        text_printf(&text, ":%u: ", name->where.line);
        at[text.len] = '\0';
    }
    log_warning("%s%s does not resolve: %s; requests for it get a 502 until it does", at,
                log_escape(wait->name), answer->why != NULL ? answer->why : "no address");
}

static void check_origin(struct name_check *check, const struct origin_conf *origin)
{
    if (origin->addr.family != ADDR_NONE || map_get(&check->seen, origin->host) != NULL)
        return;
    struct check_name *name = ARENA_NEW(check->arena, struct check_name);
    struct str host = str_dup(check->arena, origin->host);
    struct str file = str_dup(check->arena, origin->where.file);
    if (name == NULL || host.at == NULL || file.at == NULL || !map_set(&check->seen, host, name))
        return;
    name->where = (struct where){.file = file, .line = origin->where.line};
    name->wait = (struct resolver_wait){.name = host, .on_answer = on_answer};
    name->next = check->names;
    check->names = name;
    resolver_ask(check->resolver, &name->wait);
}

void name_check_add(struct name_check *check, const struct upstream_conf *conf)
{
    for (unsigned i = 0; i < conf->origin_count; i++)
        check_origin(check, &conf->origins[i]);
}

void name_check_end(struct name_check *check)
{
    if (check == NULL)
        return;
    for (struct check_name *name = check->names; name != NULL; name = name->next)
        resolver_cancel(&name->wait);
    arena_end(check->arena);
}
