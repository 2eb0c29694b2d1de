#include "proxy/link.h"

#include "http/cookie.h"
#include "http/grammar.h"
#include "proxy/exchange.h"
#include "upstream/upstream.h"

#define LINK_BYTES_MAX ((size_t)16 * 1024)

/* As it stands in a URL, which is how origins and browsers write it: patterns are written decoded.
 */
static struct str encoded(struct arena *arena, struct str path)
{
    struct text out = text_in(arena, LINK_BYTES_MAX);
    uri_add_encoded(&out, URI_PATH, path);
    return text_ok(&out) ? text_str(&out) : (struct str){0};
}

static bool is_unreserved(struct str path)
{
    size_t i = 0;
    while (i < path.len && (path.at[i] == '/' || (grammar_is(path.at[i], GRAMMAR_HOST))))
        i++;
    return i == path.len;
}

struct str link_prefix(struct arena *arena, const struct route *route)
{
    if (route == NULL || !route->strip)
        return (struct str){0};
    struct str prefix = route->path;
    while (prefix.len != 0 && prefix.at[prefix.len - 1] == '/')
        prefix.len--;
    return is_unreserved(prefix) ? prefix : encoded(arena, prefix);
}

/* Is this host:port the origin's own, or the public one by any of its names for this request? */
static bool is_ours(struct exchange *x, struct str authority, bool https)
{
    struct authority named;
    if (!authority_parse(x->arena, authority, &named))
        return false;
    uint16_t port = named.has_port ? named.port : https ? 443 : 80;
    const struct upstream_conf *upstream = x->target ? x->target->upstream : NULL;
    for (unsigned i = 0; upstream != NULL && i < upstream->origin_count; i++) {
        const struct origin_conf *origin = &upstream->origins[i];
        if (str_eq_nocase(named.host, origin->host) && port == origin->port)
            return true;
    }
    if (x->conf->host_mode == HOST_NAME && str_eq_nocase(authority, x->conf->host_name))
        return true;
    /* The public name: without a port (the origin does not know it), or with the one asked for. */
    return str_eq(named.host, x->host.host) &&
           (!named.has_port || (x->host.has_port && named.port == x->host.port) ||
            (!x->host.has_port && (named.port == 443 || named.port == 80)));
}

/* Cuts "http://host:port" of ours off; what is left begins with '/', '?' or '#', or is empty. */
static bool cut_origin(struct exchange *x, struct str *url)
{
    bool http = str_starts_nocase(*url, STR("http://"));
    bool https = str_starts_nocase(*url, STR("https://"));
    if (!http && !https)
        return false;
    struct str rest = str_skip(*url, http ? 7 : 8);
    size_t end = 0;
    while (end < rest.len && rest.at[end] != '/' && rest.at[end] != '?' && rest.at[end] != '#')
        end++;
    if (!is_ours(x, str_sub(rest, 0, end), https))
        return false;
    *url = str_skip(rest, end);
    return true;
}

static bool below(struct str path, struct str prefix)
{
    return str_starts(path, prefix) && (path.len == prefix.len || path.at[prefix.len] == '/' ||
                                        path.at[prefix.len] == '?' || path.at[prefix.len] == '#');
}

/* As browsers read it: '\' is a slash, and a tab is not there at all. */
static bool is_slash(char c)
{
    return c == '/' || c == '\\' || c == '\t';
}

static bool rewrite_url(struct exchange *x, struct str url, struct str *value)
{
    struct str prefix = link_prefix(x->arena, x->match.route);
    bool cut = cut_origin(x, &url);
    bool absolute_path = url.len != 0 && url.at[0] == '/';
    if (!cut && (!absolute_path || prefix.len == 0))
        return false;
    /* "//host" and "/\host" lead elsewhere; that is the origin's own word, and stays it. */
    bool foreign = url.len > 1 && absolute_path && is_slash(url.at[1]);
    if (!cut && (foreign || below(url, prefix)))
        return false;
    struct text out = text_in(x->arena, LINK_BYTES_MAX);
    if (prefix.len != 0 && !below(url, prefix))
        text_add(&out, prefix);
    /* Behind a cut host the path may begin with two slashes: they would name a host. */
    while (foreign && url.len != 0 && is_slash(url.at[0]))
        url = str_skip(url, 1);
    if (!absolute_path || foreign)
        text_add_byte(&out, '/');
    text_add(&out, url);
    *value = text_str(&out);
    return text_ok(&out);
}

/* "5; url=/x" (the WHATWG's grammar is looser; what it adds is left alone). */
static bool rewrite_refresh(struct exchange *x, struct str refresh, struct str *value)
{
    size_t at = 0;
    while (at < refresh.len && refresh.at[at] != ';' && refresh.at[at] != ',')
        at++;
    struct str rest = str_trim(str_skip(refresh, at + 1));
    if (!str_starts_nocase(rest, STR("url=")))
        return false;
    struct str url = str_trim(str_skip(rest, 4)), changed;
    if (url.len >= 2 && (url.at[0] == '"' || url.at[0] == '\'') && url.at[url.len - 1] == url.at[0])
        url = str_sub(url, 1, url.len - 2);
    if (!rewrite_url(x, url, &changed))
        return false;
    struct text out = text_in(x->arena, LINK_BYTES_MAX);
    text_add(&out, str_sub(refresh, 0, at));
    text_add_z(&out, "; url=");
    text_add(&out, changed);
    *value = text_str(&out);
    return text_ok(&out);
}

static bool rewrite_cookie(struct exchange *x, struct str cookie, struct str *value)
{
    struct text out = text_in(x->arena, LINK_BYTES_MAX);
    const struct upstream_conf *upstream = x->target ? x->target->upstream : NULL;
    struct cookie_route route = {
        .prefix = link_prefix(x->arena, x->match.route),
        .origin_host =
            upstream && upstream->origin_count ? upstream->origins[0].host : (struct str){0},
    };
    if (!cookie_rewrite(&out, cookie, &route) || !text_ok(&out))
        return false;
    *value = text_str(&out);
    return true;
}

bool link_rewrite(struct exchange *x, const struct field *field, struct str *value)
{
    if (field->flags & FIELD_REMOVED)
        return false;
    switch (field->id) {
    case HEADER_LOCATION:
    case HEADER_CONTENT_LOCATION:
        return rewrite_url(x, field->value, value);
    case HEADER_REFRESH:
        return rewrite_refresh(x, field->value, value);
    case HEADER_SET_COOKIE:
        return rewrite_cookie(x, field->value, value);
    default:
        return false;
    }
}
