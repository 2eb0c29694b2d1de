#include "config/compile_redirects.h"

#include "base/arena.h"
#include "config/value.h"
#include "http/uri.h"

const char *compile_redirects_path_fault(struct str path, size_t *at)
{
    *at = 0;
    if (!str_starts(path, STR("/")))
        return "a path begins with '/'";
    for (size_t i = 0; i < path.len; i++) {
        unsigned char byte = (unsigned char)path.at[i];
        *at = i;
        if (byte < 0x20 || byte == 0x7f)
            return "a path has no control bytes";
        if (byte == '#' || byte == '?')
            return "a path ends before '?' and '#'";
        if (byte == '/' && i + 1 < path.len && path.at[i + 1] == '/')
            return "runs of '/' count as one: write one";
        if (byte == '%' && !str_eq(str_sub(path, i, 3), STR("%2f")))
            return "paths are written decoded; only %2f stands as it is";
    }
    *at = 0;
    return uri_path_fault(path);
}

struct reader {
    struct compile *c;
    struct str file; /* as the user named it, in the site's arena */
    struct diag_pos pos;
    struct map *map;
    bool fine;
};

static void tell(struct reader *r, struct str part, const char *what, struct str hint)
{
    r->pos.column = part.len ? (uint32_t)(part.at - r->pos.text.at) + 1 : 1;
    r->pos.width = part.len ? (uint32_t)part.len : 1;
    diag_error(r->c->diag, &r->pos, "%s", what);
    if (hint.len != 0)
        diag_hint(r->c->diag, "%.*s", STR_ARG(hint));
    r->fine = false;
}

/* The next word of a line, or an empty one. */
static struct str take_word(struct str *rest)
{
    *rest = str_trim(*rest);
    size_t end = 0;
    while (end < rest->len && rest->at[end] != ' ' && rest->at[end] != '\t')
        end++;
    struct str word = str_sub(*rest, 0, end);
    *rest = str_skip(*rest, end);
    return word;
}

static bool to_fine(struct str to)
{
    if (!str_starts(to, STR("/")) && !str_starts(to, STR("http://")) &&
        !str_starts(to, STR("https://")))
        return false;
    for (size_t i = 0; i < to.len; i++)
        if ((unsigned char)to.at[i] <= 0x20 || (unsigned char)to.at[i] >= 0x7f || to.at[i] == '\\')
            return false;
    return true;
}

static void add_line(struct reader *r, struct str from, struct str to, unsigned status)
{
    struct arena *arena = compile_arena(r->c);
    if (map_get(r->map, from) != NULL) {
        const struct redirect_line *before = map_get(r->map, from);
        tell(r, from, "this path has a line already",
             str_printf(r->c->scratch, "line %u", (unsigned)before->where.line));
        return;
    }
    struct redirect_line *line = ARENA_NEW(arena, struct redirect_line);
    struct str key = str_dup(arena, from);
    if (line == NULL || key.at == NULL || !map_set(r->map, key, line)) {
        r->fine = compile_no_memory(r->c);
        return;
    }
    line->to = compile_dup(r->c, to);
    line->status = (uint16_t)status;
    line->where = (struct where){.file = r->file, .line = r->pos.line};
}

static void read_line(struct reader *r, struct str line)
{
    struct str rest = line;
    struct str from = take_word(&rest), to = take_word(&rest), number = take_word(&rest);
    if (from.len == 0 || from.at[0] == '#')
        return;
    unsigned status = 308;
    size_t at;
    const char *fault = compile_redirects_path_fault(from, &at);
    if (fault != NULL)
        tell(r, from, fault, (struct str){0});
    else if (to.len == 0)
        tell(r, from, "a line is: FROM TO [STATUS]", (struct str){0});
    else if (!to_fine(to))
        tell(r, to, "a redirect goes to a path or to an http or https URL", (struct str){0});
    else if (number.len != 0 && number.at[0] != '#' &&
             (!value_status(number, &status) ||
              (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)))
        tell(r, number, "expected 301, 302, 303, 307 or 308", (struct str){0});
    else
        add_line(r, from, to, status);
}

bool compile_redirects_load(struct compile *c, const struct word *file, struct map *map)
{
    map_init(map, compile_arena(c));
    const struct source *source = compile_source(c, SOURCE_DATA, file);
    if (source == NULL)
        return false;
    struct reader r = {.c = c, .file = compile_dup(c, file->text), .map = map, .fine = true};
    r.pos = (struct diag_pos){.file = file->text, .in = &file->pos};
    struct str rest = source->bytes, line;
    while (str_split(&rest, '\n', &line)) {
        r.pos.line++;
        if (str_ends(line, STR("\r")))
            line.len--;
        r.pos.text = line;
        read_line(&r, line);
    }
    return r.fine;
}
