#include "http/accept.h"

#include "http/grammar.h"

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
