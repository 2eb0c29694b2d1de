#include "http/message.h"

#include "http/grammar.h"

#include <string.h>

/* Most requests have fewer fields; the array doubles from here. */
enum { FIELDS_AT_FIRST = 24 };

void message_init(struct message *message, struct arena *arena)
{
    *message = (struct message){.arena = arena};
}

static bool is_live(const struct field *field)
{
    return (field->flags & FIELD_REMOVED) == 0;
}

static bool was_added(const struct message *message, enum header_id id)
{
    return (unsigned)id < HEADER_COUNT && (message->known[id / 64] >> id % 64 & 1) != 0;
}

const struct field *message_next(const struct message *message, enum header_id id, uint32_t *at)
{
    if (!was_added(message, id))
        return NULL;
    while (*at < message->count) {
        const struct field *field = &message->fields[(*at)++];
        if (field->id == id && is_live(field))
            return field;
    }
    return NULL;
}

const struct field *message_get(const struct message *message, enum header_id id)
{
    uint32_t at = 0;
    return message_next(message, id, &at);
}

/* Is this the field of that name? `id` is the look-up of `name`, done once by the caller. */
static bool is_named(const struct field *field, enum header_id id, struct str name)
{
    return field->id == id && (id != HEADER_OTHER || str_eq_nocase(field->name, name));
}

const struct field *message_find(const struct message *message, struct str name)
{
    enum header_id id = header_lookup(name);
    for (uint32_t i = 0; i < message->count; i++)
        if (is_named(&message->fields[i], id, name) && is_live(&message->fields[i]))
            return &message->fields[i];
    return NULL;
}

struct str message_value(const struct message *message, enum header_id id)
{
    const struct field *field = message_get(message, id);
    return field ? field->value : (struct str){.at = "", .len = 0};
}

static bool grow(struct message *message)
{
    uint32_t capacity = message->capacity ? message->capacity * 2 : FIELDS_AT_FIRST;
    struct field *fields = arena_array(message->arena, capacity, sizeof *fields);
    if (fields == NULL)
        return false;
    if (message->count)
        memcpy(fields, message->fields, message->count * sizeof *fields);
    message->fields = fields;
    message->capacity = capacity;
    return true;
}

static bool append(struct message *message, struct str name, struct str value, unsigned id,
                   unsigned flags)
{
    if (message->count == message->capacity && !grow(message))
        return false;
    message->known[id / 64] |= (uint64_t)1 << id % 64;
    struct field *field = &message->fields[message->count++];
    field->name = name;
    field->value = value;
    field->id = (uint16_t)id;
    field->flags = (uint16_t)flags;
    return true;
}

bool message_push_field(struct message *message, const struct field *field)
{
    return append(message, field->name, field->value, field->id, 0);
}

bool message_push(struct message *message, struct str name, struct str value)
{
    return append(message, name, value, header_lookup(name), 0);
}

bool message_add(struct message *message, struct str name, struct str value)
{
    if (!header_name_ok(name) || !header_value_ok(value))
        return false;
    return append(message, name, value, header_lookup(name), FIELD_ADDED);
}

bool message_add_id(struct message *message, enum header_id id, struct str value)
{
    struct str name = header_name(id);
    if (name.len == 0 || !header_value_ok(value))
        return false;
    return append(message, name, value, id, FIELD_ADDED);
}

static void remove_named(struct message *message, enum header_id id, struct str name)
{
    if (!was_added(message, id))
        return;
    for (uint32_t i = 0; i < message->count; i++)
        if (is_named(&message->fields[i], id, name))
            message->fields[i].flags |= FIELD_REMOVED;
}

void message_remove(struct message *message, struct str name)
{
    remove_named(message, header_lookup(name), name);
}

void message_remove_id(struct message *message, enum header_id id)
{
    if (id != HEADER_OTHER)
        remove_named(message, id, (struct str){.at = "", .len = 0});
}

bool message_set(struct message *message, struct str name, struct str value)
{
    message_remove(message, name);
    return message_add(message, name, value);
}

bool message_set_id(struct message *message, enum header_id id, struct str value)
{
    message_remove_id(message, id);
    return message_add_id(message, id, value);
}

/* In the order of enum method. */
static const struct str methods[] = {
    STR_INIT(""),      STR_INIT("GET"),     STR_INIT("HEAD"),  STR_INIT("POST"),
    STR_INIT("PUT"),   STR_INIT("DELETE"),  STR_INIT("PATCH"), STR_INIT("OPTIONS"),
    STR_INIT("TRACE"), STR_INIT("CONNECT"),
};

enum method method_lookup(struct str text)
{
    for (unsigned i = METHOD_GET; i < sizeof methods / sizeof methods[0]; i++)
        if (str_eq(methods[i], text))
            return (enum method)i;
    return METHOD_OTHER;
}

bool method_is_safe(enum method method)
{
    return method == METHOD_GET || method == METHOD_HEAD || method == METHOD_OPTIONS ||
           method == METHOD_TRACE;
}

bool method_is_idempotent(enum method method)
{
    return method_is_safe(method) || method == METHOD_PUT || method == METHOD_DELETE;
}

/* RFC 9110 15 and the IANA registry. */
static const struct {
    uint16_t status;
    struct str reason;
} reasons[] = {
    {100, STR_INIT("Continue")},
    {101, STR_INIT("Switching Protocols")},
    {102, STR_INIT("Processing")},
    {103, STR_INIT("Early Hints")},
    {200, STR_INIT("OK")},
    {201, STR_INIT("Created")},
    {202, STR_INIT("Accepted")},
    {203, STR_INIT("Non-Authoritative Information")},
    {204, STR_INIT("No Content")},
    {205, STR_INIT("Reset Content")},
    {206, STR_INIT("Partial Content")},
    {207, STR_INIT("Multi-Status")},
    {208, STR_INIT("Already Reported")},
    {226, STR_INIT("IM Used")},
    {300, STR_INIT("Multiple Choices")},
    {301, STR_INIT("Moved Permanently")},
    {302, STR_INIT("Found")},
    {303, STR_INIT("See Other")},
    {304, STR_INIT("Not Modified")},
    {307, STR_INIT("Temporary Redirect")},
    {308, STR_INIT("Permanent Redirect")},
    {400, STR_INIT("Bad Request")},
    {401, STR_INIT("Unauthorized")},
    {402, STR_INIT("Payment Required")},
    {403, STR_INIT("Forbidden")},
    {404, STR_INIT("Not Found")},
    {405, STR_INIT("Method Not Allowed")},
    {406, STR_INIT("Not Acceptable")},
    {407, STR_INIT("Proxy Authentication Required")},
    {408, STR_INIT("Request Timeout")},
    {409, STR_INIT("Conflict")},
    {410, STR_INIT("Gone")},
    {411, STR_INIT("Length Required")},
    {412, STR_INIT("Precondition Failed")},
    {413, STR_INIT("Content Too Large")},
    {414, STR_INIT("URI Too Long")},
    {415, STR_INIT("Unsupported Media Type")},
    {416, STR_INIT("Range Not Satisfiable")},
    {417, STR_INIT("Expectation Failed")},
    {418, STR_INIT("I'm a Teapot")},
    {421, STR_INIT("Misdirected Request")},
    {422, STR_INIT("Unprocessable Content")},
    {423, STR_INIT("Locked")},
    {424, STR_INIT("Failed Dependency")},
    {425, STR_INIT("Too Early")},
    {426, STR_INIT("Upgrade Required")},
    {428, STR_INIT("Precondition Required")},
    {429, STR_INIT("Too Many Requests")},
    {431, STR_INIT("Request Header Fields Too Large")},
    {451, STR_INIT("Unavailable For Legal Reasons")},
    {500, STR_INIT("Internal Server Error")},
    {501, STR_INIT("Not Implemented")},
    {502, STR_INIT("Bad Gateway")},
    {503, STR_INIT("Service Unavailable")},
    {504, STR_INIT("Gateway Timeout")},
    {505, STR_INIT("HTTP Version Not Supported")},
    {506, STR_INIT("Variant Also Negotiates")},
    {507, STR_INIT("Insufficient Storage")},
    {508, STR_INIT("Loop Detected")},
    {511, STR_INIT("Network Authentication Required")},
};

/* By class, for a status without a row (RFC 9110 15: the class alone gives the meaning). */
static const struct str class_reasons[] = {
    STR_INIT("Unknown"),     STR_INIT("Informational"), STR_INIT("Success"),
    STR_INIT("Redirection"), STR_INIT("Client Error"),  STR_INIT("Server Error"),
};

struct str status_reason(unsigned status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    unsigned class = status / 100;
    return class_reasons[class <= 5 ? class : 0];
}
