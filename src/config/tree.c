#include "config/tree.h"

#include "base/arena.h"

#include <string.h>

/* One load: what all its files share. */
struct load {
    struct arena *arena;
    struct source_set *sources; /* NULL: one text, nothing is followed */
    struct diag *diag;
    struct word *words; /* of the statement being read */
    size_t words_room;
    unsigned files;
    bool out_of_memory;
};

/* One file of it. */
struct parser {
    struct load *load;
    struct lexer lexer;
    enum token token;          /* the one at hand */
    unsigned word_errors;      /* that it brought */
    const struct parser *from; /* the file whose `include` brought this one */
    size_t comments_at;        /* where the lines before the next statement begin */
    bool same_line;            /* a statement ended on the line at hand */
    struct str *comment;       /* who takes a comment at the end of this line, or NULL */
    struct str lost;           /* takes one whose statement found no memory */
};

static void *take(struct load *load, size_t bytes)
{
    void *at = arena_alloc(load->arena, bytes);
    if (at == NULL && !load->out_of_memory) {
        load->out_of_memory = true;
        diag_error(load->diag, NULL, "the configuration needs more memory than it may take");
    }
    return at;
}

static enum token advance(struct parser *p)
{
    unsigned errors = p->load->diag->errors;
    p->token = lexer_next(&p->lexer);
    p->word_errors = p->load->diag->errors - errors;
    if (p->token == TOKEN_NEWLINE) {
        if (p->same_line)
            p->comments_at = p->lexer.line_at;
        p->same_line = false;
        p->comment = NULL;
    } else if (p->token == TOKEN_COMMENT && p->comment != NULL) {
        *p->comment = p->lexer.word.raw;
        p->comment = NULL;
    }
    return p->token;
}

/* What stands from here to the end of the line belongs to the statement that ends here. */
static void end_here(struct parser *p, struct str *comment)
{
    p->same_line = true;
    p->comment = comment;
}

/* The lines since the last statement, if the token at hand begins a line of its own. */
static struct str comments_before(const struct parser *p, size_t line_at)
{
    if (p->same_line || line_at <= p->comments_at)
        return (struct str){0};
    return str_sub(p->lexer.bytes, p->comments_at, line_at - p->comments_at);
}

/* --- words --------------------------------------------------------------------------------------
 */

static bool keep_word(struct load *load, size_t count, const struct word *word)
{
    if (count == load->words_room) {
        size_t room = count ? count * 2 : 64;
        struct word *words = take(load, room * sizeof *words);
        if (words == NULL)
            return false;
        if (count)
            memcpy(words, load->words, count * sizeof *words);
        load->words = words;
        load->words_room = room;
    }
    load->words[count] = *word;
    return true;
}

/* The word at hand and those after it, up to what ends a statement's words. */
static size_t read_words(struct parser *p)
{
    size_t count = 0;
    while (p->token == TOKEN_WORD) {
        if (count == TREE_WORDS_MAX)
            diag_error(p->load->diag, &p->lexer.word.pos, "a statement of more than %d words",
                       TREE_WORDS_MAX);
        else if (count < TREE_WORDS_MAX && !keep_word(p->load, count, &p->lexer.word))
            break;
        count++;
        advance(p);
    }
    while (p->token == TOKEN_WORD) /* without memory: to the end all the same */
        advance(p);
    return count > TREE_WORDS_MAX ? TREE_WORDS_MAX : count;
}

/* NULL without memory. */
static struct statement *new_statement(struct parser *p)
{
    size_t line_at = p->lexer.line_at;
    struct str comments = comments_before(p, line_at);
    p->same_line = true;
    p->comment = NULL;
    unsigned errors = p->load->diag->errors - p->word_errors;
    size_t count = read_words(p);
    struct statement *statement = take(p->load, sizeof *statement);
    struct word *words = count ? take(p->load, count * sizeof *words) : NULL;
    if (statement == NULL || words == NULL)
        return NULL;
    memcpy(words, p->load->words, count * sizeof *words);
    *statement = (struct statement){.words = words, .count = count, .comments = comments};
    statement->broken = p->load->diag->errors != errors;
    return statement;
}

static void append(struct block *block, struct statement *statement)
{
    if (block->last)
        block->last->next = statement;
    else
        block->first = statement;
    block->last = statement;
}

/* --- blocks -------------------------------------------------------------------------------------
 */

static void parse_statements(struct parser *p, struct block *block, unsigned depth);
static void include(struct parser *p, const struct statement *statement, struct block *block,
                    unsigned depth);

/* Behind a `{` too deep to follow: to its `}`, without recursion. */
static void skip_block(struct parser *p)
{
    for (size_t open = 1; open != 0 && p->token != TOKEN_END;) {
        advance(p);
        open += p->token == TOKEN_OPEN;
        open -= p->token == TOKEN_CLOSE;
    }
}

/* The `{` is at hand; afterwards its `}` is behind us. */
static struct block *parse_block(struct parser *p, unsigned depth)
{
    struct block *block = take(p->load, sizeof *block);
    struct block lost = {0};
    struct block *into = block ? block : &lost;
    into->open = p->lexer.word.pos;
    if (depth == TREE_DEPTH_MAX) {
        diag_error(p->load->diag, &into->open, "blocks nest deeper than %d", TREE_DEPTH_MAX);
        skip_block(p);
    } else {
        end_here(p, &into->opening);
        advance(p);
        parse_statements(p, into, depth + 1);
        into->comments = comments_before(p, p->lexer.line_at);
    }
    into->close = p->lexer.word.pos;
    if (p->token == TOKEN_END) {
        diag_error(p->load->diag, &into->open, "'{' is never closed");
        diag_hint(p->load->diag, "a '}' is missing behind it");
    } else {
        end_here(p, NULL);
    }
    return block;
}

static bool is_include(const struct statement *statement)
{
    return statement->words[0].kind == WORD_BARE &&
           str_eq(statement->words[0].text, STR("include"));
}

static void parse_statement(struct parser *p, struct block *block, unsigned depth)
{
    struct statement *statement = new_statement(p);
    struct str *trailing = statement ? &statement->trailing : &p->lost;
    if (p->token == TOKEN_OPEN) {
        struct block *inner = parse_block(p, depth);
        if (statement)
            statement->block = inner;
        p->comment = trailing;
        if (p->token != TOKEN_END)
            advance(p);
    } else {
        if (p->token == TOKEN_COMMENT)
            *trailing = p->lexer.word.raw;
        else if (p->token == TOKEN_SEMICOLON)
            p->comment = trailing;
    }
    if (statement == NULL)
        return;
    if (p->load->sources != NULL && is_include(statement))
        include(p, statement, block, depth);
    else
        append(block, statement);
}

/* A `{` that begins a line belongs to the statement above, as most other languages have it. */
static void stray_open(struct parser *p, struct block *block, unsigned depth)
{
    diag_error(p->load->diag, &p->lexer.word.pos, "'{' stands on the line of its statement");
    bool orphan = block->last != NULL && block->last->block == NULL;
    if (orphan)
        diag_hint(p->load->diag, "write it at the end of line %u",
                  (unsigned)block->last->words[block->last->count - 1].pos.line);
    struct block *inner = parse_block(p, depth);
    if (orphan)
        block->last->block = inner;
    if (p->token != TOKEN_END)
        advance(p);
}

/* Up to the `}` of an enclosing block or the end of the file, which is then at hand. */
static void parse_statements(struct parser *p, struct block *block, unsigned depth)
{
    for (;;) {
        switch (p->token) {
        case TOKEN_WORD:
            parse_statement(p, block, depth);
            break;
        case TOKEN_OPEN:
            stray_open(p, block, depth);
            break;
        case TOKEN_CLOSE:
        case TOKEN_END:
            return;
        case TOKEN_SEMICOLON:
        case TOKEN_NEWLINE:
        case TOKEN_COMMENT:
            advance(p);
            break;
        }
    }
}

/* --- files --------------------------------------------------------------------------------------
 */

/* Statements of a JSON twin, their includes followed, to the end of `into`. */
static void take_over(struct parser *p, struct statement *first, struct block *into, unsigned depth)
{
    for (struct statement *s = first, *next; s != NULL; s = next) {
        next = s->next;
        s->next = NULL;
        if (p->load->sources != NULL && is_include(s)) {
            include(p, s, into, depth);
            continue;
        }
        append(into, s);
        if (s->block == NULL)
            continue;
        struct statement *inner = s->block->first;
        s->block->first = s->block->last = NULL;
        take_over(p, inner, s->block, depth + 1);
    }
}

static void parse_file(struct parser *p, struct str file, struct str bytes,
                       const struct diag_pos *in, struct block *block, unsigned depth)
{
    struct load *load = p->load;
    lexer_init(&p->lexer, load->arena, load->sources, load->diag, file, bytes, in);
    p->comments_at = p->lexer.line_at;
    if (twin_is(p->lexer.bytes)) {
        struct tree twin;
        if (twin_read(&twin, &p->lexer))
            take_over(p, twin.top.first, block, depth);
        block->comments = twin.top.comments;
        return;
    }
    advance(p);
    for (;;) {
        parse_statements(p, block, depth);
        if (p->token == TOKEN_END)
            break;
        diag_error(load->diag, &p->lexer.word.pos, "'}' closes nothing");
        end_here(p, NULL);
        advance(p);
    }
    block->comments = comments_before(p, p->lexer.bytes.len);
}

/* "a.conf -> b.conf -> a.conf" when `path` is among the files that brought us here. */
static bool tell_ring(const struct parser *p, struct str path, const struct diag_pos *pos)
{
    struct text ring = text_in(p->load->arena, 4096);
    text_add(&ring, path);
    for (const struct parser *at = p; at != NULL; at = at->from) {
        struct str behind = text_str(&ring);
        struct text longer = text_in(p->load->arena, 4096);
        text_add(&longer, at->lexer.line.file);
        text_add_z(&longer, " -> ");
        text_add(&longer, behind);
        ring = longer;
        if (str_eq(at->lexer.line.file, path)) {
            diag_error(p->load->diag, pos, "include goes in a ring: %.*s",
                       STR_ARG(text_str(&ring)));
            return true;
        }
    }
    return false;
}

static unsigned chain_length(const struct parser *p)
{
    unsigned length = 0;
    for (; p != NULL; p = p->from)
        length++;
    return length;
}

static void include_file(struct parser *p, struct str path, const struct diag_pos *pos,
                         struct block *block, unsigned depth)
{
    struct load *load = p->load;
    if (tell_ring(p, path, pos))
        return;
    if (chain_length(p) == TREE_DEPTH_MAX) {
        diag_error(load->diag, pos, "more than %d files include one another", TREE_DEPTH_MAX);
        return;
    }
    if (++load->files > TREE_FILES_MAX) {
        if (load->files == TREE_FILES_MAX + 1)
            diag_error(load->diag, pos, "more than %d files", TREE_FILES_MAX);
        return;
    }
    const struct source *source = source_get(load->sources, SOURCE_CONF, path);
    if (source == NULL || source->why.len != 0) {
        struct str why = source ? source->why : STR("no memory");
        diag_error(load->diag, pos, "cannot read '%.*s': %.*s", STR_ARG(path), STR_ARG(why));
        return;
    }
    struct parser inner = {.load = load, .from = p};
    parse_file(&inner, source->name, source->bytes, pos, block, depth);
}

/* Relative to the folder of the file that says it. */
static struct str beside(struct arena *arena, struct str file, struct str path)
{
    size_t slash = file.len;
    while (slash != 0 && file.at[slash - 1] != '/')
        slash--;
    if (slash == 0 || str_starts(path, STR("/")))
        return path;
    return str_printf(arena, "%.*s%.*s", (int)slash, file.at, STR_ARG(path));
}

static bool is_glob(struct str path)
{
    for (size_t i = 0; i < path.len; i++)
        if (strchr("*?[", path.at[i]) != NULL && path.at[i] != '\0')
            return true;
    return false;
}

static void include(struct parser *p, const struct statement *statement, struct block *block,
                    unsigned depth)
{
    struct load *load = p->load;
    const struct diag_pos *pos = &statement->words[statement->count - 1].pos;
    if (statement->count != 2 || statement->block != NULL) {
        diag_error(load->diag, pos, "include takes one path or pattern");
        diag_hint(load->diag, "include sites/*.conf");
        return;
    }
    struct str path = beside(load->arena, p->lexer.line.file, statement->words[1].text);
    if (!is_glob(path)) {
        include_file(p, path, pos, block, depth);
        return;
    }
    const struct source *list = source_glob(load->sources, path);
    if (list == NULL || list->why.len != 0) {
        struct str why = list ? list->why : STR("no memory");
        diag_error(load->diag, pos, "cannot look for '%.*s': %.*s", STR_ARG(path), STR_ARG(why));
        return;
    }
    struct str rest = list->bytes;
    struct str name;
    while (str_split(&rest, '\n', &name))
        include_file(p, name, pos, block, depth);
}

bool tree_parse(struct tree *tree, struct arena *arena, struct source_set *sources, struct str path,
                struct diag *diag)
{
    unsigned before = diag->errors;
    *tree = (struct tree){0};
    const struct source *source = source_get(sources, SOURCE_CONF, path);
    if (source == NULL || source->why.len != 0) {
        struct str why = source ? source->why : STR("no memory");
        struct diag_pos pos = {.file = path};
        diag_error(diag, &pos, "cannot be read: %.*s", STR_ARG(why));
        return false;
    }
    struct load load = {.arena = arena, .sources = sources, .diag = diag, .files = 1};
    struct parser p = {.load = &load};
    parse_file(&p, source->name, source->bytes, NULL, &tree->top, 0);
    return diag->errors == before;
}

bool tree_parse_text(struct tree *tree, struct arena *arena, struct str path, struct str bytes,
                     struct diag *diag)
{
    unsigned before = diag->errors;
    *tree = (struct tree){0};
    struct load load = {.arena = arena, .diag = diag, .files = 1};
    struct parser p = {.load = &load};
    parse_file(&p, path, bytes, NULL, &tree->top, 0);
    return diag->errors == before;
}
