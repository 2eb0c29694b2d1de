#include "config/compile_state.h"

#include "base/arena.h"
#include "base/hash.h"
#include "config/value.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool compile_no_memory(struct compile *c)
{
    if (!c->out_of_memory)
        diag_error(c->diag, NULL, "no memory for this configuration");
    c->out_of_memory = true;
    return false;
}

void *compile_grow(struct compile *c, void *array, size_t count, size_t *capacity, size_t bytes)
{
    if (count < *capacity)
        return array;
    size_t more = *capacity ? *capacity * 2 : 8;
    void *bigger = arena_array(c->scratch, more, bytes);
    if (bigger == NULL) {
        compile_no_memory(c);
        return NULL;
    }
    if (count != 0)
        memcpy(bigger, array, count * bytes);
    *capacity = more;
    return bigger;
}

struct arena *compile_arena(struct compile *c)
{
    return c->build ? c->build->arena : c->snapshot->arena;
}

struct str compile_dup(struct compile *c, struct str s)
{
    struct str copy = str_dup(compile_arena(c), s);
    if (copy.at == NULL) {
        compile_no_memory(c);
        return STR("");
    }
    return copy;
}

struct where compile_where(struct compile *c, const struct statement *statement)
{
    const struct diag_pos *pos = &statement->words[0].pos;
    struct str file = pos->file;
    if (c->build == NULL) {
        file = compile_dup(c, file);
    } else {
        struct site_build *b = c->build;
        if (b->where_copy.at == NULL || b->where_file.at != file.at)
            b->where_copy = compile_dup(c, file);
        b->where_file = file;
        file = b->where_copy;
    }
    return (struct where){.file = file, .line = pos->line};
}

struct diag_pos compile_part(const struct word *word, size_t at, size_t len)
{
    struct diag_pos pos = word->pos;
    size_t quote = word->raw.len == word->text.len + 2 ? 1 : 0;
    if (word->raw.len != word->text.len + 2 * quote || at + len > word->text.len)
        return pos; /* escapes moved it: the whole word */
    pos.column += (uint32_t)(at + quote);
    pos.width = len ? (uint32_t)len : 1;
    return pos;
}

/* ---- files ---- */

static bool ask_cwd(struct str question, struct text *answer)
{
    (void)question;
    char path[PATH_MAX];
    if (getcwd(path, sizeof path) == NULL)
        return false;
    text_add_z(answer, path);
    return true;
}

struct str compile_fact(struct compile *c, struct str question,
                        bool (*ask)(struct str question, struct text *answer))
{
    if (source_is_disk(c->sources)) {
        struct text answer = text_in(c->scratch, PATH_MAX + 1);
        if (!ask(question, &answer) ||
            !source_put(c->sources, SOURCE_FACT, question, text_str(&answer)))
            return (struct str){0};
    }
    const struct source *source = source_get(c->sources, SOURCE_FACT, question);
    return source && source->why.len == 0 ? source->bytes : (struct str){0};
}

static struct str folder_of(struct str file)
{
    size_t end = file.len;
    while (end != 0 && file.at[end - 1] != '/')
        end--;
    return str_sub(file, 0, end);
}

/* Adds a path without its empty and `.` parts; `..` is the file system's to follow. */
static void add_path(struct text *out, struct str path)
{
    struct str part;
    while (str_split(&path, '/', &part)) {
        if (part.len == 0 || str_eq(part, STR(".")))
            continue;
        text_add_byte(out, '/');
        text_add(out, part);
    }
}

struct str compile_path(struct compile *c, const struct word *word)
{
    struct text path = text_in(c->scratch, 2 * PATH_MAX);
    struct str folder = folder_of(word->pos.file);
    if (!str_starts(word->text, STR("/"))) {
        if (!str_starts(folder, STR("/"))) {
            if (c->cwd.len == 0)
                c->cwd = compile_fact(c, STR("cwd"), ask_cwd);
            add_path(&path, c->cwd);
        }
        add_path(&path, folder);
    }
    add_path(&path, word->text);
    if (path.len == 0)
        text_add_byte(&path, '/');
    if (!text_ok(&path))
        compile_no_memory(c);
    return text_str(&path);
}

void compile_hint_path(struct compile *c, const struct word *word)
{
    struct str folder = folder_of(word->pos.file);
    if (folder.len != 0 && !str_starts(word->text, STR("/")))
        diag_hint(c->diag, "looked for %.*s%.*s", STR_ARG(folder), STR_ARG(word->text));
}

uint64_t compile_source_hash(struct compile *c, const struct source *source)
{
    struct str key = str_from(&source, sizeof(const struct source *));
    const uint64_t *known = map_get(&c->input_hashes, key);
    if (known != NULL)
        return *known;
    uint64_t hash = hash_stable(source->why.len, source->why.len ? source->why : source->bytes);
    uint64_t *kept = ARENA_NEW(c->scratch, uint64_t);
    const struct source **kept_key = arena_alloc(c->scratch, sizeof(const struct source *));
    if (kept != NULL && kept_key != NULL) {
        *kept = hash;
        *kept_key = source;
        if (!map_set(&c->input_hashes, str_from(kept_key, sizeof *kept_key), kept))
            compile_no_memory(c);
    }
    return hash;
}

static void remember_input(struct compile *c, const struct source *source)
{
    struct site_build *b = c->build;
    if (b == NULL)
        return;
    struct site_input *inputs =
        compile_grow(c, b->inputs, b->input_count, &b->input_capacity, sizeof *inputs);
    if (inputs == NULL)
        return;
    b->inputs = inputs;
    inputs[b->input_count++] = (struct site_input){.kind = source->kind,
                                                   .name = compile_dup(c, source->name),
                                                   .hash = compile_source_hash(c, source)};
}

const struct source *compile_input(struct compile *c, enum source_kind kind, struct str path)
{
    const struct source *source = source_get(c->sources, kind, path);
    if (source == NULL) {
        compile_no_memory(c);
        return NULL;
    }
    remember_input(c, source);
    return source;
}

const struct source *compile_source(struct compile *c, enum source_kind kind,
                                    const struct word *word)
{
    const struct source *source = compile_input(c, kind, compile_path(c, word));
    if (source == NULL || source->why.len == 0)
        return source;
    if (compile_told(c, str_from(&word, sizeof(const struct word *))))
        return NULL;
    diag_error(c->diag, &word->pos, "'%.*s': %.*s", STR_ARG(word->text), STR_ARG(source->why));
    compile_hint_path(c, word);
    return NULL;
}

/* ---- lists ---- */

void compile_add_line(struct compile *c, const struct line **lines,
                      const struct statement *statement)
{
    struct line *line = ARENA_NEW(c->scratch, struct line);
    if (line == NULL) {
        compile_no_memory(c);
        return;
    }
    *line = (struct line){.outer = *lines,
                          .statement = statement,
                          .level = c->level,
                          .number = *lines ? (*lines)->number + 1 : 1};
    *lines = line;
    c->settings->changed = true;
}

const struct statement **compile_lines(struct compile *c, const struct line *lines, size_t *count)
{
    *count = lines ? lines->number : 0;
    if (*count == 0)
        return NULL;
    const struct statement **array = arena_array(c->scratch, *count, sizeof *array);
    if (array == NULL) {
        compile_no_memory(c);
        *count = 0;
        return NULL;
    }
    for (size_t i = *count; lines != NULL && i != 0; lines = lines->outer)
        array[--i] = lines->statement;
    return array;
}

bool compile_told(struct compile *c, struct str what)
{
    if (map_get(&c->told, what) != NULL)
        return true;
    struct str copy = str_dup(c->scratch, what);
    if (copy.at == NULL || !map_set(&c->told, copy, c))
        compile_no_memory(c);
    return false;
}

/* ---- hashes ---- */

uint64_t compile_hash(uint64_t seed, const struct statement *statement)
{
    const struct diag_pos *pos = &statement->words[0].pos;
    seed = hash_stable(seed ^ pos->line, pos->file);
    for (size_t i = 0; i < statement->count; i++)
        seed = hash_stable(seed + statement->words[i].kind, statement->words[i].text);
    if (statement->block == NULL)
        return seed;
    seed++;
    for (const struct statement *s = statement->block->first; s != NULL; s = s->next)
        seed = compile_hash(seed, s);
    return seed + 1;
}

/* ---- words ---- */

uint32_t compile_ms(const struct word *word)
{
    uint64_t ms = 0;
    if (!value_duration(word->text, &ms))
        return 0;
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

uint64_t compile_number(const struct word *word)
{
    uint64_t n = 0;
    return value_number(word->text, &n) ? n : 0;
}

bool compile_is(const struct word *word, const char *keyword)
{
    return str_eq(word->text, str_from_z(keyword));
}

void compile_block(struct compile *c, const struct block *block,
                   bool (*skip)(const struct statement *statement))
{
    if (block == NULL)
        return;
    for (const struct statement *s = block->first; s != NULL; s = s->next)
        if (s->directive != NULL && s->directive->apply != NULL && !skip(s))
            s->directive->apply(c, s);
}
