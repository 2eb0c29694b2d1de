#include "config/lexer.h"

#include "base/text.h"
#include "base/utf8.h"

#include <string.h>

/* A quoted word with more than this was meant to end much earlier. */
#define WORD_BYTES_MAX ((size_t)1024 * 1024)

/* --- bytes no configuration may hold ------------------------------------------------------------
 */

static bool is_bom(struct str s)
{
    return str_starts(s, STR("\xef\xbb\xbf"));
}

static void complain_of_byte(struct lexer *lexer, struct diag_pos *pos, struct str rest)
{
    unsigned char c = rest.at == NULL ? 0 : (unsigned char)rest.at[0];
    pos->width = 1;
    if (is_bom(rest)) {
        pos->width = 3;
        diag_error(lexer->diag, pos, "byte order mark in the middle of the text");
    } else if (c >= 0x80) {
        diag_error(lexer->diag, pos, "byte 0x%02x is not UTF-8", c);
    } else if (c == '\r') {
        diag_error(lexer->diag, pos, "carriage return that ends no line");
    } else {
        diag_error(lexer->diag, pos, "control byte 0x%02x", c);
        if (c == 0)
            diag_hint(lexer->diag, "is this a text file?");
    }
}

/* The first complaint of each line is enough. */
static void check_line(struct lexer *lexer, const struct diag_pos *line)
{
    struct str text = line->text;
    for (size_t i = 0; i < text.len;) {
        unsigned char c = (unsigned char)text.at[i];
        size_t step = 1;
        bool bad = (c < 0x20 && c != '\t') || c == 0x7f;
        if (c >= 0x80) {
            step = utf8_length(str_skip(text, i));
            bad = step == 0 || is_bom(str_skip(text, i));
        }
        if (bad) {
            struct diag_pos pos = *line;
            pos.column = (uint32_t)i + 1;
            complain_of_byte(lexer, &pos, str_skip(text, i));
            return;
        }
        i += step;
    }
}

/* Printable ASCII, TAB and LF need no closer look; eight bytes are judged at once. */
static bool all_plain(struct str s)
{
    bool odd = false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        odd |= (c < 0x20 && c != '\t' && c != '\n') || c >= 0x7f;
    }
    return !odd;
}

/* --- lines --------------------------------------------------------------------------------------
 */

static void begin_line(struct lexer *lexer, size_t at)
{
    struct str rest = str_skip(lexer->bytes, at);
    size_t len = str_find_byte(rest, '\n');
    if (len == SIZE_MAX)
        len = rest.len;
    if (len != 0 && len < rest.len && rest.at[len - 1] == '\r')
        len--;
    lexer->line_at = lexer->at = at;
    lexer->line.line++;
    lexer->line.text = str_sub(rest, 0, len);
}

void lexer_init(struct lexer *lexer, struct arena *arena, struct source_set *sources,
                struct diag *diag, struct str file, struct str bytes, const struct diag_pos *in)
{
    *lexer = (struct lexer){.arena = arena, .sources = sources, .diag = diag, .bytes = bytes};
    if (is_bom(bytes))
        lexer->bytes = str_skip(bytes, 3);
    lexer->line = (struct diag_pos){.file = file, .in = in};
    begin_line(lexer, 0);
    if (all_plain(lexer->bytes))
        return;
    for (;;) {
        check_line(lexer, &lexer->line);
        size_t end = str_find_byte(str_skip(lexer->bytes, lexer->line_at), '\n');
        if (end == SIZE_MAX)
            break;
        begin_line(lexer, lexer->line_at + end + 1);
    }
    lexer->line.line = 0;
    begin_line(lexer, 0);
}

static size_t line_end(const struct lexer *lexer)
{
    return lexer->line_at + lexer->line.text.len;
}

/* Steps over the end of the line, LF or CRLF. */
static void next_line(struct lexer *lexer)
{
    size_t at = line_end(lexer);
    if (at < lexer->bytes.len && lexer->bytes.at[at] == '\r')
        at++;
    begin_line(lexer, at + 1);
}

static bool at_last_line(const struct lexer *lexer)
{
    size_t at = line_end(lexer);
    return at == lexer->bytes.len;
}

static struct diag_pos position(const struct lexer *lexer, size_t from, size_t to)
{
    struct diag_pos pos = lexer->line;
    pos.column = (uint32_t)(from - lexer->line_at) + 1;
    pos.width = to > from ? (uint32_t)(to - from) : 1;
    return pos;
}

/* --- what a word means --------------------------------------------------------------------------
 */

static void add_escape(struct lexer *lexer, char c, size_t at, struct text *out)
{
    switch (c) {
    case 'n':
        text_add_byte(out, '\n');
        return;
    case 't':
        text_add_byte(out, '\t');
        return;
    case '"':
    case '\\':
        text_add_byte(out, c);
        return;
    default:
        break;
    }
    struct diag_pos pos = position(lexer, at, at + 2);
    diag_error(lexer->diag, &pos, "unknown escape '\\%c' in \"…\"", c);
    diag_hint(lexer->diag,
              "'…' takes every character as it is; here \\\" \\\\ \\n \\t stand alone");
}

/* The escapes of "…". They bring no `$` or `{`, so ${} may be looked for afterwards. */
static struct str unescape(struct lexer *lexer, struct str body, size_t base)
{
    if (str_find_byte(body, '\\') == SIZE_MAX)
        return body;
    struct text out = text_in(lexer->arena, body.len);
    for (size_t i = 0; i < body.len; i++) {
        if (body.at[i] == '\\' && i + 1 < body.len) {
            add_escape(lexer, body.at[i + 1], base + i, &out);
            i++;
        } else {
            text_add_byte(&out, body.at[i]);
        }
    }
    return text_str(&out);
}

/* A value from outside may hold line ends, as "\n" may, but nothing else a file may not hold. */
static bool value_is_clean(struct str value)
{
    for (size_t i = 0; i < value.len;) {
        unsigned char c = (unsigned char)value.at[i];
        size_t step = utf8_length(str_skip(value, i));
        if (step == 0 || (c < 0x20 && c != '\t' && c != '\n') || c == 0x7f)
            return false;
        i += step;
    }
    return true;
}

static bool is_env_name(struct str name)
{
    if (name.len == 0 || char_is_digit(name.at[0]))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!char_is_alpha(name.at[i]) && !char_is_digit(name.at[i]) && name.at[i] != '_')
            return false;
    return true;
}

/* `inside` is what stands between the braces. */
static void add_env(struct lexer *lexer, struct str inside, const struct diag_pos *pos,
                    struct text *out)
{
    size_t dash = str_find(inside, STR(":-"));
    struct str name = str_sub(inside, 0, dash);
    if (!is_env_name(name)) {
        diag_error(lexer->diag, pos, "'%.*s' is no name of an environment variable", STR_ARG(name));
        diag_hint(lexer->diag, "${NAME} or ${NAME:-default}; a literal ${ is $${");
        return;
    }
    const struct source *value = source_env(lexer->sources, name);
    if (value != NULL && value->why.len == 0) {
        if (!value_is_clean(value->bytes))
            diag_error(lexer->diag, pos, "the value of ${%.*s} has control bytes or is not UTF-8",
                       STR_ARG(name));
        text_add(out, value->bytes);
    } else if (dash != SIZE_MAX) {
        text_add(out, str_skip(inside, dash + 2));
    } else {
        diag_error(lexer->diag, pos, "the environment has no variable %.*s", STR_ARG(name));
        diag_hint(lexer->diag, "set it, or write ${%.*s:-default}", STR_ARG(name));
    }
}

/* `pos` is of the whole text; where `exact`, its bytes stand so in the line. */
static size_t add_braces(struct lexer *lexer, struct str text, size_t i, struct diag_pos pos,
                         bool exact, struct text *out)
{
    size_t end = str_find_byte(str_skip(text, i), '}');
    if (exact) {
        pos.column += (uint32_t)i;
        pos.width = end == SIZE_MAX ? 2 : (uint32_t)end + 1;
    }
    if (end == SIZE_MAX) {
        diag_error(lexer->diag, &pos, "'${' has no '}' in its word");
        diag_hint(lexer->diag, "${NAME} or ${NAME:-default}; a literal ${ is $${");
        return text.len;
    }
    add_env(lexer, str_sub(text, i + 2, end - 2), &pos, out);
    return i + end + 1;
}

/* ${…} and $${. Nothing is looked at twice, so a value never brings new braces. */
static struct str expand(struct lexer *lexer, struct str text, const struct diag_pos *pos,
                         bool exact)
{
    if (lexer->sources == NULL || str_find(text, STR("${")) == SIZE_MAX)
        return text;
    struct text out = text_in(lexer->arena, WORD_BYTES_MAX);
    for (size_t i = 0; i < text.len;) {
        struct str rest = str_skip(text, i);
        if (str_starts(rest, STR("$${"))) {
            text_add(&out, STR("${"));
            i += 3;
        } else if (str_starts(rest, STR("${"))) {
            i = add_braces(lexer, text, i, *pos, exact, &out);
        } else {
            text_add_byte(&out, rest.at[0]);
            i++;
        }
    }
    if (!text_ok(&out))
        diag_error(lexer->diag, pos, "a word of more than %zu bytes", WORD_BYTES_MAX);
    return text_str(&out);
}

struct str lexer_expand(struct lexer *lexer, struct str text, const struct diag_pos *pos)
{
    return expand(lexer, text, pos, false);
}

/* --- where a word ends --------------------------------------------------------------------------
 */

/* Space and punctuation end a bare word; so does a quote, which is then told. */
static bool ends_bare(char c)
{
    return c == ' ' || c == '\t' || c == '{' || c == '}' || c == ';' || c == '"' || c == '\'';
}

/* The `\` at `at` is the last byte of its line. */
static bool joins(const struct lexer *lexer, size_t at)
{
    return lexer->bytes.at[at] == '\\' && at + 1 == line_end(lexer);
}

static size_t bare_end(const struct lexer *lexer, size_t at)
{
    size_t end = line_end(lexer);
    while (at < end && !ends_bare(lexer->bytes.at[at]) && !joins(lexer, at)) {
        if (lexer->bytes.at[at] == '$' && at + 1 < end && lexer->bytes.at[at + 1] == '{') {
            /* ${…} may hold anything but space; `$${` opens nothing but keeps its brace */
            at += 2;
            while (at < end && lexer->bytes.at[at] != '}' && lexer->bytes.at[at] != ' ' &&
                   lexer->bytes.at[at] != '\t')
                at++;
            if (at < end && lexer->bytes.at[at] == '}')
                at++;
        } else {
            at++;
        }
    }
    return at;
}

static void check_bare(struct lexer *lexer, const struct word *word)
{
    size_t arrow = str_find(word->raw, STR("->"));
    if (str_ends(word->raw, STR("\\"))) { /* one space less and it would join two lines */
        diag_error(lexer->diag, &word->pos, "a word that ends in '\\' stands in quotes");
        diag_hint(lexer->diag, "to join two lines, '\\' is the last byte of the first");
    } else if (arrow != SIZE_MAX && str_find(str_sub(word->raw, 0, arrow), STR("${")) == SIZE_MAX) {
        struct diag_pos pos = word->pos;
        pos.column += (uint32_t)arrow;
        pos.width = 2;
        diag_error(lexer->diag, &pos, "'->' needs a space on both sides");
        diag_hint(lexer->diag, "a word that holds it stands in quotes: \"%.*s\"",
                  STR_ARG(word->raw));
    }
}

static void bare_word(struct lexer *lexer, size_t from)
{
    struct word *word = &lexer->word;
    lexer->at = bare_end(lexer, from);
    word->raw = str_sub(lexer->bytes, from, lexer->at - from);
    word->pos = position(lexer, from, lexer->at);
    if (str_eq(word->raw, STR("->"))) {
        word->kind = WORD_ARROW;
        word->text = word->raw;
        return;
    }
    check_bare(lexer, word);
    word->text = expand(lexer, word->raw, &word->pos, true);
}

/* Offset of the closing quote, or SIZE_MAX: a quoted word ends on its line. */
static size_t quote_end(const struct lexer *lexer, size_t from, char quote)
{
    size_t end = line_end(lexer);
    for (size_t at = from + 1; at < end; at++) {
        if (lexer->bytes.at[at] == quote)
            return at;
        if (quote == '"' && lexer->bytes.at[at] == '\\')
            at++;
    }
    return SIZE_MAX;
}

static void quoted_word(struct lexer *lexer, size_t from, char quote)
{
    struct word *word = &lexer->word;
    size_t end = quote_end(lexer, from, quote);
    word->kind = quote == '"' ? WORD_DOUBLE : WORD_SINGLE;
    if (end == SIZE_MAX) {
        lexer->at = line_end(lexer);
        word->pos = position(lexer, from, from + 1);
        word->raw = word->text = str_sub(lexer->bytes, from, lexer->at - from);
        diag_error(lexer->diag, &word->pos, "the %c is not closed on its line", quote);
        return;
    }
    lexer->at = end + 1;
    word->raw = str_sub(lexer->bytes, from, lexer->at - from);
    word->pos = position(lexer, from, lexer->at);
    word->text = str_sub(lexer->bytes, from + 1, end - from - 1);
    if (quote == '\'')
        return;
    struct str body = word->text;
    struct diag_pos pos = position(lexer, from + 1, end);
    word->text = unescape(lexer, body, from + 1);
    word->text = expand(lexer, word->text, &pos, word->text.at == body.at);
}

/* Words that touch would be read as one by people: `"a"b`. */
static void check_gap(struct lexer *lexer)
{
    if (lexer->at >= line_end(lexer))
        return;
    char c = lexer->bytes.at[lexer->at];
    bool quoted = lexer->word.kind == WORD_DOUBLE || lexer->word.kind == WORD_SINGLE;
    bool touches = c == '"' || c == '\'' || (quoted && !ends_bare(c) && !joins(lexer, lexer->at));
    if (!touches)
        return;
    struct diag_pos pos = position(lexer, lexer->at, lexer->at + 1);
    diag_error(lexer->diag, &pos, "a space is missing between two words");
    diag_hint(lexer->diag, quoted ? "one word has its quotes around the whole of it"
                                  : "quotes stand around a whole word: \"…\"");
}

/* --- tokens -------------------------------------------------------------------------------------
 */

static enum token punctuation(struct lexer *lexer, enum token token)
{
    lexer->at++;
    lexer->word.pos = position(lexer, lexer->at - 1, lexer->at);
    return token;
}

static enum token comment(struct lexer *lexer)
{
    size_t from = lexer->at;
    lexer->at = line_end(lexer);
    lexer->word.raw = str_sub(lexer->bytes, from, lexer->at - from);
    lexer->word.pos = position(lexer, from, lexer->at);
    while (lexer->word.raw.len && (lexer->word.raw.at[lexer->word.raw.len - 1] == ' ' ||
                                   lexer->word.raw.at[lexer->word.raw.len - 1] == '\t'))
        lexer->word.raw.len--;
    return TOKEN_COMMENT;
}

/* Spaces, and line ends that a `\` joins. */
static void skip_space(struct lexer *lexer)
{
    for (;;) {
        while (lexer->at < line_end(lexer) &&
               (lexer->bytes.at[lexer->at] == ' ' || lexer->bytes.at[lexer->at] == '\t'))
            lexer->at++;
        if (lexer->at >= line_end(lexer) || !joins(lexer, lexer->at))
            return;
        lexer->at++;
        if (at_last_line(lexer))
            return;
        next_line(lexer);
    }
}

enum token lexer_next(struct lexer *lexer)
{
    skip_space(lexer);
    lexer->word = (struct word){.kind = WORD_BARE};
    if (lexer->at >= line_end(lexer)) {
        lexer->word.pos = position(lexer, lexer->at, lexer->at);
        if (at_last_line(lexer))
            return TOKEN_END;
        next_line(lexer);
        return TOKEN_NEWLINE;
    }
    char c = lexer->bytes.at[lexer->at];
    switch (c) {
    case '{':
        return punctuation(lexer, TOKEN_OPEN);
    case '}':
        return punctuation(lexer, TOKEN_CLOSE);
    case ';':
        return punctuation(lexer, TOKEN_SEMICOLON);
    case '#':
        return comment(lexer);
    case '"':
    case '\'':
        quoted_word(lexer, lexer->at, c);
        break;
    default:
        bare_word(lexer, lexer->at);
        break;
    }
    check_gap(lexer);
    return TOKEN_WORD;
}
