#include "config/check.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/text.h"
#include "config/hints.h"
#include "config/nearest.h"
#include "config/signature.h"

/* Of the parsed rows: some 3 KiB each. */
#define SCRATCH_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define MESSAGE_BYTES_MAX 900

/* A row with its parsed args. */
struct row {
    const struct directive *directive;
    struct signature *signature;
    bool own_arrow; /* its args have a `->` behind the name */
};

struct checker {
    struct diag *diag;
    struct row *rows;
    size_t count;
    struct map by_name;
    const struct row *route;
};

struct context {
    enum place place;
    const struct block *block;
};

/* --- the table ----------------------------------------------------------------------------------
 */

static bool is_route(const struct directive *directive)
{
    return str_eq(str_from_z(directive->name), STR("->"));
}

static bool add_row(struct checker *c, struct arena *scratch, struct row *row,
                    const struct directive *directive)
{
    row->directive = directive;
    row->signature = ARENA_NEW(scratch, struct signature);
    if (row->signature == NULL || !map_set(&c->by_name, str_from_z(directive->name), row))
        return false;
    if (!signature_parse(str_from_z(directive->args), row->signature)) {
        diag_error(c->diag, NULL, "the program's own table: args of '%s' make no sense",
                   directive->name);
        return false;
    }
    row->own_arrow = !is_route(directive) && signature_has(row->signature, STR("->"));
    if (is_route(directive))
        c->route = row;
    return true;
}

static bool index_table(struct checker *c, struct arena *scratch, const struct directive *table,
                        size_t count)
{
    c->rows = arena_array(scratch, count, sizeof *c->rows);
    c->count = count;
    map_init(&c->by_name, scratch);
    if (c->rows == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!add_row(c, scratch, &c->rows[i], &table[i]))
            return false;
    return true;
}

static bool has_arrow(const struct statement *statement)
{
    for (size_t i = 0; i < statement->count; i++)
        if (statement->words[i].kind == WORD_ARROW)
            return true;
    return false;
}

static const struct row *row_of(const struct checker *c, const struct statement *statement)
{
    const struct row *row = NULL;
    if (statement->words[0].kind != WORD_ARROW)
        row = map_get(&c->by_name, statement->words[0].text);
    if (has_arrow(statement) && (row == NULL || !row->own_arrow))
        return c->route;
    return row;
}

/* --- where --------------------------------------------------------------------------------------
 */

static const struct {
    enum place place;
    const char *name;
} place_names[] = {
    {PLACE_FILE, "at top level"},
    {PLACE_SITE, "in a site"},
    {PLACE_ROUTE, "in a route"},
    {PLACE_UPSTREAM, "in an upstream"},
    {PLACE_METRICS, "in the block of metrics"},
};

static const char *place_name(enum place place)
{
    for (size_t i = 0; i < sizeof place_names / sizeof place_names[0]; i++)
        if (place_names[i].place == place)
            return place_names[i].name;
    return "in this block";
}

static void add_places(unsigned places, struct text *out)
{
    bool any = false;
    for (size_t i = 0; i < sizeof place_names / sizeof place_names[0]; i++) {
        if ((places & place_names[i].place) == 0)
            continue;
        if (any)
            text_add_z(out, " or ");
        text_add_z(out, place_names[i].name);
        any = true;
    }
}

static bool check_place(struct checker *c, const struct row *row, const struct statement *statement,
                        enum place place)
{
    const struct directive *directive = row->directive;
    if (directive->places & place)
        return true;
    char memory[128];
    struct text places = text_over(memory, sizeof memory);
    add_places(directive->places, &places);
    const struct diag_pos *pos = &statement->words[0].pos;
    if (is_route(directive))
        diag_error(c->diag, pos, "a route stands %.*s, not %s", STR_ARG(text_str(&places)),
                   place_name(place));
    else
        diag_error(c->diag, pos, "'%s' stands %.*s, not %s", directive->name,
                   STR_ARG(text_str(&places)), place_name(place));
    const char *hint =
        is_route(directive) && place == PLACE_FILE ? "site HOST { /path/* -> TARGET }" : NULL;
    if (hint != NULL)
        diag_hint(c->diag, "%s", hint);
    return false;
}

/* --- unknown words ------------------------------------------------------------------------------
 */

static struct str nearest_name(const struct checker *c, struct str typed, unsigned places)
{
    struct nearest nearest;
    nearest_init(&nearest, typed);
    for (size_t i = 0; i < c->count; i++)
        if (c->rows[i].directive->places & places)
            nearest_try(&nearest, str_from_z(c->rows[i].directive->name));
    return nearest.best;
}

/* Beside the error told last. */
static bool tell_hint(struct checker *c, const struct statement *statement)
{
    char memory[MESSAGE_BYTES_MAX];
    struct text hint = text_over(memory, sizeof memory);
    if (!hints_for(statement, &hint))
        return false;
    diag_hint(c->diag, "%.*s", STR_ARG(text_str(&hint)));
    return true;
}

static bool is_foreign(const struct statement *statement)
{
    char memory[MESSAGE_BYTES_MAX];
    struct text hint = text_over(memory, sizeof memory);
    return hints_for(statement, &hint);
}

static void hint_at_name(struct checker *c, const struct statement *statement, enum place place)
{
    if (tell_hint(c, statement))
        return;
    struct str best = nearest_name(c, statement->words[0].text, place);
    if (best.len == 0)
        best = nearest_name(c, statement->words[0].text, PLACE_EVERY);
    if (best.len != 0)
        diag_hint(c->diag, "did you mean '%.*s'?", STR_ARG(best));
}

/* In a block we know nothing of, only words with a remedy are worth a line. */
static void look_for_foreign(struct checker *c, const struct block *block)
{
    for (const struct statement *s = block->first; s != NULL; s = s->next) {
        if (row_of(c, s) == NULL && is_foreign(s)) {
            diag_error(c->diag, &s->words[0].pos, "unknown directive '%.*s'",
                       STR_ARG(s->words[0].text));
            tell_hint(c, s);
        }
        if (s->block != NULL)
            look_for_foreign(c, s->block);
    }
}

static void tell_unknown(struct checker *c, const struct statement *statement, enum place place)
{
    struct str name = statement->words[0].text;
    const struct diag_pos *pos = &statement->words[0].pos;
    if (str_starts(name, STR("/")) || str_eq(name, STR("~")))
        diag_error(c->diag, pos, "a route without '->'");
    else
        diag_error(c->diag, pos, "unknown directive '%.*s' %s", STR_ARG(name), place_name(place));
    hint_at_name(c, statement, place);
    if (statement->block != NULL)
        look_for_foreign(c, statement->block);
}

/* --- twice --------------------------------------------------------------------------------------
 */

static bool check_repetition(struct checker *c, const struct row *row,
                             const struct statement *statement, const struct block *block)
{
    if (row->directive->flags & DIRECTIVE_LIST)
        return true;
    const struct word *name = &statement->words[0];
    for (const struct statement *s = block->first; s != statement; s = s->next) {
        const struct diag_pos *before = &s->words[0].pos;
        if (!str_eq(s->words[0].text, name->text))
            continue;
        diag_error(c->diag, &name->pos, "'%.*s' stands here a second time", STR_ARG(name->text));
        if (str_eq(before->file, name->pos.file))
            diag_hint(c->diag, "the first is in line %u", (unsigned)before->line);
        else
            diag_hint(c->diag, "the first is in %.*s:%u", STR_ARG(before->file),
                      (unsigned)before->line);
        return false;
    }
    return true;
}

/* --- words --------------------------------------------------------------------------------------
 */

static bool is_one_of(struct str s, const char *const *words)
{
    for (; *words != NULL; words++)
        if (str_eq_nocase(s, str_from_z(*words)))
            return true;
    return false;
}

static void hint_at_switch(const struct signature *signature, struct str typed, struct text *hint)
{
    static const char *const yes[] = {"yes", "true", "1", "enable", "enabled", "On", "ON", NULL};
    static const char *const no[] = {"no",   "false", "0",   "disable", "disabled",
                                     "none", "Off",   "OFF", NULL};
    if (signature_has(signature, STR("on")) && is_one_of(typed, yes))
        text_add_z(hint, "did you mean 'on'?");
    else if (signature_has(signature, STR("off")) && is_one_of(typed, no))
        text_add_z(hint, "did you mean 'off'?");
}

static void hint_at_types(const struct signature *signature, uint64_t expected, struct str typed,
                          struct text *hint)
{
    for (uint64_t left = expected; left != 0 && hint->len == 0; left &= left - 1) {
        const struct value_type *type = signature->atoms[__builtin_ctzll(left)].type;
        if (type != NULL && type->hint != NULL)
            type->hint(typed, hint);
    }
}

static void hint_at_keywords(const struct signature *signature, uint64_t expected, struct str typed,
                             struct text *hint)
{
    struct nearest nearest;
    nearest_init(&nearest, typed);
    for (uint64_t left = expected; left != 0; left &= left - 1)
        nearest_try(&nearest, signature->atoms[__builtin_ctzll(left)].keyword);
    if (nearest.best.len != 0)
        text_printf(hint, "did you mean '%.*s'?", STR_ARG(nearest.best));
}

/* "weight=3" of other languages. */
static void hint_at_equals(const struct signature *signature, uint64_t expected, struct str typed,
                           struct text *hint)
{
    size_t at = str_find_byte(typed, '=');
    for (uint64_t left = at == SIZE_MAX ? 0 : expected; left != 0; left &= left - 1) {
        struct str keyword = signature->atoms[__builtin_ctzll(left)].keyword;
        if (keyword.len != 0 && str_eq(keyword, str_sub(typed, 0, at)))
            text_printf(hint, "did you mean '%.*s %.*s'?", STR_ARG(keyword),
                        STR_ARG(str_skip(typed, at + 1)));
    }
}

/* "deny all", "allow 10.0.0.0/8": the keyword in front of it was left out. */
static void hint_at_gap(const struct signature *signature, uint64_t expected, struct str typed,
                        struct text *hint)
{
    if (str_eq(typed, STR("all")) && signature_has(signature, STR("any")))
        typed = STR("any");
    for (uint64_t left = expected; left != 0; left &= left - 1) {
        const struct signature_atom *before = &signature->atoms[__builtin_ctzll(left)];
        struct word word = {.text = typed};
        bool is_word = before->keyword.len != 0 && char_is_alpha(before->keyword.at[0]);
        for (uint64_t next = is_word ? before->follow : 0; next != 0; next &= next - 1) {
            const struct signature_atom *atom = &signature->atoms[__builtin_ctzll(next)];
            if (!signature_atom_fits(atom, &word))
                continue;
            text_printf(hint, "did you mean '%.*s %.*s'?", STR_ARG(before->keyword),
                        STR_ARG(typed));
            return;
        }
    }
    if (str_eq(typed, STR("any")) && hint->len == 0)
        text_add_z(hint, "did you mean 'any'?");
}

static void hint_at_word(struct checker *c, const struct row *row, uint64_t expected,
                         const struct word *word)
{
    char memory[MESSAGE_BYTES_MAX];
    struct text hint = text_over(memory, sizeof memory);
    struct str typed = word->text;
    if (word->kind == WORD_BARE && str_eq(typed, STR("=")))
        text_add_z(&hint, "values follow their directive without '='");
    else if (word->kind == WORD_BARE && str_find_byte(typed, ',') != SIZE_MAX)
        text_add_z(&hint, "words are separated by spaces, without commas");
    if (hint.len == 0)
        hint_at_switch(row->signature, typed, &hint);
    if (hint.len == 0)
        hint_at_equals(row->signature, expected, typed, &hint);
    if (hint.len == 0)
        hint_at_types(row->signature, expected, typed, &hint);
    if (hint.len == 0 && word->kind != WORD_ARROW)
        hint_at_gap(row->signature, expected, typed, &hint);
    if (hint.len == 0)
        hint_at_keywords(row->signature, expected, typed, &hint);
    const char *args = row->directive->args;
    if (hint.len != 0)
        diag_hint(c->diag, "%.*s", STR_ARG(text_str(&hint)));
    else if (is_route(row->directive))
        diag_hint(c->diag, "usage: %s", args);
    else
        diag_hint(c->diag, "usage: %s%s%s", row->directive->name, *args ? " " : "", args);
}

static bool check_words(struct checker *c, const struct row *row, const struct statement *statement)
{
    size_t skip = is_route(row->directive) ? 0 : 1;
    const struct word *words = statement->words + skip;
    size_t count = statement->count - skip;
    struct signature_result result = signature_match(row->signature, words, count);
    if (result.fits)
        return true;
    char memory[MESSAGE_BYTES_MAX];
    struct text wants = text_over(memory, sizeof memory);
    signature_add_expected(row->signature, result.expected, &wants);
    bool missing = result.at == count;
    const struct word *word = missing ? &statement->words[statement->count - 1] : &words[result.at];
    if (missing)
        diag_error(c->diag, &word->pos, "expected %.*s behind '%.*s'", STR_ARG(text_str(&wants)),
                   STR_ARG(word->text));
    else if (result.expected == 0 && row->signature->count == 0)
        diag_error(c->diag, &word->pos, "'%s' takes no words", row->directive->name);
    else if (result.expected == 0)
        diag_error(c->diag, &word->pos, "'%.*s' is a word too many", STR_ARG(word->text));
    else
        diag_error(c->diag, &word->pos, "expected %.*s, not '%.*s'", STR_ARG(text_str(&wants)),
                   STR_ARG(word->text));
    static const struct word nothing = {.kind = WORD_BARE};
    hint_at_word(c, row, missing ? 0 : result.expected, missing ? &nothing : word);
    return false;
}

/* --- blocks -------------------------------------------------------------------------------------
 */

static void tell_forbidden_block(struct checker *c, const struct row *row,
                                 const struct statement *statement)
{
    const struct directive *directive = row->directive;
    diag_error(c->diag, &statement->block->open, "'%s' has no block", directive->name);
    tell_hint(c, statement);
    look_for_foreign(c, statement->block);
}

static bool may_have_block(struct checker *c, const struct row *row,
                           const struct statement *statement)
{
    const struct directive *directive = row->directive;
    if (statement->block == NULL)
        return true;
    if ((directive->flags & (DIRECTIVE_BLOCK | DIRECTIVE_NEEDS_BLOCK)) == 0) {
        tell_forbidden_block(c, row, statement);
        return false;
    }
    if (!row->own_arrow || !has_arrow(statement))
        return true;
    diag_error(c->diag, &statement->block->open, "the short form of '%s' has no block",
               directive->name);
    diag_hint(c->diag, "%s HOST { /* -> TARGET { … } }", directive->name);
    return false;
}

static bool has_its_block(struct checker *c, const struct row *row,
                          const struct statement *statement)
{
    const struct directive *directive = row->directive;
    if (statement->block != NULL || (directive->flags & DIRECTIVE_NEEDS_BLOCK) == 0 ||
        (row->own_arrow && has_arrow(statement)))
        return true;
    diag_error(c->diag, &statement->words[0].pos, "'%s' needs a block", directive->name);
    diag_hint(c->diag,
              row->own_arrow ? "%s … { … }, or the short form: %s … -> TARGET" : "%s … { … }",
              directive->name, directive->name);
    return false;
}

static void check_statements(struct checker *c, struct block *block, enum place place);

static void check_statement(struct checker *c, struct statement *statement, struct context where)
{
    statement->directive = NULL;
    const struct row *row = row_of(c, statement);
    if (row == NULL) {
        if (!statement->broken)
            tell_unknown(c, statement, where.place);
        return;
    }
    if (check_place(c, row, statement, where.place) &&
        check_repetition(c, row, statement, where.block) && may_have_block(c, row, statement) &&
        !statement->broken && check_words(c, row, statement) && has_its_block(c, row, statement))
        statement->directive = row->directive;
    if (statement->block != NULL && row->directive->inside != 0)
        check_statements(c, statement->block, (enum place)row->directive->inside);
}

static void check_statements(struct checker *c, struct block *block, enum place place)
{
    struct context where = {.place = place, .block = block};
    for (struct statement *s = block->first; s != NULL; s = s->next)
        check_statement(c, s, where);
}

bool check_tree(struct tree *tree, const struct directive *table, size_t count, struct diag *diag)
{
    unsigned before = diag->errors;
    struct arena *scratch = arena_new(SCRATCH_BYTES_MAX, 65536);
    struct checker c = {.diag = diag};
    if (scratch != NULL && index_table(&c, scratch, table, count))
        check_statements(&c, &tree->top, PLACE_FILE);
    else if (diag->errors == before)
        diag_error(diag, NULL, "no memory to check the configuration");
    arena_end(scratch);
    return diag->errors == before;
}
