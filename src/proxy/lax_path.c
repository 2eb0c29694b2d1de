#include "proxy/lax_path.h"

#include "base/arena.h"
#include "proxy/access_policy.h"

/* The readings' own memory: as many as there may be of a path of the longest line there may be. */
#define MEMORY_BYTES_MAX ((size_t)4 << 20)
#define MEMORY_CHUNK_BYTES ((size_t)4 * 1024)
/* Of a reading in the record. */
#define READING_SHOWN_MAX 200

struct reading {
    struct str path;
    unsigned how;
};

struct readings {
    struct arena *arena; /* ends with the judgement */
    struct reading all[LAX_READINGS_MAX];
    size_t count;
    char *changed, *resolved; /* scratch; no reading is longer than the path */
    size_t floor;             /* of a stripped prefix, which the origin cannot climb out of; or 0 */
    bool many, no_memory;
};

/* ---- the ways to read ---- */

/* The triplet at `at`, or -1. */
static int triplet(struct str path, size_t at)
{
    if (path.at[at] != '%' || path.len - at < 3)
        return -1;
    int high = char_hex(path.at[at + 1]), low = char_hex(path.at[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static void read_slashes(struct text *out, struct str path)
{
    for (size_t i = 0; i < path.len; i++) {
        int byte = triplet(path, i);
        bool is_slash = byte == '/' || byte == '\\';
        i += is_slash ? 2 : 0;
        text_add_byte(out, is_slash || path.at[i] == '\\' ? '/' : path.at[i]);
    }
}

static void read_without_parameters(struct text *out, struct str path)
{
    bool dropping = false;
    for (size_t i = 0; i < path.len; i++) {
        dropping = path.at[i] == ';' || (dropping && path.at[i] != '/');
        if (!dropping)
            text_add_byte(out, path.at[i]);
    }
}

/* `%2f` stays: that it is a slash is another reading. */
static void read_twice(struct text *out, struct str path)
{
    for (size_t i = 0; i < path.len; i++) {
        int byte = triplet(path, i);
        if (byte < 0 || byte == '/') {
            text_add_byte(out, path.at[i]);
            continue;
        }
        text_add_byte(out, (char)(unsigned char)byte);
        i += 2;
    }
}

static unsigned byte_at(struct str s, size_t at)
{
    return at < s.len ? (unsigned char)s.at[at] : 0;
}

/* The ASCII byte whose two, three or four byte form begins here, or -1 (RFC 3629 3, 10). */
static int overlong(struct str path, size_t at, size_t *len)
{
    unsigned first = byte_at(path, at);
    *len = (first & 0xfe) == 0xc0 ? 2 : first == 0xe0 ? 3 : first == 0xf0 ? 4 : 0;
    if (*len == 0)
        return -1;
    unsigned code = first & 1U; /* of 0xc0 and 0xc1; the others have no bits that count */
    for (size_t i = 1; i < *len; i++) {
        unsigned byte = byte_at(path, at + i);
        if ((byte & 0xc0) != 0x80)
            return -1;
        code = code << 6 | (byte & 0x3f);
    }
    return code < 0x80 ? (int)code : -1;
}

static void read_overlong(struct text *out, struct str path)
{
    for (size_t i = 0; i < path.len; i++) {
        size_t len;
        int byte = overlong(path, i, &len);
        text_add_byte(out, byte < 0 ? path.at[i] : (char)byte);
        i += byte < 0 ? 0 : len - 1;
    }
}

static void read_cut(struct text *out, struct str path)
{
    size_t end = 0;
    while (end < path.len && path.at[end] != '?' && path.at[end] != '#' && path.at[end] != '\0')
        end++;
    text_add(out, str_sub(path, 0, end));
}

static const struct {
    unsigned bit;
    void (*read)(struct text *out, struct str path);
} ways[] = {
    {LAX_SLASH, read_slashes},     {LAX_PARAMETERS, read_without_parameters},
    {LAX_TWICE, read_twice},       {LAX_CUT, read_cut},
    {LAX_OVERLONG, read_overlong},
};

/* ---- dot segments and runs of slashes ---- */

/* Takes the last segment away, but nothing before `floor`. */
static void climb(struct text *out, size_t floor)
{
    size_t len = out->len;
    while (len > 1 && out->at[len - 1] == '/')
        len--;
    while (len > 1 && out->at[len - 1] != '/')
        len--;
    if (len >= floor)
        out->len = len;
}

/* RFC 3986 5.2.4. `out` ends in '/' between segments. True when there was a dot segment. */
static bool resolve(struct text *out, struct str path, size_t floor)
{
    bool dots = false;
    text_add_byte(out, '/');
    for (size_t from = 0; from < path.len;) {
        struct str rest = str_skip(path, from);
        size_t slash = str_find_byte(rest, '/');
        struct str segment = str_sub(rest, 0, slash);
        bool is_one = str_eq(segment, STR(".")), is_two = str_eq(segment, STR(".."));
        dots = dots || is_one || is_two;
        if (is_two)
            climb(out, floor);
        else if (!is_one)
            text_add(out, segment);
        if (slash != SIZE_MAX && out->at[out->len - 1] != '/')
            text_add_byte(out, '/');
        from += segment.len + 1;
    }
    return dots;
}

/* ---- all readings ---- */

static void keep(struct readings *r, struct str path, unsigned how)
{
    for (size_t i = 0; i < r->count; i++)
        if (str_eq(r->all[i].path, path) && ((r->all[i].how ^ how) & (LAX_TWICE | LAX_HOST)) == 0)
            return;
    if (r->count == LAX_READINGS_MAX) {
        r->many = true;
        return;
    }
    struct str kept = str_dup(r->arena, path);
    r->no_memory = r->no_memory || kept.at == NULL;
    if (kept.at != NULL)
        r->all[r->count++] = (struct reading){.path = kept, .how = how};
}

static void read_one_way(struct readings *r, const struct reading *from, size_t way, size_t bytes)
{
    struct text changed = text_over(r->changed, bytes);
    unsigned how = from->how | ways[way].bit;
    ways[way].read(&changed, from->path);
    if (str_eq(text_str(&changed), from->path))
        return;
    struct text resolved = text_over(r->resolved, bytes + 1);
    bool dots = resolve(&resolved, text_str(&changed), 0);
    keep(r, text_str(&resolved), dots ? how | LAX_DOTS : how);
    if (!dots || r->floor == 0)
        return;
    resolved.len = 0;
    resolve(&resolved, text_str(&changed), r->floor);
    keep(r, text_str(&resolved), how | LAX_DOTS);
}

/* "//host/path": the host goes. */
static void read_host(struct readings *r, struct str path)
{
    struct str rest = str_skip(path, 1);
    size_t slash = str_find_byte(rest, '/');
    keep(r, slash == SIZE_MAX ? STR("/") : str_skip(rest, slash), LAX_HOST);
}

/* The first is the path itself. */
static void read_all(struct readings *r, struct str path, bool names_host)
{
    r->changed = arena_alloc(r->arena, path.len + 1);
    r->resolved = arena_alloc(r->arena, path.len + 1);
    r->no_memory = r->changed == NULL || r->resolved == NULL;
    r->all[r->count++] = (struct reading){.path = path};
    if (names_host)
        read_host(r, path);
    for (size_t i = 0; i < r->count && !r->many && !r->no_memory; i++)
        for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++)
            if ((ways[way].bit & LAX_TWICE & r->all[i].how) == 0)
                read_one_way(r, &r->all[i], way, path.len);
}

/* ---- where they fall ---- */

struct judge {
    const struct router *router;
    const struct route *chosen;
    struct lax_path *out;
    const struct addr *client;
    bool as_host; /* the present reading is LAX_HOST */
    bool ambiguous;
};

static bool is_other(const struct judge *judge, const struct route *route)
{
    return route != judge->chosen && !access_policy_same(route->conf, judge->chosen->conf) &&
           !(judge->as_host && access_policy_admits(route->conf, judge->client));
}

/* Asks on until a route is another one. */
static bool visit(const struct route *route, void *context)
{
    struct judge *judge = context;
    judge->ambiguous = is_other(judge, route);
    judge->out->other = judge->ambiguous ? route : NULL;
    return !judge->ambiguous;
}

static bool falls_elsewhere(struct judge *judge, const struct route_query *query, unsigned how)
{
    struct route_match match;
    if (router_find(judge->router, query, &match)) {
        judge->ambiguous = is_other(judge, match.route);
        judge->out->other = judge->ambiguous ? match.route : NULL;
    } else {
        /* A pattern may well be written for `;` or `%2f` as they stand; no honest path climbs. */
        judge->ambiguous = (how & LAX_DOTS) != 0;
    }
    return judge->ambiguous;
}

/* NO_MEMORY: of the caller's arena. */
static enum lax_verdict judge_reading(struct judge *judge, struct arena *arena,
                                      const struct route_query *query,
                                      const struct reading *reading)
{
    bool undecided = false;
    struct route_query asked = *query;
    unsigned how = reading->how;
    judge->as_host = (how & LAX_HOST) != 0;
    asked.path = reading->path;
    asked.undecided = &undecided;
    asked.trace = NULL; /* what nearly matched is told of the path itself */
    bool elsewhere = how != 0 && falls_elsewhere(judge, &asked, how);
    if (!elsewhere && router_asks_nocase(judge->router, reading->path)) {
        asked.path = str_lower(arena, reading->path);
        if (asked.path.at == NULL)
            return LAX_NO_MEMORY;
        router_find_nocase(judge->router, &asked, visit, judge);
        how |= LAX_CASE;
    }
    if (undecided)
        return LAX_UNDECIDED;
    if (!judge->ambiguous)
        return LAX_PLAIN;
    judge->out->how = how;
    judge->out->reading = str_dup(arena, asked.path);
    return judge->out->reading.at == NULL ? LAX_NO_MEMORY : LAX_AMBIGUOUS;
}

static enum lax_verdict judge_all(struct judge *judge, struct arena *arena,
                                  const struct route_query *query, const struct readings *r)
{
    for (size_t i = 0; i < r->count; i++) {
        enum lax_verdict verdict = judge_reading(judge, arena, query, &r->all[i]);
        if (verdict != LAX_PLAIN)
            return verdict;
    }
    if (r->no_memory)
        return LAX_NO_MEMORY;
    if (!r->many)
        return LAX_PLAIN;
    *judge->out = (struct lax_path){.reading = query->path, .how = LAX_MANY};
    return LAX_AMBIGUOUS;
}

enum lax_verdict lax_path_judge(struct arena *arena, const struct router *router,
                                const struct route_query *query, unsigned reasons,
                                const struct route *chosen, struct lax_path *out)
{
    struct judge judge = {.router = router, .chosen = chosen, .out = out, .client = query->client};
    /* A target that is written anew never begins with two slashes. */
    bool names_host =
        (reasons & URI_READ_HOST) != 0 && !chosen->strip && chosen->rewrite.count == 0;
    *out = (struct lax_path){0};
    if (!names_host && (reasons & URI_READ_BYTES) == 0) {
        if (!router_asks_nocase(router, query->path))
            return LAX_PLAIN;
        struct reading itself = {.path = query->path};
        return judge_reading(&judge, arena, query, &itself);
    }
    struct readings readings = {.arena = arena_new(MEMORY_BYTES_MAX, MEMORY_CHUNK_BYTES)};
    if (readings.arena == NULL)
        return LAX_NO_MEMORY;
    if (chosen->kind == PATTERN_PREFIX && (chosen->strip || chosen->rewrite.count != 0))
        readings.floor = chosen->path.len;
    read_all(&readings, query->path, names_host);
    enum lax_verdict verdict = judge_all(&judge, arena, query, &readings);
    arena_end(readings.arena);
    return verdict;
}

/* ---- in words ---- */

static void add_route(struct text *out, const struct route *route)
{
    text_printf(out, "route %.*s at %.*s:%u", STR_ARG(route->pattern), STR_ARG(route->where.file),
                (unsigned)route->where.line);
}

static void add_how(struct text *out, unsigned how)
{
    static const struct {
        unsigned bit;
        const char *words;
    } all[] = {
        {LAX_TWICE, "decoded twice"},       {LAX_OVERLONG, "overlong UTF-8 decoded"},
        {LAX_SLASH, "%2f or %5c as slash"}, {LAX_PARAMETERS, "parameters dropped"},
        {LAX_CUT, "cut at a ?, # or NUL"},  {LAX_DOTS, "dot segments resolved"},
        {LAX_CASE, "without case"},         {LAX_HOST, "// as the beginning of a host"},
    };
    const char *between = " (";
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if ((how & all[i].bit) == 0)
            continue;
        text_add_z(out, between);
        text_add_z(out, all[i].words);
        between = ", ";
    }
    text_add_byte(out, ')');
}

void lax_path_add_why(struct text *out, const struct lax_path *lax, const struct route *chosen)
{
    if (lax->how & LAX_MANY) {
        text_add_z(out, "there are too many ways to read this path; as it stands it falls on ");
        add_route(out, chosen);
        return;
    }
    text_add_z(out, "an origin may read this path as ");
    text_add(out, str_sub(lax->reading, 0, READING_SHOWN_MAX));
    text_add_z(out, lax->reading.len > READING_SHOWN_MAX ? "…" : "");
    add_how(out, lax->how);
    text_add_z(out, ", which falls on ");
    if (lax->other != NULL)
        add_route(out, lax->other);
    else
        text_add_z(out, "no route");
    text_add_z(out, "; as it stands it falls on ");
    add_route(out, chosen);
}
