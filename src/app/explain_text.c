#include "app/explain_text.h"

#include "config/json.h"

/* Where the texts of all lines begin. */
enum { WHAT_WIDTH = 14 };

static struct str text_of(const struct json *object, struct str name)
{
    const struct json *member = json_get(object, name);
    return member ? member->text : (struct str){0};
}

static void add_quoted(struct text *out, const char *before, struct str s, const char *after)
{
    if (s.len == 0)
        return;
    text_add_z(out, before);
    text_add_escaped(out, s);
    text_add_z(out, after);
}

static void add_line(struct text *out, const struct json *line)
{
    struct str what = text_of(line, STR("what"));
    text_add_z(out, "    ");
    text_add_escaped(out, what);
    for (size_t i = what.len; i < WHAT_WIDTH; i++)
        text_add_byte(out, ' ');
    text_add_byte(out, ' ');
    text_add_escaped(out, text_of(line, STR("text")));
    add_quoted(out, "  (", text_of(line, STR("by")), ")");
    add_quoted(out, "  [", text_of(line, STR("at")), "]");
    text_add_byte(out, '\n');
}

static void add_outcome(struct text *out, const struct json *outcome)
{
    struct str action = text_of(outcome, STR("action"));
    if (str_eq(action, STR("none"))) {
        text_add_z(out, "No request is answered.\n");
        return;
    }
    if (str_eq(action, STR("forward"))) {
        add_quoted(out, "It is forwarded by the route ", text_of(outcome, STR("route")), "");
        add_quoted(out, " [", text_of(outcome, STR("route_at")), "]");
        add_quoted(out, " to ", text_of(outcome, STR("origin")), "");
    } else {
        add_quoted(out, "The answer is ", text_of(outcome, STR("status")), "");
        add_quoted(out, " to ", text_of(outcome, STR("location")), "");
        add_quoted(out, ", refused by ", text_of(outcome, STR("refused_by")), "");
        add_quoted(out, ": ", text_of(outcome, STR("why")), "");
        add_quoted(out, " [", text_of(outcome, STR("at")), "]");
    }
    text_add_z(out, ".\n");
}

bool explain_text_add(struct arena *arena, struct str json, struct text *out)
{
    const char *why;
    size_t at;
    unsigned number = 0;
    const struct json *whole = json_read(arena, json, &why, &at);
    const struct json *stages = whole ? json_get(whole, STR("stages")) : NULL;
    const struct json *outcome = whole ? json_get(whole, STR("outcome")) : NULL;
    if (stages == NULL || outcome == NULL)
        return false;
    for (const struct json *stage = stages->first; stage != NULL; stage = stage->next) {
        const struct json *lines = json_get(stage, STR("lines"));
        text_printf(out, "%2u. ", ++number);
        text_add_escaped(out, text_of(stage, STR("stage")));
        text_add_byte(out, '\n');
        for (const struct json *line = lines ? lines->first : NULL; line; line = line->next)
            add_line(out, line);
    }
    text_add_byte(out, '\n');
    add_outcome(out, outcome);
    return text_ok(out);
}
