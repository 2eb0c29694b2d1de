#include "config/compile_access.h"

#include "base/arena.h"

/* `deny all`: the table knows it so that it can be told from a slip. */
static bool is_usable(struct compile *c, const struct statement *s)
{
    if (s->count != 2)
        return true;
    diag_error(c->diag, &s->words[1].pos, "'%.*s all' belongs to a firewall",
               STR_ARG(s->words[0].text));
    diag_hint(c->diag, "here: %.*s from any", STR_ARG(s->words[0].text));
    return false;
}

void compile_access_rule(struct compile *c, const struct statement *s)
{
    if (is_usable(c, s))
        compile_add_line(c, &c->settings->access[c->level], s);
}

struct cidr *compile_access_nets(struct compile *c, const struct statement *s, size_t from,
                                 size_t *count)
{
    *count = s->count - from;
    struct cidr *nets = arena_array(compile_arena(c), *count, sizeof *nets);
    if (nets == NULL) {
        compile_no_memory(c);
        *count = 0;
        return NULL;
    }
    for (size_t i = 0; i < *count; i++)
        if (cidr_parse(s->words[from + i].text, &nets[i]) != CIDR_OK)
            *count = i; /* the table has checked it */
    return nets;
}

static bool net_has_net(const struct cidr *a, const struct cidr *b)
{
    return a->bits <= b->bits && cidr_has(a, &b->net);
}

static bool rule_has_net(const struct access_rule *rule, const struct cidr *net)
{
    for (size_t i = 0; i < rule->net_count; i++)
        if (net_has_net(&rule->nets[i], net))
            return true;
    return rule->nets == NULL;
}

/* Every network of `later` is one that an earlier rule has decided. */
static const struct access_rule *never_matches(const struct access_rule *rules, size_t later)
{
    const struct access_rule *by = NULL;
    if (rules[later].nets == NULL) {
        for (size_t i = 0; i < later; i++)
            if (rules[i].nets == NULL)
                return &rules[i];
        return NULL;
    }
    for (size_t n = 0; n < rules[later].net_count; n++) {
        size_t i = 0;
        while (i < later && !rule_has_net(&rules[i], &rules[later].nets[n]))
            i++;
        if (i == later)
            return NULL;
        by = &rules[i];
    }
    return by;
}

/* Lists are short; this bounds the comparison of a pasted one with itself. */
#define RULES_COMPARED_MAX 200

static bool tell_dead_rules(struct compile *c, const struct access_list *list,
                            const struct statement **lines)
{
    bool dead = false;
    for (size_t i = 1; i < list->count && i < RULES_COMPARED_MAX; i++) {
        const struct access_rule *by = never_matches(list->rules, i);
        if (by == NULL)
            continue;
        diag_error(c->diag, &lines[i]->words[0].pos, "this '%.*s' can never match",
                   STR_ARG(lines[i]->words[0].text));
        diag_hint(c->diag, "line %u decides first", (unsigned)by->where.line);
        dead = true;
    }
    return dead;
}

static bool overlap(const struct access_rule *a, const struct access_rule *b)
{
    if (a->nets == NULL || b->nets == NULL)
        return true;
    for (size_t i = 0; i < a->net_count; i++)
        for (size_t j = 0; j < b->net_count; j++)
            if (net_has_net(&a->nets[i], &b->nets[j]) || net_has_net(&b->nets[j], &a->nets[i]))
                return true;
    return false;
}

/* A request must be let in by every level that has a list: allow-lists without a common address
 * let nobody in. */
static void tell_nobody_in(struct compile *c, const struct access_list *inner,
                           const struct access_list *outer, const struct statement *line)
{
    if (outer == NULL || !outer->has_allow || !inner->has_allow ||
        inner->count > RULES_COMPARED_MAX || outer->count > RULES_COMPARED_MAX)
        return;
    for (size_t i = 0; i < inner->count; i++)
        for (size_t j = 0; j < outer->count; j++)
            if (inner->rules[i].allow && outer->rules[j].allow &&
                overlap(&inner->rules[i], &outer->rules[j]))
                return;
    diag_error(c->diag, &line->words[0].pos,
               "nobody is let in: the list in line %u allows other addresses",
               (unsigned)outer->rules[0].where.line);
    diag_hint(c->diag, "'reset allow' forgets the outer list");
}

static struct access_list *build_list(struct compile *c, const struct statement **lines,
                                      size_t count)
{
    struct access_list *list = ARENA_NEW(compile_arena(c), struct access_list);
    struct access_rule *rules = arena_array(compile_arena(c), count, sizeof *rules);
    if (list == NULL || rules == NULL) {
        compile_no_memory(c);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        rules[i].allow = compile_is(&lines[i]->words[0], "allow");
        rules[i].where = compile_where(c, lines[i]);
        if (!compile_is(&lines[i]->words[2], "any"))
            rules[i].nets = compile_access_nets(c, lines[i], 2, &rules[i].net_count);
        list->has_allow = list->has_allow || rules[i].allow;
    }
    list->rules = rules;
    list->count = count;
    return list;
}

void compile_access_build(struct compile *c, struct settings *settings, enum level level)
{
    size_t count;
    const struct statement **lines = compile_lines(c, settings->access[level], &count);
    if (lines == NULL)
        return;
    struct access_list *list = build_list(c, lines, count);
    if (list == NULL)
        return;
    if (level == LEVEL_FILE) { /* built for each site, told once */
        if (!compile_told(c, STR("access of the file")))
            (void)tell_dead_rules(c, list, lines);
    } else if (!tell_dead_rules(c, list, lines)) {
        for (int outer = (int)level - 1; outer >= 0; outer--)
            tell_nobody_in(c, list, settings->access_built[outer], lines[0]);
    }
    settings->access_built[level] = list;
}

const struct access_list *compile_access_block(struct compile *c, const struct block *block)
{
    const struct line *lines = NULL;
    size_t count;
    for (const struct statement *s = block->first; s != NULL; s = s->next)
        if (s->directive != NULL && is_usable(c, s))
            compile_add_line(c, &lines, s);
    const struct statement **array = compile_lines(c, lines, &count);
    if (array == NULL)
        return NULL;
    struct access_list *list = build_list(c, array, count);
    if (list != NULL)
        (void)tell_dead_rules(c, list, array);
    return list;
}
