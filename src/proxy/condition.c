/* The `when` lines of routes. */
#include "base/regex.h"
#include "proxy/route.h"

static bool value_listed(const struct condition *c, struct str value)
{
    for (size_t i = 0; i < c->value_count; i++)
        if (str_eq(c->values[i], value))
            return true;
    return c->value_count == 0; /* no value means present */
}

static bool method_holds(const struct condition *c, const struct route_query *query)
{
    return value_listed(c, query->request->method_text);
}

static bool header_holds(const struct condition *c, const struct route_query *query)
{
    const struct message *message = query->request;
    for (uint32_t i = 0; i < message->count; i++) {
        const struct field *field = &message->fields[i];
        if ((field->flags & FIELD_REMOVED) == 0 && str_eq_nocase(field->name, c->name) &&
            value_listed(c, field->value))
            return true;
    }
    return false;
}

/*
 * Does a piece of a query mean `plain`? It is compared decoded: `%XX`, and `+` for a space, as
 * forms write it (WHATWG URL 5.1).
 */
static bool form_eq(struct str raw, struct str plain)
{
    size_t at = 0;
    for (size_t i = 0; i < raw.len; at++) {
        char c = raw.at[i] == '+' ? ' ' : raw.at[i];
        size_t taken = 1;
        if (c == '%' && i + 2 < raw.len && char_hex(raw.at[i + 1]) >= 0 &&
            char_hex(raw.at[i + 2]) >= 0) {
            c = (char)(char_hex(raw.at[i + 1]) * 16 + char_hex(raw.at[i + 2]));
            taken = 3;
        }
        if (at >= plain.len || plain.at[at] != c)
            return false;
        i += taken;
    }
    return at == plain.len;
}

static bool query_value_listed(const struct condition *c, struct str raw)
{
    for (size_t i = 0; i < c->value_count; i++)
        if (form_eq(raw, c->values[i]))
            return true;
    return c->value_count == 0;
}

static bool query_holds(const struct condition *c, const struct route_query *query)
{
    struct str rest = query->query, pair;
    while (str_split(&rest, '&', &pair)) {
        size_t equals = str_find_byte(pair, '=');
        if (equals == SIZE_MAX)
            equals = pair.len;
        struct str name = str_sub(pair, 0, equals), value = str_skip(pair, equals + 1);
        if (form_eq(name, c->name) && query_value_listed(c, value))
            return true;
    }
    return false;
}

/* One Cookie field may hold many pairs, and HTTP/2 clients send many fields (RFC 6265 4.2.1). */
static bool cookie_holds(const struct condition *c, const struct route_query *query)
{
    const struct field *field;
    for (uint32_t at = 0; (field = message_next(query->request, HEADER_COOKIE, &at)) != NULL;) {
        struct str rest = field->value, pair;
        while (str_split(&rest, ';', &pair)) {
            pair = str_trim(pair);
            size_t equals = str_find_byte(pair, '=');
            if (equals != SIZE_MAX && str_eq(str_sub(pair, 0, equals), c->name) &&
                value_listed(c, str_skip(pair, equals + 1)))
                return true;
        }
    }
    return false;
}

static bool from_holds(const struct condition *c, const struct route_query *query)
{
    for (size_t i = 0; i < c->net_count; i++)
        if (cidr_has(&c->nets[i], query->client))
            return true;
    return false;
}

static bool path_holds(const struct condition *c, const struct route_query *query)
{
    enum regex_result result = regex_match(c->regex, query->path, NULL);
    if (result == REGEX_LIMIT && query->undecided != NULL)
        *query->undecided = true;
    return result == REGEX_MATCH;
}

bool condition_holds(const struct condition *c, const struct route_query *query)
{
    static bool (*const kinds[])(const struct condition *, const struct route_query *) = {
        [CONDITION_METHOD] = method_holds, [CONDITION_HEADER] = header_holds,
        [CONDITION_QUERY] = query_holds,   [CONDITION_COOKIE] = cookie_holds,
        [CONDITION_FROM] = from_holds,     [CONDITION_PATH] = path_holds,
    };
    return kinds[c->kind](c, query) != c->negated;
}
