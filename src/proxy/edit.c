#include "proxy/edit.h"

#include "base/regex.h"
#include "http/date.h"
#include "http/forwarded.h"
#include "proxy/exchange.h"
#include "proxy/front_state.h"
#include "proxy/link.h"
#include "proxy/session.h"
#include "proxy/trace.h"
#include "upstream/upstream.h"

#include <string.h>

/* The longest value or target that is built here; above it stands the limit of a head's line. */
#define VALUE_BYTES_MAX ((size_t)16 * 1024)

/* ---- what goes ---- */

/* RFC 9110 7.6.1, and those of old practice. */
static bool is_hop_by_hop(unsigned id)
{
    switch (id) {
    case HEADER_CONNECTION:
    case HEADER_KEEP_ALIVE:
    case HEADER_PROXY_CONNECTION:
    case HEADER_PROXY_AUTHENTICATE:
    case HEADER_PROXY_AUTHORIZATION:
    case HEADER_TE:
    case HEADER_TRAILER:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_UPGRADE:
    case HEADER_HTTP2_SETTINGS:
        return true;
    default:
        return false;
    }
}

/* Fields that say who the client is or what it really asked for: only a trusted proxy may. */
static bool poses_as_proxy(const struct field *field)
{
    switch (field->id) {
    case HEADER_FORWARDED:
    case HEADER_X_REAL_IP:
    case HEADER_X_CLIENT_IP:
    case HEADER_TRUE_CLIENT_IP:
    case HEADER_CF_CONNECTING_IP:
    case HEADER_X_ORIGINAL_URL:
    case HEADER_X_REWRITE_URL:
    case HEADER_X_HTTP_METHOD_OVERRIDE:
        return true;
    default:
        return str_starts_nocase(field->name, STR("X-Forwarded-"));
    }
}

static bool named_in_connection(const struct message *message, struct str name)
{
    uint32_t at = 0;
    for (const struct field *f; (f = message_next(message, HEADER_CONNECTION, &at)) != NULL;)
        if (header_list_has(f->value, name))
            return true;
    return false;
}

/* Does the configuration set this name towards some origin? Then no client may. */
static bool set_by_us(const struct exchange *x, struct str name)
{
    if (x->snapshot == NULL || x->snapshot->request_names.count == 0)
        return false;
    struct str lower = str_lower(x->arena, name);
    /* Without memory it is taken for ours: what is in doubt does not go on. */
    return lower.at == NULL || map_get(&x->snapshot->request_names, lower) != NULL;
}

/* Why a received field does not go on to the origin; NULL: it does. */
static const char *held_back(const struct exchange *x, const struct field *field, bool lists_more)
{
    if (field->id == HEADER_HOST)
        return "the `host` setting says which Host the origin sees";
    if (is_hop_by_hop(field->id) || field->id == HEADER_PROXY)
        return "it concerns this connection alone";
    if (field->id == HEADER_X_REQUEST_ID)
        return "each request gets a reference of ours";
    if (str_find_byte(field->name, '_') != SIZE_MAX)
        return "many origins read '_' in a name as '-'"; /* X_Forwarded_For as X-Forwarded-For */
    if (lists_more && named_in_connection(&x->message, field->name))
        return "Connection names it";
    if (field->id == HEADER_X_FORWARDED_FOR || field->id == HEADER_FORWARDED)
        return "it is written anew"; /* with the received list where that is trusted */
    if (x->peer_trusted)
        return field->id == HEADER_X_FORWARDED_PREFIX ? "only `strip` says it" : NULL;
    if (poses_as_proxy(field))
        return "only a trusted proxy may say it";
    return set_by_us(x, field->name) ? "a `header request` line of the configuration says it"
                                     : NULL;
}

/* ---- towards the origin ---- */

void edit_values(struct exchange *x, struct template_values *values)
{
    char text[80];
    struct text client = text_over(text, sizeof text);
    addr_add_text(&client, &x->client);
    *values = (struct template_values){
        .client = str_dup(x->arena, text_str(&client)),
        .host = x->host.host,
        .scheme = x->record.scheme,
        .method = x->message.method_text,
        .path = x->uri.path,
        .query = x->uri.query,
        .request_id = access_record_reference(&x->record),
        .rest = x->match.rest,
        .groups = x->match.groups,
    };
}

static struct str host_of_origin(struct exchange *x, const struct origin_conf *origin)
{
    struct text host = text_in(x->arena, VALUE_BYTES_MAX);
    if (origin->host.len == 0)
        return STR("localhost");
    bool ip6 = str_find_byte(origin->host, ':') != SIZE_MAX;
    text_printf(&host, ip6 ? "[%.*s]" : "%.*s", STR_ARG(origin->host));
    if (origin->port != (origin->tls ? 443 : 80))
        text_printf(&host, ":%u", (unsigned)origin->port);
    return text_str(&host);
}

void edit_host(struct exchange *x, unsigned origin_index)
{
    const struct upstream_conf *upstream = x->target->upstream;
    struct message *head = &x->upstream_head;
    if (x->conf->host_mode != HOST_ORIGIN || upstream->origin_count < 2)
        return;
    /* Ours is the first field, unless a `header` line has put another in its place. */
    if (head->fields[0].id == HEADER_HOST && !(head->fields[0].flags & FIELD_REMOVED))
        head->fields[0].value = host_of_origin(x, &upstream->origins[origin_index]);
}

static bool add_host(struct exchange *x)
{
    struct message *head = &x->upstream_head;
    switch (x->conf->host_mode) {
    case HOST_NAME:
        return message_add_id(head, HEADER_HOST, x->conf->host_name);
    case HOST_ORIGIN:
        return message_add_id(head, HEADER_HOST,
                              host_of_origin(x, &x->target->upstream->origins[0]));
    default:
        return message_add_id(head, HEADER_HOST,
                              x->record.host.len ? x->record.host : STR("localhost"));
    }
}

static bool copy_fields(struct exchange *x)
{
    const struct message *from = &x->message;
    /* `Connection: close` and `keep-alive` are all that most clients send; they name no field. */
    struct str connection = message_value(from, HEADER_CONNECTION);
    uint32_t at = 0;
    message_next(from, HEADER_CONNECTION, &at);
    bool lists_more = connection.len != 0 && (!(str_eq_nocase(connection, STR("keep-alive")) ||
                                                str_eq_nocase(connection, STR("close"))) ||
                                              message_next(from, HEADER_CONNECTION, &at) != NULL);
    for (uint32_t i = 0; i < from->count; i++) {
        const struct field *field = &from->fields[i];
        if (field->flags & FIELD_REMOVED)
            continue;
        const char *why = held_back(x, field, lists_more);
        if (why != NULL) {
            if (field->id != HEADER_HOST) /* there is always one */
                trace_held_back(x->trace, field->name, why);
            continue;
        }
        if (!message_push_field(&x->upstream_head, field))
            return false;
    }
    return true;
}

/* A trusted proxy told the client in the other of the two fields: whichever an origin reads, it
 * must not take that proxy for the client (RFC 7239 7.4). */
static bool told_elsewhere(const struct exchange *x, enum header_id id)
{
    return x->peer_trusted && message_get(&x->message, id) == NULL &&
           !addr_eq_host(&x->client, &x->session->peer);
}

static bool add_forwarded(struct exchange *x)
{
    struct message *head = &x->upstream_head;
    const struct addr *peer = &x->session->peer;
    struct text xff = text_in(x->arena, VALUE_BYTES_MAX);
    if (told_elsewhere(x, HEADER_X_FORWARDED_FOR)) {
        addr_add_text(&xff, &x->client);
        text_add(&xff, STR(", "));
    }
    forwarded_add_xff(&xff, &x->message, x->peer_trusted, peer);
    if (!text_ok(&xff) || !message_add_id(head, HEADER_X_FORWARDED_FOR, text_str(&xff)))
        return false;
    if (message_get(head, HEADER_X_FORWARDED_PROTO) == NULL &&
        !message_add_id(head, HEADER_X_FORWARDED_PROTO, x->record.scheme))
        return false;
    if (message_get(head, HEADER_X_FORWARDED_HOST) == NULL && x->record.host.len != 0 &&
        !message_add_id(head, HEADER_X_FORWARDED_HOST, x->record.host))
        return false;
    if (x->conf->forwarded == FORWARDED_MODE_OFF)
        return true;
    struct text forwarded = text_in(x->arena, VALUE_BYTES_MAX);
    enum forwarded_form form =
        x->conf->forwarded == FORWARDED_MODE_UNQUOTED ? FORWARDED_UNQUOTED : FORWARDED_STANDARD;
    if (told_elsewhere(x, HEADER_FORWARDED)) {
        forwarded_add_node(&forwarded, form, &x->client);
        text_add(&forwarded, STR(", "));
    }
    forwarded_add(&forwarded, &x->message, x->peer_trusted, form, peer, x->record.host,
                  x->record.scheme);
    return text_ok(&forwarded) && message_add_id(head, HEADER_FORWARDED, text_str(&forwarded));
}

static bool add_prefix(struct exchange *x)
{
    if (!x->match.route->strip)
        return true;
    struct str prefix = link_prefix(x->arena, x->match.route);
    return prefix.len == 0 || message_add_id(&x->upstream_head, HEADER_X_FORWARDED_PREFIX, prefix);
}

/* The `header` lines of one direction, outer first. */
static bool apply_lines(struct exchange *x, struct message *message, bool response)
{
    struct template_values values;
    bool have_values = false;
    for (size_t i = 0; i < x->conf->header_count; i++) {
        const struct header_edit *edit = &x->conf->headers[i];
        if (edit->response != response || edit->op == HEADER_KEEP)
            continue;
        if (edit->op == HEADER_REMOVE) {
            trace_header(x->trace, edit, response, 0);
            message_remove(message, edit->name);
            continue;
        }
        if (!have_values)
            edit_values(x, &values);
        have_values = true;
        struct text value = text_in(x->arena, VALUE_BYTES_MAX);
        template_expand(&edit->value, &values, TEMPLATE_IN_HEADER, &value);
        struct str trimmed = str_trim(text_str(&value));
        bool added =
            text_ok(&value) && (edit->op == HEADER_SET ? message_set(message, edit->name, trimmed)
                                                       : message_add(message, edit->name, trimmed));
        if (!added)
            return false;
        trace_header(x->trace, edit, response, message->count - 1);
    }
    return true;
}

static bool ask_upgrade(struct exchange *x)
{
    if (!x->websocket_asked)
        return true;
    return message_add_id(&x->upstream_head, HEADER_CONNECTION, STR("Upgrade")) &&
           message_add_id(&x->upstream_head, HEADER_UPGRADE, STR("websocket"));
}

static bool build_head(struct exchange *x)
{
    struct message *head = &x->upstream_head;
    message_init(head, x->arena);
    head->version = 11;
    head->method = x->message.method;
    head->method_text = x->message.method_text;
    head->framing = x->message.framing;
    head->content_length = x->message.content_length;
    head->has_content_length = x->message.has_content_length;
    head->expect_continue = x->message.expect_continue;
    return add_host(x) && copy_fields(x) && add_forwarded(x) && add_prefix(x) &&
           message_add_id(head, HEADER_X_REQUEST_ID, access_record_reference(&x->record)) &&
           apply_lines(x, head, false) && ask_upgrade(x);
}

bool edit_path(struct exchange *x, struct str *path, const char **why)
{
    const struct route *route = x->match.route;
    struct str groups[REGEX_GROUPS_MAX] = {{0}};
    struct template_values values;
    edit_values(x, &values);
    *why = NULL;
    if (route->rewrite_regex != NULL) {
        enum regex_result result = regex_match(route->rewrite_regex, x->uri.path, groups);
        if (result == REGEX_LIMIT) { /* whether it would match is not known: nothing is guessed */
            *why = "the expression of `rewrite` needs too many steps for this path";
            return false;
        }
        if (result == REGEX_NO_MATCH) {
            *path = x->uri.path;
            return true;
        }
        values.groups = groups;
    }
    struct text text = text_in(x->arena, VALUE_BYTES_MAX);
    template_expand(&route->rewrite, &values, TEMPLATE_IN_PATH, &text);
    *path = text_str(&text);
    *why = text_ok(&text) ? uri_path_fault(*path) : "the rewritten path is too long";
    return *why == NULL;
}

/* The target for the origin where a route rewrites it: a new path, never a new query. */
static bool rewrite_target(struct exchange *x, struct text *target, const char **why)
{
    struct str path;
    if (!edit_path(x, &path, why))
        return false;
    uri_add_encoded(target, URI_PATH, path);
    if (x->uri.has_query) {
        text_add_byte(target, '?');
        text_add(target, x->uri.query);
    }
    return true;
}

bool edit_request(struct exchange *x, const char **why)
{
    struct text target = text_in(x->arena, VALUE_BYTES_MAX);
    const struct route *route = x->match.route;
    *why = "the request with our fields does not fit into memory, or may not be written";
    if (route->rewrite.count != 0) {
        if (!rewrite_target(x, &target, why))
            return false;
    } else if (route->strip) {
        uri_add_stripped(&target, &x->uri, route->path.len);
    } else {
        uri_add_target(&target, &x->uri);
    }
    x->upstream_target = text_str(&target);
    return text_ok(&target) && build_head(x);
}

/* ---- towards the client ---- */

static bool is_kept(const struct exchange *x, struct str name)
{
    for (size_t i = 0; i < x->conf->header_count; i++) {
        const struct header_edit *edit = &x->conf->headers[i];
        if (edit->op == HEADER_KEEP && str_eq_nocase(edit->name, name))
            return true;
    }
    return false;
}

/* What Connection names goes first: once it is gone itself, nobody knows what it named. */
static void remove_hop_by_hop(struct message *message)
{
    bool lists = message_get(message, HEADER_CONNECTION) != NULL;
    for (uint32_t i = 0; lists && i < message->count; i++) {
        struct field *field = &message->fields[i];
        if (field->id != HEADER_CONTENT_LENGTH && field->id != HEADER_CONNECTION &&
            named_in_connection(message, field->name))
            field->flags |= FIELD_REMOVED;
    }
    for (uint32_t i = 0; i < message->count; i++)
        if (is_hop_by_hop(message->fields[i].id))
            message->fields[i].flags |= FIELD_REMOVED;
}

/* What tells of the origin: its software, and doors beside ours. */
static bool tells_of_origin(const struct exchange *x, const struct field *field)
{
    switch (field->id) {
    case HEADER_SERVER:
    case HEADER_X_POWERED_BY:
    case HEADER_X_ASPNET_VERSION:
        return !is_kept(x, field->name);
    case HEADER_ALT_SVC:
        return true;
    default:
        return false;
    }
}

static bool trailer_passes(const struct exchange *x, const struct field *field, bool to_origin)
{
    if (is_hop_by_hop(field->id))
        return false;
    if (!to_origin)
        return !tells_of_origin(x, field);
    return field->id == HEADER_OTHER && !poses_as_proxy(field) && !set_by_us(x, field->name) &&
           str_find_byte(field->name, '_') == SIZE_MAX;
}

const struct message *edit_trailers(struct exchange *x, const struct message *received,
                                    bool to_origin)
{
    struct message *passed = received ? ARENA_NEW(x->arena, struct message) : NULL;
    if (passed == NULL)
        return NULL;
    message_init(passed, x->arena);
    for (uint32_t i = 0; i < received->count; i++) {
        const struct field *field = &received->fields[i];
        if (trailer_passes(x, field, to_origin) && !message_push_field(passed, field))
            return NULL;
    }
    return passed->count ? passed : NULL;
}

static void edit_origins_fields(struct exchange *x)
{
    struct message *answer = &x->answer;
    remove_hop_by_hop(answer);
    for (uint32_t i = 0; i < answer->count; i++) {
        struct field *field = &answer->fields[i];
        if (tells_of_origin(x, field)) {
            field->flags |= FIELD_REMOVED;
            continue;
        }
        struct str value;
        if (link_rewrite(x, field, &value))
            field->value = value;
    }
}

static void add_own_fields(struct exchange *x)
{
    struct message *answer = &x->answer;
    struct str reference = access_record_reference(&x->record);
    bool ok = message_set_id(answer, HEADER_X_REQUEST_ID, reference);
    if (message_get(answer, HEADER_DATE) == NULL) /* RFC 9110 6.6.1 */
        ok = ok && message_add_id(answer, HEADER_DATE, str_dup(x->arena, date_now()));
    if (x->site != NULL && x->site->hsts_s != 0 && session_is_tls(x->session)) {
        struct str value =
            str_printf(x->arena, "max-age=%llu", (unsigned long long)x->site->hsts_s);
        ok = ok && message_set_id(answer, HEADER_STRICT_TRANSPORT_SECURITY, value);
    }
    if (!ok)
        exchange_lost_field(x);
}

void edit_answer(struct exchange *x)
{
    if (x->answer_is_origins)
        edit_origins_fields(x);
    add_own_fields(x);
    if (x->conf != NULL && !apply_lines(x, &x->answer, true))
        exchange_lost_field(x);
}

void edit_informational(struct exchange *x)
{
    edit_origins_fields(x);
}
