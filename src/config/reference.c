#include "config/reference.h"

#include "config/value.h"

#include <string.h>

/* Directives stand under the innermost place they may stand in: that is where people look. */
static const struct {
    enum place place;
    const char *title, *words;
} groups[] = {
    {PLACE_FILE, "At top level only", "These say how the whole program runs."},
    {PLACE_SITE, "In a site",
     "These belong to one or several hosts. Those that may also stand at top level are then the\n"
     "default of every site."},
    {PLACE_ROUTE, "In a route",
     "These belong to the paths of a route. Those that may also stand in a site, or at top level,\n"
     "are then the default of every route inside; in an upstream they hold for its origins."},
    {PLACE_UPSTREAM, "In an upstream only", "These name the origins that routes share."},
};

static const char preface[] =
    "# Configuration reference\n"
    "\n"
    "<!-- Made from the program's table of directives by tools/docs.sh; do not edit. -->\n"
    "\n"
    "A configuration is a list of statements, one a line or separated by `;`. A statement is a "
    "word and\n"
    "its arguments; some have a block in `{ }`, whose `{` stands on the statement's line. `#` at "
    "the\n"
    "start of a word begins a comment, `\\` at the end of a line joins the next one.\n"
    "\n"
    "| written | means |\n"
    "|---|---|\n"
    "| `word` | any bytes but space, `{ } ; \" '` |\n"
    "| `\"…\"` | with `\\\"`, `\\\\`, `\\n`, `\\t` and `${…}` |\n"
    "| `'…'` | as it is, for regular expressions |\n"
    "| `${NAME}`, `${NAME:-default}` | a variable of the environment when the file is read; a "
    "literal `${` is `$${` |\n"
    "| `$client`, `$host`, … | values of the request, where a directive says so |\n"
    "\n"
    "`portcullis check` names every error with its line; `portcullis fmt` writes the canonical "
    "layout.\n"
    "\n"
    "In the usage lines below, words in lower case are written as they stand, words in UPPER CASE "
    "are\n"
    "values, `[x]` may be left out, `a|b` is one of both, `x…` one or more. A directive *may be "
    "repeated*\n"
    "where it says so, else a second one in the same block is an error.\n";

static bool is_route(const struct directive *row)
{
    return strcmp(row->name, "->") == 0;
}

static enum place innermost(const struct directive *row)
{
    if (row->places & PLACE_ROUTE)
        return PLACE_ROUTE;
    if (row->places & PLACE_SITE)
        return PLACE_SITE;
    return row->places & PLACE_FILE ? PLACE_FILE : PLACE_UPSTREAM;
}

/* A sentence of the table as Markdown: what it would take for emphasis or HTML is escaped. */
static void add_sentence(const char *z, bool first, struct text *out)
{
    struct str s = str_from_z(z);
    for (size_t i = 0; i < s.len; i++) {
        if (strchr("*<`", s.at[i]) != NULL)
            text_add_byte(out, '\\');
        text_add_byte(out, first && i == 0 && s.at[0] >= 'a' && s.at[0] <= 'z'
                               ? (char)(s.at[0] - 'a' + 'A')
                               : s.at[i]);
    }
    if (s.len != 0 && strchr(".?:", s.at[s.len - 1]) == NULL)
        text_add_byte(out, '.');
}

static void print_values(struct text *out)
{
    text_add_z(out, "\n## Values\n\n| name | is | for example |\n|---|---|---|\n");
    for (size_t i = 0; i < value_type_count; i++)
        text_printf(out, "| %s | %s | `%s` |\n", value_types[i].name, value_types[i].wants,
                    value_types[i].sample);
    text_add_z(out,
               "\nUnits belong to every number that has one: durations in `ms`, `s`, `m`, `h`, "
               "`d`, sizes in\n"
               "`b`, `k`, `m`, `g`, `t`, powers of 1024. `on` and `off` are the only switches.\n");
}

static void print_places(const struct directive *row, struct text *out)
{
    static const struct {
        enum place place;
        const char *name;
    } names[] = {{PLACE_FILE, "top level"},
                 {PLACE_SITE, "site"},
                 {PLACE_ROUTE, "route"},
                 {PLACE_UPSTREAM, "upstream"},
                 {PLACE_METRICS, "the block of metrics"}};
    const char *between = "";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((row->places & names[i].place) == 0)
            continue;
        text_printf(out, "%s%s", between, names[i].name);
        between = ", ";
    }
}

static void print_row(const struct directive *row, struct text *out)
{
    if (is_route(row))
        text_printf(out, "\n### A route\n\n```\n%s%s\n```\n", row->args,
                    row->flags & DIRECTIVE_BLOCK ? " [{ … }]" : "");
    else
        text_printf(out, "\n### %s\n\n```\n%s%s%s%s\n```\n", row->name, row->name,
                    row->args[0] ? " " : "", row->args,
                    row->flags & DIRECTIVE_NEEDS_BLOCK ? " { … }"
                    : row->flags & DIRECTIVE_BLOCK     ? " [{ … }]"
                                                       : "");
    text_add_byte(out, '\n');
    add_sentence(row->help, true, out);
    text_add_z(out, "\n\nStands in: ");
    print_places(row, out);
    if (row->default_text != NULL && row->default_text[0] != '\0')
        text_printf(out, ". Default: `%s`", row->default_text);
    text_add_z(out, row->flags & DIRECTIVE_LIST ? ". May be repeated.\n" : ".\n");
    if (row->more != NULL) {
        text_add_byte(out, '\n');
        add_sentence(row->more, false, out);
        text_add_byte(out, '\n');
    }
    if (row->example != NULL && row->example[0] != '\0')
        text_printf(out, "\n```\n%s%s```\n", row->example,
                    row->example[strlen(row->example) - 1] == '\n' ? "" : "\n");
}

void reference_print(const struct directive *table, size_t count, struct text *out)
{
    text_add_z(out, preface);
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        text_printf(out, "\n## %s\n\n%s\n", groups[i].title, groups[i].words);
        for (size_t row = 0; row < count; row++)
            if (innermost(&table[row]) == groups[i].place)
                print_row(&table[row], out);
    }
    print_values(out);
}
