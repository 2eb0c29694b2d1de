#include "config/signature.h"

#include <string.h>

/* --- parsing args -------------------------------------------------------------------------------
 */

/* A part of the grammar: where it may begin and end, and whether it may be left out. */
struct part {
    uint64_t first, last;
    bool empty;
};

struct grammar {
    struct str rest;
    struct signature *out;
    bool broken;
};

static struct part parse_choice(struct grammar *g);

static void link_atoms(struct signature *s, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < s->count; i++)
        if (from >> i & 1)
            s->atoms[i].follow |= to;
}

static struct part in_sequence(struct signature *s, struct part a, struct part b)
{
    link_atoms(s, a.last, b.first);
    return (struct part){.first = a.first | (a.empty ? b.first : 0),
                         .last = b.last | (b.empty ? a.last : 0),
                         .empty = a.empty && b.empty};
}

static struct part either(struct part a, struct part b)
{
    return (struct part){a.first | b.first, a.last | b.last, a.empty || b.empty};
}

static bool take_literal(struct grammar *g, struct str literal)
{
    if (!str_starts(g->rest, literal))
        return false;
    g->rest = str_skip(g->rest, literal.len);
    return true;
}

static bool is_type_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] < 'A' || s.at[i] > 'Z')
            return false;
    return s.len != 0;
}

static struct str take_atom_text(struct grammar *g)
{
    size_t n = 0;
    while (n < g->rest.len && strchr(" |[]()", g->rest.at[n]) == NULL &&
           !str_starts(str_skip(g->rest, n), STR("…")))
        n++;
    struct str text = str_sub(g->rest, 0, n);
    g->rest = str_skip(g->rest, n);
    return text;
}

/* A keyword or a type. */
static struct part parse_atom(struct grammar *g)
{
    struct signature *s = g->out;
    struct str text = take_atom_text(g);
    if (text.len == 0 || s->count == SIGNATURE_ATOMS_MAX) {
        g->broken = true;
        return (struct part){0};
    }
    struct signature_atom *atom = &s->atoms[s->count];
    *atom = (struct signature_atom){0};
    if (is_type_name(text)) {
        atom->type = value_type_find(text);
        g->broken |= atom->type == NULL;
    } else {
        atom->keyword = text;
    }
    uint64_t bit = (uint64_t)1 << s->count++;
    return (struct part){bit, bit, false};
}

/* [x], (x) or an atom, and … behind it */
static struct part parse_item(struct grammar *g)
{
    struct part part;
    if (take_literal(g, STR("["))) {
        part = parse_choice(g);
        part.empty = true;
        g->broken |= !take_literal(g, STR("]"));
    } else if (take_literal(g, STR("("))) {
        part = parse_choice(g);
        g->broken |= !take_literal(g, STR(")"));
    } else {
        part = parse_atom(g);
    }
    if (take_literal(g, STR("…")))
        link_atoms(g->out, part.last, part.first);
    return part;
}

/* item|item, without spaces */
static struct part parse_tight(struct grammar *g)
{
    struct part part = parse_item(g);
    while (!g->broken && take_literal(g, STR("|")))
        part = either(part, parse_item(g));
    return part;
}

static struct part parse_sequence(struct grammar *g)
{
    struct part part = parse_tight(g);
    while (!g->broken && !str_starts(g->rest, STR(" | ")) && take_literal(g, STR(" ")))
        part = in_sequence(g->out, part, parse_tight(g));
    return part;
}

/* sequence | sequence, with spaces */
static struct part parse_choice(struct grammar *g)
{
    struct part part = parse_sequence(g);
    while (!g->broken && take_literal(g, STR(" | ")))
        part = either(part, parse_sequence(g));
    return part;
}

bool signature_parse(struct str args, struct signature *out)
{
    out->count = 0;
    out->first = out->last = 0;
    out->empty_fits = true;
    if (args.len == 0)
        return true;
    struct grammar g = {.rest = args, .out = out};
    struct part part = parse_choice(&g);
    out->first = part.first;
    out->last = part.last;
    out->empty_fits = part.empty;
    return !g.broken && g.rest.len == 0;
}

/* --- matching -----------------------------------------------------------------------------------
 */

bool signature_atom_fits(const struct signature_atom *atom, const struct word *word)
{
    if (atom->type == NULL) /* an arrow in quotes is a text, not an arrow */
        return str_eq(atom->keyword, word->text) &&
               (word->kind == WORD_ARROW) == str_eq(atom->keyword, STR("->"));
    return word->kind != WORD_ARROW && atom->type->fits(word->text);
}

struct signature_result signature_match(const struct signature *signature, const struct word *words,
                                        size_t count)
{
    uint64_t may = signature->first;
    bool done = signature->empty_fits;
    for (size_t at = 0; at < count; at++) {
        uint64_t next = 0;
        bool fits = false;
        done = false;
        for (uint64_t left = may; left != 0; left &= left - 1) {
            size_t i = (size_t)__builtin_ctzll(left);
            if (!signature_atom_fits(&signature->atoms[i], &words[at]))
                continue;
            fits = true;
            next |= signature->atoms[i].follow;
            done |= (signature->last >> i & 1) != 0;
        }
        if (!fits)
            return (struct signature_result){.at = at, .expected = may};
        may = next;
    }
    return (struct signature_result){.fits = done, .at = count, .expected = may};
}

void signature_add_expected(const struct signature *signature, uint64_t expected, struct text *out)
{
    bool any = false;
    for (uint64_t left = expected; left != 0; left &= left - 1) {
        const struct signature_atom *atom = &signature->atoms[__builtin_ctzll(left)];
        bool last = (left & (left - 1)) == 0;
        if (any)
            text_add_z(out, last ? " or " : ", ");
        if (atom->type)
            text_add_z(out, atom->type->wants);
        else
            text_printf(out, "'%.*s'", STR_ARG(atom->keyword));
        any = true;
    }
}

bool signature_has(const struct signature *signature, struct str keyword)
{
    for (size_t i = 0; i < signature->count; i++)
        if (str_eq(signature->atoms[i].keyword, keyword))
            return true;
    return false;
}
