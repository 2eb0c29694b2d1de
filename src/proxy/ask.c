#include "proxy/ask.h"

#include "base/text.h"
#include "http/authority.h"
#include "net/addr.h"

static bool take_scheme(struct str *url, bool *tls)
{
    *tls = str_starts_nocase(*url, STR("https://"));
    if (!*tls && !str_starts_nocase(*url, STR("http://")))
        return false;
    *url = str_skip(*url, *tls ? 8 : 7);
    return true;
}

static struct str authority_of(struct str rest)
{
    size_t end = 0;
    while (end < rest.len && rest.at[end] != '/' && rest.at[end] != '?' && rest.at[end] != '#')
        end++;
    return str_sub(rest, 0, end);
}

bool ask_set_host(struct arena *arena, struct str name, struct ask *ask)
{
    struct addr addr;
    struct text host = text_in(arena, 512);
    bool ip6 = str_find_byte(name, ':') != SIZE_MAX;
    text_printf(&host, ip6 ? "[%.*s]" : "%.*s", STR_ARG(name));
    if (ask->port != (ask->tls ? 443 : 80))
        text_printf(&host, ":%u", (unsigned)ask->port);
    ask->name = name;
    ask->is_address = addr_parse_ip(name, &addr);
    ask->host = text_str(&host);
    return text_ok(&host);
}

bool ask_read_url(struct arena *arena, struct str url, struct ask *ask, const char **why)
{
    struct authority authority;
    *why = "a URL begins with http:// or https://";
    if (!take_scheme(&url, &ask->tls))
        return false;
    struct str host = authority_of(url);
    struct str target = str_skip(url, host.len);
    *why = "this is no host that a request could name";
    if (!authority_parse(arena, host, &authority))
        return false;
    ask->port = authority.has_port ? authority.port : ask->tls ? 443 : 80;
    target = str_sub(target, 0, str_find_byte(target, '#'));
    if (target.len == 0 || target.at[0] != '/')
        target = str_printf(arena, "/%.*s", STR_ARG(target));
    ask->target = target;
    *why = "no memory";
    return target.at != NULL && ask_set_host(arena, authority.host, ask);
}

static bool says(const struct ask *ask, struct str name)
{
    for (size_t i = 0; i < ask->field_count; i++)
        if (str_eq_nocase(ask->fields[i].name, name))
            return true;
    return false;
}

struct str ask_head(struct arena *arena, const struct ask *ask)
{
    struct text head = text_in(arena, ASK_HEAD_BYTES_MAX);
    text_printf(&head, "%.*s %.*s HTTP/1.1\r\n", STR_ARG(ask->method), STR_ARG(ask->target));
    if (!says(ask, STR("Host")))
        text_printf(&head, "Host: %.*s\r\n", STR_ARG(ask->host));
    for (size_t i = 0; i < ask->field_count; i++) {
        text_add(&head, ask->fields[i].name);
        text_add_z(&head, ": ");
        text_add(&head, ask->fields[i].value);
        text_add_z(&head, "\r\n");
    }
    if (ask->body_bytes != 0 && !says(ask, STR("Content-Length")) &&
        !says(ask, STR("Transfer-Encoding")))
        text_printf(&head, "Content-Length: %llu\r\n", (unsigned long long)ask->body_bytes);
    text_add_z(&head, "\r\n");
    return text_ok(&head) ? text_str(&head) : (struct str){0};
}

struct str ask_sni(const struct ask *ask)
{
    return ask->tls && !ask->is_address ? ask->name : (struct str){0};
}
