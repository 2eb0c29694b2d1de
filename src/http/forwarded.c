#include "http/forwarded.h"

#include "http/grammar.h"

bool forwarded_is_trusted(const struct addr *addr, const struct cidr *trusted, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (cidr_has(&trusted[i], addr))
            return true;
    return false;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* "1.2.3.4", "1.2.3.4:5678", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:5678" */
static bool parse_hop(struct str text, struct addr *addr)
{
    if (str_find_byte(text, '%') != SIZE_MAX) /* a zone means nothing on another host */
        return false;
    if (!addr_parse_ip(text, addr) && !addr_parse_ip_port(text, addr))
        return false;
    addr->port = 0;
    return true;
}

/* Takes the rightmost member of a comma-separated list, trimmed; empty ones are skipped. */
static bool take_last(struct str *rest, struct str *member)
{
    while (rest->len != 0) {
        size_t begin = rest->len;
        while (begin > 0 && rest->at[begin - 1] != ',')
            begin--;
        *member = str_trim(str_skip(*rest, begin));
        *rest = str_sub(*rest, 0, begin ? begin - 1 : 0);
        if (member->len != 0)
            return true;
    }
    return false;
}

/* The node of `for=` in one forwarded-element, without quotes (RFC 7239 4, 6). */
static bool element_for(struct str element, struct str *node)
{
    struct str pair;
    while (str_split(&element, ';', &pair)) {
        pair = str_trim(pair);
        if (!str_starts_nocase(pair, STR("for=")))
            continue;
        *node = str_skip(pair, 4);
        if (node->len >= 2 && node->at[0] == '"' && node->at[node->len - 1] == '"')
            *node = str_sub(*node, 1, node->len - 2);
        return true;
    }
    return false;
}

struct walk {
    const struct cidr *trusted;
    size_t trusted_count;
    bool is_forwarded; /* members are elements of Forwarded */
    struct addr *client;
};

/* One field's members from the right. False: the walk is over. */
static bool walk_value(const struct walk *walk, struct str value)
{
    struct str member;
    while (take_last(&value, &member)) {
        struct addr hop;
        if (walk->is_forwarded && !element_for(member, &member))
            return false;
        if (!parse_hop(member, &hop))
            return false;
        *walk->client = hop;
        if (!forwarded_is_trusted(&hop, walk->trusted, walk->trusted_count))
            return false;
    }
    return true;
}

void forwarded_client(const struct message *message, const struct addr *peer,
                      const struct cidr *trusted, size_t trusted_count, struct addr *client)
{
    *client = *peer;
    if (!forwarded_is_trusted(peer, trusted, trusted_count))
        return;
    enum header_id id =
        message_get(message, HEADER_X_FORWARDED_FOR) ? HEADER_X_FORWARDED_FOR : HEADER_FORWARDED;
    struct walk walk = {trusted, trusted_count, id == HEADER_FORWARDED, client};
    for (uint32_t i = message->count; i-- > 0;) {
        const struct field *field = &message->fields[i];
        if (field->id == id && (field->flags & FIELD_REMOVED) == 0 &&
            !walk_value(&walk, field->value))
            return;
    }
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The received values of one name, joined, each followed by ", ". */
static void add_received(struct text *out, const struct message *message, enum header_id id)
{
    uint32_t at = 0;
    for (const struct field *f; (f = message_next(message, id, &at)) != NULL;) {
        if (f->value.len == 0)
            continue;
        text_add(out, f->value);
        text_add(out, STR(", "));
    }
}

void forwarded_add_xff(struct text *out, const struct message *message, bool keep,
                       const struct addr *peer)
{
    if (keep)
        add_received(out, message, HEADER_X_FORWARDED_FOR);
    addr_add_text(out, peer);
}

/* quoted-string (RFC 9110 5.6.4) */
static void add_quoted(struct text *out, struct str value)
{
    text_add_byte(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] == '"' || value.at[i] == '\\')
            text_add_byte(out, '\\');
        text_add_byte(out, value.at[i]);
    }
    text_add_byte(out, '"');
}

/* Could not end its pair early, though it need not be a token. */
static bool is_plain(struct str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (!grammar_is(value.at[i], GRAMMAR_HOST) && value.at[i] != ':' && value.at[i] != '[' &&
            value.at[i] != ']')
            return false;
    return value.len != 0;
}

static void add_value(struct text *out, enum forwarded_form form, struct str value)
{
    if (grammar_token(value) || (form == FORWARDED_UNQUOTED && is_plain(value)))
        text_add(out, value);
    else
        add_quoted(out, value);
}

void forwarded_add_node(struct text *out, enum forwarded_form form, const struct addr *addr)
{
    char memory[80];
    struct text node = text_over(memory, sizeof memory);
    if (addr->family == ADDR_IP6)
        text_add_byte(&node, '[');
    addr_add_text(&node, addr);
    if (addr->family == ADDR_IP6)
        text_add_byte(&node, ']');
    text_add(out, STR("for="));
    add_value(out, form, text_str(&node));
}

void forwarded_add(struct text *out, const struct message *message, bool keep,
                   enum forwarded_form form, const struct addr *peer, struct str host,
                   struct str proto)
{
    if (keep)
        add_received(out, message, HEADER_FORWARDED);
    forwarded_add_node(out, form, peer);
    if (host.len) {
        text_add(out, STR(";host="));
        add_value(out, form, host);
    }
    text_add(out, STR(";proto="));
    add_value(out, form, proto);
}
