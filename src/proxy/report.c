#include "proxy/report.h"

#include "base/arena.h"
#include "http/header.h"
#include "observe/access_mask.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Of one line: a header's value may be long. */
#define LINE_BYTES_MAX ((size_t)40 * 1024)
/* Of a sentence with a path or two in it; a longer one ends in dots. */
enum { SENTENCE_BYTES_MAX = 20 * 1024 };

void report_init(struct report *report, struct arena *arena)
{
    *report = (struct report){.arena = arena};
    report->end = &report->first;
}

void report_stage(struct report *report, const char *name)
{
    struct report_stage *stage = ARENA_NEW(report->arena, struct report_stage);
    if (stage == NULL) {
        report->cut = true;
        return;
    }
    stage->name = str_from_z(name);
    stage->end = &stage->first;
    *report->end = stage;
    report->end = &stage->next;
    report->last = stage;
}

static struct report_line *add(struct report *report, const char *what, struct str text,
                               const struct where *where)
{
    static _Thread_local struct report_line nowhere; /* for what does not fit */
    struct report_line *line =
        report->last && text.at ? ARENA_NEW(report->arena, struct report_line) : NULL;
    if (line == NULL) {
        report->cut = true;
        return &nowhere;
    }
    line->what = str_from_z(what);
    line->text = text;
    if (where != NULL)
        line->where = *where;
    *report->last->end = line;
    report->last->end = &line->next;
    return line;
}

struct report_line *report_add(struct report *report, const char *what, const struct where *where,
                               const char *format, ...)
{
    char memory[SENTENCE_BYTES_MAX];
    va_list words;
    va_start(words, format);
    int len = vsnprintf(memory, sizeof memory, format, words);
    va_end(words);
    if (len < 0)
        len = 0;
    if (len >= (int)sizeof memory) {
        len = (int)sizeof memory - 1;
        memcpy(memory + len - 3, "...", 3);
    }
    return add(report, what, str_dup(report->arena, str_from(memory, (size_t)len)), where);
}

/* What must not be shown: what the log masks, and what bears such a name in a configuration. */
static bool is_secret(struct str name)
{
    static const struct str parts[] = {STR_INIT("authorization"), STR_INIT("cookie"),
                                       STR_INIT("token"),         STR_INIT("secret"),
                                       STR_INIT("password"),      STR_INIT("api-key")};
    for (size_t at = 0; at < name.len; at++)
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            if (str_starts_nocase(str_skip(name, at), parts[i]))
                return true;
    return false;
}

/* Those that hold a URL: its query is masked as in the log. */
static bool is_url(struct str name)
{
    enum header_id id = header_lookup(name);
    return id == HEADER_LOCATION || id == HEADER_CONTENT_LOCATION || id == HEADER_REFERER;
}

void report_header(struct report *report, const char *what, struct str name, struct str value,
                   struct str by, const struct where *where)
{
    struct text text = text_in(report->arena, LINE_BYTES_MAX);
    text_add(&text, name);
    text_add_z(&text, ": ");
    if (is_url(name))
        access_mask_url(&text, value);
    else
        text_add(&text, is_secret(name) ? STR("***") : value);
    add(report, what, text_str(&text), where)->by = str_dup(report->arena, by);
}

/* ---- JSON ---- */

static void add_member(struct text *out, const char *name, struct str value)
{
    if (value.len == 0)
        return;
    text_printf(out, ",\"%s\":", name);
    text_add_json(out, value);
}

static void add_where(struct text *out, const char *name, const struct where *where)
{
    if (where->file.len == 0)
        return;
    char memory[1024];
    struct text text = text_over(memory, sizeof memory);
    text_printf(&text, "%.*s:%u", STR_ARG(where->file), (unsigned)where->line);
    add_member(out, name, text_str(&text));
}

static void add_line(struct text *out, const struct report_line *line)
{
    text_add_z(out, "{\"what\":");
    text_add_json(out, line->what);
    text_add_z(out, ",\"text\":");
    text_add_json(out, line->text);
    add_member(out, "by", line->by);
    add_where(out, "at", &line->where);
    text_add_byte(out, '}');
}

static void add_stage(struct text *out, const struct report_stage *stage)
{
    text_add_z(out, "{\"stage\":");
    text_add_json(out, stage->name);
    text_add_z(out, ",\"lines\":[");
    for (const struct report_line *line = stage->first; line != NULL; line = line->next) {
        text_add_z(out, line == stage->first ? "\n  " : ",\n  ");
        add_line(out, line);
    }
    text_add_z(out, "]}");
}

bool report_json(const struct report *report, struct text *out)
{
    text_add_z(out, "{\"stages\":[");
    for (const struct report_stage *stage = report->first; stage != NULL; stage = stage->next) {
        text_add_z(out, stage == report->first ? "\n " : ",\n ");
        add_stage(out, stage);
    }
    text_printf(out, "],\n\"outcome\":{\"action\":\"%s\",\"status\":%u",
                report->forwarded     ? "forward"
                : report->status != 0 ? "answer"
                                      : "none",
                report->status);
    add_member(out, "refused_layer", report->layer);
    add_member(out, "refused_by", report->refused_by);
    add_member(out, "why", report->refused_why);
    add_where(out, "at", &report->refused_at);
    add_member(out, "site", report->site);
    add_member(out, "route", report->route);
    add_where(out, "route_at", &report->route_at);
    add_member(out, "location", report->location);
    add_member(out, "origin", report->origin);
    text_add_z(out, "}}\n");
    return text_ok(out) && !report->cut;
}
