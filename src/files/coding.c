#include "files/coding.h"

struct str coding_name(enum coding coding)
{
    static const struct str names[CODING_COUNT] = {
        [CODING_GZIP] = STR_INIT("gzip"),
        [CODING_BROTLI] = STR_INIT("br"),
        [CODING_ZSTD] = STR_INIT("zstd"),
    };
    return names[coding];
}

struct str coding_extension(enum coding coding)
{
    static const struct str extensions[CODING_COUNT] = {
        [CODING_GZIP] = STR_INIT(".gz"),
        [CODING_BROTLI] = STR_INIT(".br"),
        [CODING_ZSTD] = STR_INIT(".zst"),
    };
    return extensions[coding];
}

/* qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ) (RFC 9110 12.4.2) */
static bool qvalue(struct str s, uint16_t *weight)
{
    if (s.len < 1 || s.len > 5 || (s.at[0] != '0' && s.at[0] != '1') ||
        (s.len > 1 && s.at[1] != '.'))
        return false;
    unsigned n = s.at[0] == '1' ? 1000 : 0, unit = 100;
    for (size_t i = 2; i < s.len; i++, unit /= 10) {
        if (!char_is_digit(s.at[i]))
            return false;
        n += (unsigned)(s.at[i] - '0') * unit;
    }
    *weight = (uint16_t)n;
    return n <= 1000;
}

/* codings [ OWS ";" OWS "q=" qvalue ] */
static bool read_member(struct str member, struct str *name, uint16_t *weight)
{
    size_t semicolon = str_find_byte(member, ';');
    *name = str_trim(str_sub(member, 0, semicolon));
    *weight = 1000;
    if (semicolon == SIZE_MAX)
        return true;
    struct str parameter = str_trim(str_skip(member, semicolon + 1));
    return str_starts_nocase(parameter, STR("q=")) && qvalue(str_skip(parameter, 2), weight);
}

static bool is_called(enum coding coding, struct str name)
{
    if (coding == CODING_IDENTITY)
        return str_eq_nocase(name, STR("identity"));
    return str_eq_nocase(name, coding_name(coding)) ||
           (coding == CODING_GZIP && str_eq_nocase(name, STR("x-gzip")));
}

struct coding_wish coding_wished(const struct message *request)
{
    struct coding_wish wish = {.weight = {1}};
    bool said[CODING_COUNT] = {false}, star = false;
    uint16_t star_weight = 0;
    uint32_t at = 0;
    for (const struct field *field;
         (field = message_next(request, HEADER_ACCEPT_ENCODING, &at)) != NULL;) {
        struct str rest = field->value, member, name;
        uint16_t weight;
        while (header_list_next(&rest, &member)) {
            if (!read_member(member, &name, &weight))
                continue;
            if (str_eq(name, STR("*"))) {
                star = true;
                star_weight = weight;
            }
            for (unsigned i = 0; i < CODING_COUNT; i++) {
                if (is_called((enum coding)i, name)) {
                    said[i] = true;
                    wish.weight[i] = weight;
                }
            }
        }
    }
    for (unsigned i = 0; star && i < CODING_COUNT; i++)
        if (!said[i] && (i != CODING_IDENTITY || star_weight == 0))
            wish.weight[i] = star_weight;
    return wish;
}

enum coding coding_best(const struct coding_wish *wish, unsigned offered,
                        const enum coding order[CODING_COUNT - 1])
{
    enum coding best = CODING_IDENTITY;
    for (unsigned i = 0; i < CODING_COUNT - 1; i++) {
        enum coding coding = order[i];
        uint16_t weight = wish->weight[coding];
        if (!(offered >> coding & 1) || weight == 0)
            continue;
        /* at the same weight a coding is better than identity */
        if (weight > wish->weight[best] ||
            (best == CODING_IDENTITY && weight == wish->weight[best]))
            best = coding;
    }
    return best;
}
