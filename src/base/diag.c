#include "base/diag.h"

#include "base/arena.h"
#include "base/text.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

/* A file with more errors than this is not the file the user meant. */
#define ENTRIES_MAX 1000

void diag_init(struct diag *diag, struct arena *arena)
{
    *diag = (struct diag){.arena = arena};
}

__attribute__((format(printf, 2, 0))) static struct str format_in(struct arena *arena,
                                                                  const char *format, va_list args)
{
    char line[1024];
    int len = vsnprintf(line, sizeof line, format, args);
    if (len < 0)
        return (struct str){0};
    size_t n = (size_t)len < sizeof line ? (size_t)len : sizeof line - 1;
    return str_dup(arena, str_from(line, n));
}

static struct diag_pos *pos_copy(struct arena *arena, const struct diag_pos *pos)
{
    struct diag_pos *copy = ARENA_NEW(arena, struct diag_pos);
    if (copy == NULL)
        return NULL;
    *copy = *pos;
    copy->file = str_dup(arena, pos->file);
    copy->text = str_dup(arena, pos->text);
    if (pos->in != NULL)
        copy->in = pos_copy(arena, pos->in);
    return copy;
}

__attribute__((format(printf, 4, 0))) static void diag_add(struct diag *diag, enum diag_level level,
                                                           const struct diag_pos *pos,
                                                           const char *format, va_list args)
{
    unsigned *count = level == DIAG_ERROR     ? &diag->errors
                      : level == DIAG_WARNING ? &diag->warnings
                                              : &diag->notices;
    diag->hinted = NULL;
    if (++*count > ENTRIES_MAX)
        return;
    struct diag_entry *entry = ARENA_NEW(diag->arena, struct diag_entry);
    if (entry == NULL)
        return;
    entry->level = level;
    entry->message = format_in(diag->arena, format, args);
    struct diag_pos *copy = pos ? pos_copy(diag->arena, pos) : NULL;
    if (copy != NULL) {
        entry->pos = *copy;
        entry->has_pos = true;
    }
    if (diag->last)
        diag->last->next = entry;
    else
        diag->first = entry;
    diag->last = diag->hinted = entry;
}

void diag_error(struct diag *diag, const struct diag_pos *pos, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag_add(diag, DIAG_ERROR, pos, format, args);
    va_end(args);
}

void diag_warning(struct diag *diag, const struct diag_pos *pos, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag_add(diag, DIAG_WARNING, pos, format, args);
    va_end(args);
}

void diag_notice(struct diag *diag, const struct diag_pos *pos, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag_add(diag, DIAG_NOTICE, pos, format, args);
    va_end(args);
}

void diag_hint(struct diag *diag, const char *format, ...)
{
    if (diag->hinted == NULL)
        return;
    va_list args;
    va_start(args, format);
    diag->hinted->hint = format_in(diag->arena, format, args);
    va_end(args);
}

static const char *const level_names[] = {"error", "warning", "notice"};

/*
 * Part of the line as a terminal may see it: a tab as one space, a backslash as itself, what could
 * deceive escaped. Answers the columns it takes, so that the caret stands where it should.
 */
static size_t render_line(struct str part, struct text *out)
{
    size_t from = out->len;
    while (part.len != 0) {
        size_t len = utf8_length(part);
        struct str one = str_sub(part, 0, len ? len : 1);
        if (one.at[0] == '\t' || one.at[0] == '\\')
            text_add_byte(out, one.at[0] == '\t' ? ' ' : '\\');
        else
            text_add_escaped(out, one);
        part = str_skip(part, one.len);
    }
    return out->len < from ? 0 : utf8_count(str_skip(text_str(out), from));
}

/* Of a longer line only this much around the caret is shown: a pasted list, JSON in one line. */
#define LINE_SHOWN ((size_t)240)

/* The part to show, and where its first byte stands in the line. */
static struct str line_window(const struct diag_pos *pos, size_t *from)
{
    *from = 0;
    if (pos->text.len <= LINE_SHOWN)
        return pos->text;
    if (pos->column > LINE_SHOWN / 2)
        *from = pos->column - LINE_SHOWN / 2;
    while (*from < pos->text.len && (pos->text.at[*from] & 0xc0) == 0x80)
        ++*from; /* not in the middle of a letter */
    size_t end = *from + LINE_SHOWN < pos->text.len ? *from + LINE_SHOWN : pos->text.len;
    while (end < pos->text.len && (pos->text.at[end] & 0xc0) == 0x80)
        end++;
    return str_sub(pos->text, *from, end - *from);
}

static void render_caret(const struct diag_entry *entry, struct text *out, bool colour)
{
    const struct diag_pos *pos = &entry->pos;
    size_t from;
    struct str line = line_window(pos, &from);
    size_t column = pos->column > from ? pos->column - 1 - from : 0;
    text_printf(out, "    %5u | ", (unsigned)pos->line);
    size_t before = render_line(str_sub(line, 0, column), out);
    if (column > line.len)
        before += column - line.len;
    size_t under = render_line(str_sub(line, column, pos->width), out);
    render_line(str_skip(str_skip(line, column), pos->width), out);
    text_add_z(out, "\n          | ");
    while (before-- != 0)
        text_add_byte(out, ' ');
    text_add_z(out, colour ? "\033[1;32m^" : "^");
    for (size_t i = 1; i < under; i++)
        text_add_byte(out, '~');
    if (colour)
        text_add_z(out, "\033[0m");
    if (entry->hint.len) {
        text_add_byte(out, ' ');
        render_line(entry->hint, out);
    }
    text_add_byte(out, '\n');
}

void diag_render_entry(const struct diag_entry *entry, struct text *out, bool colour)
{
    if (entry->has_pos) {
        text_add_escaped(out, entry->pos.file);
        if (entry->pos.line)
            text_printf(out, ":%u:%u", (unsigned)entry->pos.line, (unsigned)entry->pos.column);
        text_add_z(out, ": ");
    }
    if (entry->level != DIAG_ERROR)
        text_printf(out, colour ? "\033[1;33m%s:\033[0m " : "%s: ", level_names[entry->level]);
    render_line(entry->message, out);
    text_add_byte(out, '\n');
    if (entry->has_pos && entry->pos.line)
        render_caret(entry, out, colour);
    else if (entry->hint.len) {
        text_add_z(out, "          = ");
        render_line(entry->hint, out);
        text_add_byte(out, '\n');
    }
    for (const struct diag_pos *in = entry->has_pos ? entry->pos.in : NULL; in; in = in->in) {
        text_add_z(out, "          included from ");
        text_add_escaped(out, in->file);
        text_printf(out, ":%u\n", (unsigned)in->line);
    }
}

void diag_render(const struct diag *diag, struct text *out, bool colour)
{
    for (const struct diag_entry *entry = diag->first; entry != NULL; entry = entry->next)
        diag_render_entry(entry, out, colour);
}

void diag_render_json(const struct diag *diag, struct text *out)
{
    text_add_byte(out, '[');
    for (const struct diag_entry *entry = diag->first; entry != NULL; entry = entry->next) {
        text_printf(out, "%s\n{\"level\":\"%s\"", entry == diag->first ? "" : ",",
                    level_names[entry->level]);
        if (entry->has_pos) {
            text_add_z(out, ",\"file\":");
            text_add_json(out, entry->pos.file);
            text_printf(out, ",\"line\":%u,\"column\":%u", (unsigned)entry->pos.line,
                        (unsigned)entry->pos.column);
        }
        text_add_z(out, ",\"message\":");
        text_add_json(out, entry->message);
        if (entry->hint.len) {
            text_add_z(out, ",\"hint\":");
            text_add_json(out, entry->hint);
        }
        text_add_byte(out, '}');
    }
    text_add_z(out, "]\n");
}
