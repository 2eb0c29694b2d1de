#include "config/twin.h"

#include "base/arena.h"
#include "config/json.h"

#include <string.h>

/* --- writing ------------------------------------------------------------------------------------
 */

/* A new line of JSON, two spaces a level. */
static void new_line(struct text *out, unsigned level)
{
    text_add_byte(out, '\n');
    for (unsigned i = 0; i < level; i++)
        text_add_z(out, "  ");
}

/* In '…' a ${ is literal, elsewhere it is so behind a $. */
static void add_literal_braces(struct text *out, struct str s)
{
    size_t at;
    while ((at = str_find(s, STR("${"))) != SIZE_MAX) {
        text_add(out, str_sub(s, 0, at));
        text_add_z(out, "$${");
        s = str_skip(s, at + 2);
    }
    text_add(out, s);
}

static void print_word(const struct word *word, struct arena *scratch, struct text *out)
{
    struct str text = word->text;
    if (word->kind == WORD_SINGLE && str_find(text, STR("${")) != SIZE_MAX) {
        struct text longer = text_in(scratch, 3 * text.len);
        add_literal_braces(&longer, text);
        text = text_str(&longer);
    }
    bool looks_like_arrow = word->kind != WORD_ARROW && str_eq(text, STR("->"));
    text_add_z(out, looks_like_arrow ? "{\"text\": " : "");
    text_add_json(out, text);
    text_add_z(out, looks_like_arrow ? "}" : "");
}

/* `, "comments": ["# …", ""]`, if there are any. */
static void print_comments(const char *key, struct str region, struct text *out)
{
    struct str line;
    bool any = false;
    while (str_split(&region, '\n', &line)) {
        while (line.len && strchr(" \t\r", line.at[line.len - 1]))
            line.len--;
        bool blank = line.len == 0;
        while (line.len && strchr(" \t;\\", line.at[0]))
            line = str_skip(line, 1);
        if (!blank && (line.len == 0 || line.at[0] != '#'))
            continue;
        text_printf(out, any ? ", " : "\"%s\": [", key);
        text_add_json(out, line);
        any = true;
    }
    if (any)
        text_add_z(out, "], ");
}

static void print_comment(const char *key, struct str comment, struct text *out)
{
    if (comment.len == 0)
        return;
    text_printf(out, ", \"%s\": ", key);
    text_add_json(out, comment);
}

static void print_block(const struct block *block, unsigned level, struct arena *scratch,
                        struct text *out);

static void print_statement(const struct statement *s, unsigned level, struct arena *scratch,
                            struct text *out)
{
    new_line(out, level);
    text_printf(out, "{\"line\": %u, ", (unsigned)s->words[0].pos.line);
    print_comments("comments", s->comments, out);
    text_add_z(out, "\"words\": [");
    for (size_t i = 0; i < s->count; i++) {
        text_add_z(out, i ? ", " : "");
        print_word(&s->words[i], scratch, out);
    }
    text_add_byte(out, ']');
    print_comment("comment", s->trailing, out);
    if (s->block != NULL) {
        print_comment("opening", s->block->opening, out);
        text_add_z(out, ", ");
        print_comments("closing", s->block->comments, out);
        if (s->block->open.line == s->block->close.line)
            text_add_z(out, "\"inline\": true, ");
        text_add_z(out, "\"block\": ");
        print_block(s->block, level, scratch, out);
    }
    text_add_byte(out, '}');
}

static void print_block(const struct block *block, unsigned level, struct arena *scratch,
                        struct text *out)
{
    text_add_byte(out, '[');
    for (const struct statement *s = block->first; s != NULL; s = s->next) {
        print_statement(s, level + 1, scratch, out);
        if (s->next)
            text_add_byte(out, ',');
    }
    if (block->first)
        new_line(out, level);
    text_add_byte(out, ']');
}

void twin_print(const struct tree *tree, struct text *out)
{
    struct arena *scratch = arena_new(64 << 20, 4096);
    if (scratch == NULL) {
        out->cut = true;
        return;
    }
    text_add_z(out, "{\"portcullis\": 1, ");
    print_comments("closing", tree->top.comments, out);
    text_add_z(out, "\"statements\": ");
    print_block(&tree->top, 0, scratch, out);
    text_add_z(out, "}\n");
    arena_end(scratch);
}

/* --- reading ------------------------------------------------------------------------------------
 */

bool twin_is(struct str bytes)
{
    if (str_starts(bytes, STR("\xef\xbb\xbf")))
        bytes = str_skip(bytes, 3);
    while (bytes.len != 0 && strchr(" \t\r\n", bytes.at[0]) != NULL)
        bytes = str_skip(bytes, 1);
    return str_starts(bytes, STR("{"));
}

struct twin {
    struct lexer *lexer;
    struct arena *arena;
    struct diag *diag;
    unsigned depth;       /* of blocks */
    struct diag_pos line; /* of the value asked for last: they come in order */
    size_t line_at;
};

static struct diag_pos position(struct twin *t, size_t at, size_t len)
{
    struct str bytes = t->lexer->bytes;
    if (at < t->line_at || t->line.line == 0) {
        t->line_at = 0;
        t->line.line = 1;
    }
    size_t next;
    while ((next = str_find_byte(str_skip(bytes, t->line_at), '\n')) != SIZE_MAX &&
           t->line_at + next < at) {
        t->line_at += next + 1;
        t->line.line++;
    }
    struct diag_pos pos = t->line;
    struct str rest = str_skip(bytes, t->line_at);
    pos.text = str_sub(rest, 0, str_find_byte(rest, '\n'));
    pos.column = (uint32_t)(at - t->line_at) + 1;
    pos.width = len ? (uint32_t)len : 1;
    return pos;
}

static bool refuse(struct twin *t, const struct json *value, const char *why)
{
    struct diag_pos pos = position(t, value->at, value->len);
    diag_error(t->diag, &pos, "%s", why);
    return false;
}

static bool check_keys(struct twin *t, const struct json *object, const char *const *keys)
{
    bool fine = true;
    for (const struct json *member = object->first; member != NULL; member = member->next) {
        const char *const *key = keys;
        while (*key != NULL && !str_eq(member->key, str_from_z(*key)))
            key++;
        if (*key != NULL)
            continue;
        struct diag_pos pos = position(t, member->at, member->len);
        diag_error(t->diag, &pos, "unknown key '%.*s'", STR_ARG(member->key));
        fine = false;
    }
    return fine;
}

/* Words hold what a file may hold: no control bytes but TAB and LF. */
static bool is_writable(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            return false;
    }
    return str_find(s, STR("\xef\xbb\xbf")) == SIZE_MAX;
}

static bool read_word(struct twin *t, const struct json *value, struct word *word)
{
    const struct json *string = value;
    if (value->kind == JSON_OBJECT && value->first != NULL && value->first->next == NULL)
        string = json_get(value, STR("text"));
    if (string == NULL || string->kind != JSON_STRING)
        return refuse(t, value, "a word is a string");
    if (!is_writable(string->text))
        return refuse(t, value, "a word holds no control bytes");
    word->pos = position(t, string->at, string->len);
    if (string == value && str_eq(string->text, STR("->")))
        word->kind = WORD_ARROW;
    else
        word->kind = string == value ? WORD_BARE : WORD_DOUBLE;
    word->text = lexer_expand(t->lexer, string->text, &word->pos);
    return true;
}

/* One line of comment, or empty. */
static bool read_comment(struct twin *t, const struct json *value, struct str *comment)
{
    if (value == NULL)
        return true;
    if (value->kind != JSON_STRING ||
        (value->text.len != 0 && (value->text.at[0] != '#' || !is_writable(value->text) ||
                                  str_find_byte(value->text, '\n') != SIZE_MAX)))
        return refuse(t, value, "a comment is one line that begins with '#'");
    *comment = value->text;
    return true;
}

/* Lines of comment as the region of a text file. */
static bool read_comments(struct twin *t, const struct json *array, struct str *region)
{
    if (array == NULL)
        return true;
    if (array->kind != JSON_ARRAY)
        return refuse(t, array, "comments are an array of lines");
    struct text out = text_in(t->arena, t->lexer->bytes.len + 1);
    for (const struct json *line = array->first; line != NULL; line = line->next) {
        struct str comment = {0};
        if (!read_comment(t, line, &comment))
            return false;
        text_add(&out, comment);
        text_add_byte(&out, '\n');
    }
    *region = text_str(&out);
    return true;
}

static bool read_statements(struct twin *t, const struct json *array, struct block *block);

static bool read_words(struct twin *t, const struct json *array, struct statement *statement)
{
    size_t count = 0;
    for (const struct json *value = array->first; value != NULL; value = value->next)
        count++;
    if (count == 0)
        return refuse(t, array, "a statement has at least one word");
    statement->words = arena_array(t->arena, count, sizeof *statement->words);
    if (statement->words == NULL)
        return refuse(t, array, "the configuration needs more memory than it may take");
    bool fine = true;
    statement->count = count;
    size_t i = 0;
    for (const struct json *value = array->first; value != NULL; value = value->next)
        fine = read_word(t, value, &statement->words[i++]) && fine;
    return fine;
}

static bool read_block(struct twin *t, const struct json *object, const struct json *array,
                       struct statement *statement)
{
    struct block *block = ARENA_NEW(t->arena, struct block);
    const struct json *inline_flag = json_get(object, STR("inline"));
    if (block == NULL)
        return refuse(t, array, "the configuration needs more memory than it may take");
    if (t->depth == TWIN_DEPTH_MAX)
        return refuse(t, array, "blocks nest too deep");
    t->depth++;
    block->open = position(t, array->at, 1);
    bool fine = read_comment(t, json_get(object, STR("opening")), &block->opening);
    fine = read_comments(t, json_get(object, STR("closing")), &block->comments) && fine;
    fine = read_statements(t, array, block) && fine;
    block->close = block->open;
    if (inline_flag == NULL || inline_flag->kind != JSON_TRUE)
        block->close.line++; /* on lines of its own when it is printed */
    statement->block = block;
    t->depth--;
    return fine;
}

static bool read_statement(struct twin *t, const struct json *object, struct statement *statement)
{
    static const char *const keys[] = {"line",    "comments", "words", "comment", "opening",
                                       "closing", "inline",   "block", NULL};
    if (object->kind != JSON_OBJECT)
        return refuse(t, object, "a statement is an object");
    const struct json *words = json_get(object, STR("words"));
    const struct json *block = json_get(object, STR("block"));
    bool fine = check_keys(t, object, keys);
    if (words == NULL || words->kind != JSON_ARRAY)
        return refuse(t, object, "a statement has \"words\", an array of strings");
    if (block != NULL && block->kind != JSON_ARRAY)
        return refuse(t, block, "a block is an array of statements");
    fine = read_words(t, words, statement) && fine;
    fine = read_comments(t, json_get(object, STR("comments")), &statement->comments) && fine;
    fine = read_comment(t, json_get(object, STR("comment")), &statement->trailing) && fine;
    return (block == NULL || read_block(t, object, block, statement)) && fine;
}

static bool read_statements(struct twin *t, const struct json *array, struct block *block)
{
    bool fine = true;
    for (const struct json *value = array->first; value != NULL; value = value->next) {
        struct statement *statement = ARENA_NEW(t->arena, struct statement);
        if (statement == NULL)
            return refuse(t, value, "the configuration needs more memory than it may take");
        if (!read_statement(t, value, statement)) {
            fine = false;
            continue;
        }
        if (block->last)
            block->last->next = statement;
        else
            block->first = statement;
        block->last = statement;
    }
    return fine;
}

bool twin_read(struct tree *tree, struct lexer *lexer)
{
    static const char *const keys[] = {"portcullis", "statements", "closing", "$schema", NULL};
    struct twin t = {.lexer = lexer, .arena = lexer->arena, .diag = lexer->diag};
    t.line = (struct diag_pos){.file = lexer->line.file, .in = lexer->line.in};
    const char *why;
    size_t at;
    *tree = (struct tree){0};
    const struct json *top = json_read(t.arena, lexer->bytes, &why, &at);
    if (top == NULL) {
        struct diag_pos pos = position(&t, at, 1);
        diag_error(t.diag, &pos, "JSON: %s", why);
        return false;
    }
    const struct json *version = json_get(top, STR("portcullis"));
    const struct json *statements = json_get(top, STR("statements"));
    if (version == NULL || !str_eq(version->text, STR("1")))
        return refuse(&t, top, "the twin of a configuration says \"portcullis\": 1");
    if (statements == NULL || statements->kind != JSON_ARRAY)
        return refuse(&t, top, "\"statements\" is an array of statements");
    bool fine = check_keys(&t, top, keys);
    fine = read_comments(&t, json_get(top, STR("closing")), &tree->top.comments) && fine;
    return read_statements(&t, statements, &tree->top) && fine;
}
