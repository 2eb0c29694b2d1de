/*
 * The canonical layout: four spaces a level, one space between words, arrows of neighbouring routes
 * and comments of neighbouring lines under each other, runs of blank lines as one. A block that
 * stood on one line stays on one line, a `\` at a line's end stays where it was, words keep their
 * quotes. The text printed is its own canonical layout.
 */
#include "base/arena.h"
#include "base/utf8.h"
#include "config/tree.h"

#include <string.h>

/* Line texts while they wait for their neighbours. */
#define SCRATCH_BYTES_MAX ((size_t)256 * 1024 * 1024)
/* A pattern wider than this stands by itself: it would push all its neighbours to the right. */
#define ARROW_COLUMN_MAX 40
#define LINE_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct line {
    struct str text; /* with its indent */
    struct str comment;
};

struct printer {
    struct arena *arena;
    struct line *lines;
    size_t count, room;
    bool blank;   /* one waits for the next line */
    bool opening; /* at the start of a file or block, where none is wanted */
    bool failed;
};

/* --- lines --------------------------------------------------------------------------------------
 */

static void add_raw_line(struct printer *p, struct str text, struct str comment)
{
    if (p->count == p->room) {
        size_t room = p->room ? p->room * 2 : 256;
        struct line *lines = arena_array(p->arena, room, sizeof *lines);
        if (lines == NULL) {
            p->failed = true;
            return;
        }
        if (p->count)
            memcpy(lines, p->lines, p->count * sizeof *lines);
        p->lines = lines;
        p->room = room;
    }
    p->lines[p->count++] = (struct line){.text = text, .comment = comment};
}

static void add_line(struct printer *p, struct str text, struct str comment)
{
    if (p->blank && !p->opening)
        add_raw_line(p, (struct str){0}, (struct str){0});
    p->blank = p->opening = false;
    add_raw_line(p, text, comment);
}

static void indent(struct text *text, unsigned level)
{
    for (unsigned i = 0; i < level; i++)
        text_add_z(text, "    ");
}

/* Whole lines of comment and blank lines; what else stands there (`;`, a `\`) says nothing. */
static void add_comments(struct printer *p, struct str region, unsigned level)
{
    struct str line;
    while (str_split(&region, '\n', &line)) {
        while (line.len && strchr(" \t\r", line.at[line.len - 1]))
            line.len--;
        if (line.len == 0)
            p->blank = true;
        while (line.len && strchr(" \t;\\", line.at[0]))
            line = str_skip(line, 1);
        if (line.len == 0 || line.at[0] != '#')
            continue;
        struct text text = text_in(p->arena, LINE_BYTES_MAX);
        indent(&text, level);
        text_add(&text, line);
        add_line(p, text_str(&text), (struct str){0});
    }
}

/* --- words --------------------------------------------------------------------------------------
 */

/* Would the lexer read it as one bare word with this very text? */
static bool may_be_bare(struct str s)
{
    if (s.len == 0 || s.at[0] == '#' || s.at[s.len - 1] == '\\' ||
        str_find(s, STR("->")) != SIZE_MAX || str_find(s, STR("${")) != SIZE_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] <= ' ' || strchr("{};\"'", s.at[i]) != NULL)
            return false;
    return true;
}

/* '…' where it saves escapes and can hold the text. */
static void add_quoted(struct text *text, struct str s)
{
    bool escapes = str_find_byte(s, '\\') != SIZE_MAX || str_find_byte(s, '"') != SIZE_MAX;
    if (escapes && str_find_byte(s, '\'') == SIZE_MAX && str_find_byte(s, '\n') == SIZE_MAX &&
        str_find(s, STR("${")) == SIZE_MAX) {
        text_add_byte(text, '\'');
        text_add(text, s);
        text_add_byte(text, '\'');
        return;
    }
    text_add_byte(text, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '\n') {
            text_add_z(text, "\\n");
            continue;
        }
        if (s.at[i] == '"' || s.at[i] == '\\')
            text_add_byte(text, '\\');
        text_add_byte(text, s.at[i]);
    }
    text_add_byte(text, '"');
}

static void add_word(struct text *text, const struct word *word)
{
    if (word->raw.len != 0)
        text_add(text, word->raw);
    else if (word->kind == WORD_ARROW || may_be_bare(word->text))
        text_add(text, word->text);
    else
        add_quoted(text, word->text);
}

static size_t arrow_at(const struct statement *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->words[i].kind == WORD_ARROW)
            return i;
    return 0;
}

/* A `\` stood before this word. In a tree from JSON lines mean nothing. */
static bool is_after_join(const struct word *word, const struct word *before)
{
    return word->raw.len != 0 && word->pos.line != before->pos.line;
}

/* Columns that the words before the arrow take; 0: no arrow to put under others. */
static size_t arrow_width(const struct statement *s)
{
    size_t width = 0;
    size_t arrow = arrow_at(s);
    if (arrow == 0 || is_after_join(&s->words[s->count - 1], &s->words[0]))
        return 0;
    for (size_t i = 0; i < arrow; i++) {
        char memory[256];
        struct text word = text_over(memory, sizeof memory);
        add_word(&word, &s->words[i]);
        width += utf8_count(text_str(&word)) + 1;
    }
    return width > ARROW_COLUMN_MAX ? 0 : width;
}

/* Appends the words; a join ends the line at hand and begins another, one level deeper. */
static void add_words(struct printer *p, struct text *text, const struct statement *s,
                      unsigned level, size_t column)
{
    size_t width = column ? arrow_width(s) : 0;
    for (size_t i = 0; i < s->count; i++) {
        if (i != 0 && is_after_join(&s->words[i], &s->words[i - 1])) {
            text_add_z(text, " \\");
            add_line(p, text_str(text), (struct str){0});
            *text = text_in(p->arena, LINE_BYTES_MAX);
            indent(text, level + 1);
        } else if (i != 0) {
            text_add_byte(text, ' ');
        }
        if (s->words[i].kind == WORD_ARROW && width != 0)
            for (; width < column; width++)
                text_add_byte(text, ' ');
        add_word(text, &s->words[i]);
    }
}

/* --- statements ---------------------------------------------------------------------------------
 */

static void print_block(struct printer *p, const struct block *block, unsigned level);

/* JSON may ask for one line where a comment forbids it. */
static bool has_comment(const struct block *block)
{
    if (block->opening.len != 0 || block->comments.len != 0)
        return true;
    for (const struct statement *s = block->first; s != NULL; s = s->next)
        if (s->comments.len != 0 || s->trailing.len != 0 ||
            (s->block != NULL && has_comment(s->block)))
            return true;
    return false;
}

static bool on_one_line(const struct block *block)
{
    return block->open.line == block->close.line && !has_comment(block);
}

/* ` { a; b }` */
static void add_inline_block(struct printer *p, struct text *text, const struct block *block)
{
    text_add_z(text, block->first ? " { " : " { }");
    for (const struct statement *s = block->first; s != NULL; s = s->next) {
        add_words(p, text, s, 0, 0);
        if (s->block != NULL)
            add_inline_block(p, text, s->block);
        text_add_z(text, s->next ? "; " : " }");
    }
}

static void print_statement(struct printer *p, const struct statement *s, unsigned level,
                            size_t column)
{
    struct text text = text_in(p->arena, LINE_BYTES_MAX);
    add_comments(p, s->comments, level);
    indent(&text, level);
    add_words(p, &text, s, level, column);
    if (s->block == NULL) {
        add_line(p, text_str(&text), s->trailing);
    } else if (on_one_line(s->block)) {
        add_inline_block(p, &text, s->block);
        add_line(p, text_str(&text), s->trailing);
    } else {
        text_add_z(&text, " {");
        add_line(p, text_str(&text), s->block->opening);
        print_block(p, s->block, level + 1);
        struct text close = text_in(p->arena, LINE_BYTES_MAX);
        indent(&close, level);
        text_add_byte(&close, '}');
        p->blank = false;
        add_line(p, text_str(&close), s->trailing);
    }
}

static bool has_blank_line(struct str region)
{
    struct str line;
    while (str_split(&region, '\n', &line))
        if (str_trim(line).len == 0 || str_eq(line, STR("\r")))
            return true;
    return false;
}

/* The column of the arrows of `s` and its neighbours below, up to a blank line or another kind. */
static size_t column_of_run(const struct statement *s, const struct statement **end)
{
    size_t column = 0;
    for (bool first = true; s != NULL; s = s->next, first = false) {
        if (arrow_at(s) == 0 || (!first && has_blank_line(s->comments)))
            break;
        size_t width = arrow_width(s);
        if (width > column)
            column = width;
    }
    *end = s;
    return column;
}

static void print_block(struct printer *p, const struct block *block, unsigned level)
{
    p->opening = true;
    p->blank = false;
    const struct statement *s = block->first;
    while (s != NULL) {
        const struct statement *end;
        size_t column = column_of_run(s, &end);
        if (end == s)
            end = s->next;
        for (; s != end; s = s->next)
            print_statement(p, s, level, column);
    }
    add_comments(p, block->comments, level);
    p->opening = false;
}

/* --- the whole ----------------------------------------------------------------------------------
 */

/* Comments of neighbouring lines begin in one column, two behind the longest of these lines. */
static size_t print_run(const struct printer *p, size_t from, struct text *out)
{
    size_t end = from;
    size_t column = 0;
    for (; end < p->count && p->lines[end].comment.len != 0; end++) {
        size_t width = utf8_count(p->lines[end].text);
        if (width > column)
            column = width;
    }
    for (size_t i = from; i < end; i++) {
        text_add(out, p->lines[i].text);
        for (size_t at = utf8_count(p->lines[i].text); at < column + 2; at++)
            text_add_byte(out, ' ');
        text_add(out, p->lines[i].comment);
        text_add_byte(out, '\n');
    }
    return end;
}

void tree_print(const struct tree *tree, struct text *out)
{
    struct arena *arena = arena_new(SCRATCH_BYTES_MAX, 65536);
    struct printer p = {.arena = arena, .failed = arena == NULL};
    if (arena != NULL)
        print_block(&p, &tree->top, 0);
    for (size_t i = 0; i < p.count && !p.failed;) {
        if (p.lines[i].comment.len != 0) {
            i = print_run(&p, i, out);
        } else {
            text_add(out, p.lines[i++].text);
            text_add_byte(out, '\n');
        }
    }
    out->cut |= p.failed;
    arena_end(arena);
}
