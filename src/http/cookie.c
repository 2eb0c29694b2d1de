#include "http/cookie.h"

/* Splits at the first '='; without one all is value. */
static void split_pair(struct str pair, struct str *name, struct str *value)
{
    size_t equals = str_find_byte(pair, '=');
    if (equals == SIZE_MAX) {
        *name = (struct str){.at = "", .len = 0};
        *value = str_trim(pair);
        return;
    }
    *name = str_trim(str_sub(pair, 0, equals));
    *value = str_trim(str_skip(pair, equals + 1));
}

bool cookie_next(struct str *rest, struct str *name, struct str *value)
{
    struct str pair;
    while (str_split(rest, ';', &pair)) {
        split_pair(pair, name, value);
        if (name->len || value->len)
            return true;
    }
    return false;
}

bool cookie_get(const struct message *message, struct str name, struct str *value)
{
    uint32_t at = 0;
    for (const struct field *f; (f = message_next(message, HEADER_COOKIE, &at)) != NULL;) {
        struct str rest = f->value, found, found_value;
        while (cookie_next(&rest, &found, &found_value)) {
            if (!str_eq(found, name))
                continue;
            if (value != NULL)
                *value = found_value;
            return true;
        }
    }
    return false;
}

void cookie_add_masked(struct text *out, struct str value, bool is_set_cookie)
{
    struct str name, secret;
    bool first = true;
    while (cookie_next(&value, &name, &secret)) {
        if (!first)
            text_add(out, STR("; "));
        bool attribute = is_set_cookie && !first;
        text_add(out, name);
        if (name.len)
            text_add_byte(out, '=');
        text_add(out, attribute ? secret : STR("***"));
        first = false;
    }
}

static bool is_below(struct str path, struct str prefix)
{
    return str_starts(path, prefix) && (path.len == prefix.len || path.at[prefix.len] == '/');
}

static bool moves(struct str path, const struct cookie_route *route)
{
    return route->prefix.len && path.len && path.at[0] == '/' && !is_below(path, route->prefix);
}

static bool is_origin(struct str domain, const struct cookie_route *route)
{
    if (domain.len && domain.at[0] == '.') /* RFC 6265 5.2.3 */
        domain = str_skip(domain, 1);
    return domain.len && str_eq_nocase(domain, route->origin_host);
}

/* One attribute; false when it went out as it was. */
static bool rewrite_attribute(struct text *out, struct str attribute, bool keep_path,
                              const struct cookie_route *route)
{
    struct str name, value;
    split_pair(attribute, &name, &value);
    if (str_eq_nocase(name, STR("Domain")) && is_origin(value, route))
        return true;
    text_add_byte(out, ';');
    if (keep_path || !str_eq_nocase(name, STR("Path")) || !moves(value, route)) {
        text_add(out, attribute);
        return false;
    }
    text_add(out, STR(" Path="));
    text_add(out, route->prefix);
    text_add(out, value);
    return true;
}

bool cookie_rewrite(struct text *out, struct str set_cookie, const struct cookie_route *route)
{
    struct str attribute, before = text_str(out);
    if (!str_split(&set_cookie, ';', &attribute))
        return false;
    bool keep_path = str_starts_nocase(str_trim(attribute), STR("__Host-"));
    bool changed = false;
    text_add(out, attribute);
    while (str_split(&set_cookie, ';', &attribute))
        changed = rewrite_attribute(out, attribute, keep_path, route) || changed;
    if (!changed)
        out->len = before.len;
    return changed;
}
