#include "net/resolv_conf.h"

#include "base/text.h"

enum { NDOTS_MAX = 15, TIMEOUT_MAX_S = 30, ATTEMPTS_MAX = 5 };

/* The next word; words are parted by blanks and tabs. */
static bool next_word(struct str *rest, struct str *word)
{
    *rest = str_trim(*rest);
    if (str_empty(*rest))
        return false;
    size_t len = 0;
    while (len < rest->len && rest->at[len] != ' ' && rest->at[len] != '\t')
        len++;
    *word = str_sub(*rest, 0, len);
    *rest = str_skip(*rest, len);
    return true;
}

static void add_server(struct resolv_conf *conf, struct str word)
{
    struct addr addr;
    if (conf->server_count == RESOLV_SERVERS_MAX)
        return;
    if (addr_parse_ip(word, &addr) || addr_parse_ip_port(word, &addr))
        conf->servers[conf->server_count++] = addr;
}

/* `search` and `domain` exclude each other: the last line of either wins. */
static void set_search(struct resolv_conf *conf, struct str rest, unsigned most)
{
    struct str word;
    conf->search_count = 0;
    while (conf->search_count < most && next_word(&rest, &word)) {
        if (str_ends(word, STR(".")))
            word.len--;
        struct text text = text_over(conf->search[conf->search_count], RESOLV_NAME_MAX);
        text_add(&text, word);
        if (word.len == 0 || !text_ok(&text) || str_find_byte(word, '\0') != SIZE_MAX)
            continue;
        text.at[text.len] = '\0';
        conf->search_count++;
    }
}

static void set_number(struct str word, struct str name, unsigned least, unsigned most,
                       unsigned *value)
{
    uint64_t number;
    if (!str_starts(word, name) || !str_to_u64(str_skip(word, name.len), UINT32_MAX, &number))
        return;
    *value = number < least ? least : number > most ? most : (unsigned)number;
}

static void set_options(struct resolv_conf *conf, struct str rest)
{
    struct str word;
    unsigned timeout_s = 0;
    while (next_word(&rest, &word)) {
        set_number(word, STR("ndots:"), 0, NDOTS_MAX, &conf->ndots);
        set_number(word, STR("timeout:"), 1, TIMEOUT_MAX_S, &timeout_s);
        set_number(word, STR("attempts:"), 1, ATTEMPTS_MAX, &conf->attempts);
    }
    if (timeout_s != 0)
        conf->timeout_ms = timeout_s * 1000;
}

static void parse_line(struct resolv_conf *conf, struct str line)
{
    struct str keyword, word;
    if (!next_word(&line, &keyword))
        return;
    if (str_eq(keyword, STR("nameserver")) && next_word(&line, &word))
        add_server(conf, word);
    else if (str_eq(keyword, STR("search")))
        set_search(conf, line, RESOLV_SEARCH_MAX);
    else if (str_eq(keyword, STR("domain")))
        set_search(conf, line, 1);
    else if (str_eq(keyword, STR("options")))
        set_options(conf, line);
}

void resolv_conf_parse(struct str text, struct resolv_conf *conf)
{
    struct str line;
    *conf = (struct resolv_conf){.ndots = 1, .timeout_ms = 1000, .attempts = 3};
    while (str_split(&text, '\n', &line)) {
        if (str_ends(line, STR("\r")))
            line.len--;
        parse_line(conf, line);
    }
    if (conf->server_count == 0) {
        conf->servers[0] = (struct addr){.family = ADDR_IP4, .ip = {127, 0, 0, 1}};
        conf->server_count = 1;
    }
}

static unsigned count_dots(struct str name)
{
    unsigned dots = 0;
    for (size_t i = 0; i < name.len; i++)
        dots += name.at[i] == '.';
    return dots;
}

bool resolv_conf_candidate(const struct resolv_conf *conf, struct str name, unsigned k,
                           char out[RESOLV_NAME_MAX + 1])
{
    bool only = str_ends(name, STR("."));
    unsigned as_is = only || count_dots(name) >= conf->ndots ? 0 : conf->search_count;
    if (k > (only ? 0 : conf->search_count))
        return false;
    struct text text = text_over(out, RESOLV_NAME_MAX);
    text_add(&text, only ? str_sub(name, 0, name.len - 1) : name);
    if (k != as_is) {
        text_add_byte(&text, '.');
        text_add_z(&text, conf->search[k > as_is ? k - 1 : k]);
    }
    out[text_ok(&text) ? text.len : 0] = '\0';
    return true;
}
