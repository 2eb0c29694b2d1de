#include "http/accept.h"

#include "http/grammar.h"

static const struct str coding_names[CODING_COUNT] = {STR_INIT("br"), STR_INIT("zstd"),
                                                      STR_INIT("gzip"), STR_INIT("identity")};

struct str accept_coding_name(enum coding coding)
{
    return (unsigned)coding < CODING_COUNT ? coding_names[coding] : coding_names[CODING_IDENTITY];
}

enum { WEIGHT_FULL = 1000 };

/* qvalue = "0" [ "." 0*3DIGIT ] / "1" [ "." 0*3"0" ] (RFC 9110 12.4.2), in thousandths; -1: none.
 */
static int parse_weight(struct str s)
{
    if (s.len == 0 || s.len > 5 || (s.at[0] != '0' && s.at[0] != '1') ||
        (s.len > 1 && s.at[1] != '.'))
        return -1;
    int weight = (s.at[0] - '0') * WEIGHT_FULL, unit = WEIGHT_FULL / 10;
    for (size_t i = 2; i < s.len; i++, unit /= 10) {
        if (!char_is_digit(s.at[i]))
            return -1;
        weight += (s.at[i] - '0') * unit;
    }
    return weight <= WEIGHT_FULL ? weight : -1;
}

/* Splits "name;a=b;q=0.5" into its name and weight. False for a weight that cannot be read. */
static bool split_member(struct str member, struct str *name, int *weight)
{
    struct str parameter;
    *weight = WEIGHT_FULL;
    if (!str_split(&member, ';', name))
        return false;
    *name = str_trim(*name);
    while (str_split(&member, ';', &parameter)) {
        parameter = str_trim(parameter);
        if (str_starts_nocase(parameter, STR("q=")))
            *weight = parse_weight(str_skip(parameter, 2));
    }
    return *weight >= 0;
}

/* --- Accept-Encoding -------------------------------------------------------------------------- */

/* What one member names: a coding, CODING_COUNT for "*", -1 for one we do not know. */
static int coding_of(struct str name)
{
    if (str_eq(name, STR("*")))
        return CODING_COUNT;
    if (str_eq_nocase(name, STR("x-gzip"))) /* RFC 9110 8.4.1.3 */
        return CODING_GZIP;
    for (int i = 0; i < CODING_COUNT; i++)
        if (str_eq_nocase(name, coding_names[i]))
            return i;
    return -1;
}

/* Weights by coding, that of "*" last; -1 where it is not named. */
static bool read_codings(const struct message *request, int weights[CODING_COUNT + 1])
{
    uint32_t at = 0;
    bool any = false;
    for (int i = 0; i <= CODING_COUNT; i++)
        weights[i] = -1;
    for (const struct field *f; (f = message_next(request, HEADER_ACCEPT_ENCODING, &at)) != NULL;) {
        struct str rest = f->value, member, name;
        int weight;
        any = true;
        while (header_list_next(&rest, &member)) {
            int coding = split_member(member, &name, &weight) ? coding_of(name) : -1;
            if (coding >= 0)
                weights[coding] = weight;
        }
    }
    return any;
}

enum coding accept_encoding(const struct message *request, unsigned available)
{
    int weights[CODING_COUNT + 1];
    enum coding best = CODING_IDENTITY;
    if (!read_codings(request, weights))
        return best;
    /* Unnamed, identity is acceptable, but anything asked for is better. */
    int best_weight = weights[CODING_IDENTITY] > 0 ? weights[CODING_IDENTITY] : 0;
    for (int i = 0; i < CODING_IDENTITY; i++) {
        int weight = weights[i] >= 0 ? weights[i] : weights[CODING_COUNT];
        bool wins = weight > best_weight || (weight == best_weight && best == CODING_IDENTITY);
        if ((available & 1U << i) != 0 && weight > 0 && wins) {
            best = (enum coding)i;
            best_weight = weight;
        }
    }
    return best;
}

/* --- Accept ----------------------------------------------------------------------------------- */

/* How precisely `range` names the type: 0 not at all, 1 any type, 2 its main type, 3 itself. */
static int precision(struct str range, struct str main_type, struct str type)
{
    if (str_eq_nocase(range, type))
        return 3;
    if (str_eq(range, STR("*/*")))
        return 1;
    bool main_range = range.len == main_type.len + 1 && str_starts_nocase(range, main_type) &&
                      range.at[range.len - 1] == '*';
    return main_range ? 2 : 0;
}

struct wish {
    int precision, weight;
};

/* The most precise member decides (RFC 9110 12.5.1). */
static void note_wish(struct wish *wish, int precise, int weight)
{
    if (precise > wish->precision || (precise == wish->precision && weight > wish->weight)) {
        wish->precision = precise;
        wish->weight = weight;
    }
}

bool accept_prefers_json(const struct message *request)
{
    struct wish html = {0, 0}, json = {0, 0};
    uint32_t at = 0;
    for (const struct field *f; (f = message_next(request, HEADER_ACCEPT, &at)) != NULL;) {
        struct str rest = f->value, member, range;
        int weight;
        while (header_list_next(&rest, &member)) {
            if (!split_member(member, &range, &weight))
                continue;
            note_wish(&html, precision(range, STR("text/"), STR("text/html")), weight);
            bool suffix =
                range.len > 5 && str_eq_nocase(str_skip(range, range.len - 5), STR("+json"));
            note_wish(&json,
                      suffix ? 3 : precision(range, STR("application/"), STR("application/json")),
                      weight);
        }
    }
    return json.weight > html.weight ||
           (json.weight == html.weight && json.weight > 0 && json.precision > html.precision);
}
