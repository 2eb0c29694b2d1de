/* The text of hosts(5): each of its words has the addresses that a plain walk over the lines finds,
 * in their order, in any case of letters. */
#include "base/arena.h"
#include "net/hosts.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 3 };

static const char BLANKS[] = " \t\r";

/* Cuts the next word off; false at the end of the line. */
static bool word_of(struct str *line, struct str *word)
{
    size_t from = 0, to;
    while (from < line->len && line->at[from] != '\0' && strchr(BLANKS, line->at[from]) != NULL)
        from++;
    for (to = from; to < line->len; to++)
        if (line->at[to] != '\0' && strchr(BLANKS, line->at[to]) != NULL)
            break;
    *word = str_sub(*line, from, to - from);
    *line = str_skip(*line, to);
    return to > from;
}

static unsigned walk(struct str text, struct str name, struct addr *addrs)
{
    unsigned count = 0;
    struct str line, word;
    while (str_split(&text, '\n', &line)) {
        struct addr addr;
        line = str_sub(line, 0, str_find_byte(line, '#'));
        if (!word_of(&line, &word) || !addr_parse_ip(word, &addr))
            continue;
        while (word_of(&line, &word))
            if (str_eq_nocase(word, name) && count < MOST)
                addrs[count++] = addr;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_from(data, size), rest = text, line, word;
    if (size > 2048)
        return 0;
    struct hosts *hosts = hosts_new(text);
    struct arena *arena = arena_new(1 << 20, 4096);
    if (hosts == NULL || arena == NULL)
        abort();
    while (str_split(&rest, '\n', &line))
        while (word_of(&line, &word)) {
            struct addr found[MOST], expected[MOST];
            struct str name = str_lower(arena, word);
            unsigned count = hosts_find(hosts, name, found, MOST);
            if (name.at == NULL || count != walk(text, name, expected))
                abort();
            for (unsigned i = 0; i < count; i++)
                if (!addr_eq(&found[i], &expected[i]))
                    abort();
        }
    arena_end(arena);
    hosts_end(hosts);
    return 0;
}
