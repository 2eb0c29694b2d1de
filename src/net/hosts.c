#include "net/hosts.h"

#include "base/arena.h"
#include "base/map.h"

/* One address of one name. */
struct host {
    struct host *next;
    struct addr addr;
};

struct hosts {
    struct arena *arena;
    struct map names; /* to the first struct host */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool next_word(struct str *rest, struct str *word)
{
    while (rest->len != 0 && is_blank(rest->at[0]))
        *rest = str_skip(*rest, 1);
    size_t len = 0;
    while (len < rest->len && !is_blank(rest->at[len]))
        len++;
    *word = str_sub(*rest, 0, len);
    *rest = str_skip(*rest, len);
    return len != 0;
}

/* More of one name is nobody's intention, and walking to their end would cost. */
enum { ADDRS_MAX = 64 };

static bool add_name(struct hosts *hosts, struct str name, const struct addr *addr)
{
    struct host *host = ARENA_NEW(hosts->arena, struct host);
    name = str_lower(hosts->arena, name);
    if (host == NULL || name.at == NULL)
        return false;
    host->addr = *addr;
    struct host *last = map_get(&hosts->names, name);
    if (last == NULL)
        return map_set(&hosts->names, name, host);
    unsigned count = 1;
    for (; last->next != NULL; last = last->next)
        count++;
    if (count < ADDRS_MAX)
        last->next = host;
    return true;
}

static bool add_line(struct hosts *hosts, struct str line)
{
    struct str word;
    struct addr addr;
    size_t comment = str_find_byte(line, '#');
    if (comment != SIZE_MAX)
        line.len = comment;
    if (!next_word(&line, &word) || !addr_parse_ip(word, &addr))
        return true;
    while (next_word(&line, &word))
        if (!add_name(hosts, word, &addr))
            return false;
    return true;
}

struct hosts *hosts_new(struct str text)
{
    struct arena *arena = arena_new(HOSTS_BYTES_MAX, 4096);
    struct hosts *hosts = arena == NULL ? NULL : ARENA_NEW(arena, struct hosts);
    if (hosts == NULL) {
        arena_end(arena);
        return NULL;
    }
    hosts->arena = arena;
    map_init(&hosts->names, arena);
    struct str line;
    while (str_split(&text, '\n', &line) && add_line(hosts, line))
        continue;
    return hosts;
}

void hosts_end(struct hosts *hosts)
{
    if (hosts != NULL)
        arena_end(hosts->arena);
}

unsigned hosts_find(const struct hosts *hosts, struct str name, struct addr *addrs, unsigned most)
{
    unsigned count = 0;
    for (const struct host *host = map_get(&hosts->names, name); host != NULL && count < most;
         host = host->next)
        addrs[count++] = host->addr;
    return count;
}

bool hosts_is_localhost(struct str name)
{
    if (str_ends(name, STR(".")))
        name.len--;
    struct str word = STR("localhost");
    if (name.len < word.len)
        return false;
    size_t before = name.len - word.len;
    return str_eq_nocase(str_skip(name, before), word) &&
           (before == 0 || name.at[before - 1] == '.');
}

unsigned hosts_localhost(struct addr addrs[2])
{
    addrs[0] = (struct addr){.family = ADDR_IP6, .ip = {[15] = 1}};
    addrs[1] = (struct addr){.family = ADDR_IP4, .ip = {127, 0, 0, 1}};
    return 2;
}
