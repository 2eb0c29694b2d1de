#include "files/compress.h"

#include "base/text.h"
#include "files/mime.h"
#include "http/etag.h"

/* The most that conditions or Vary may come to; heads are smaller. */
#define FIELD_MAX ((size_t)64 * 1024)

/* Cheapest first: see files/encoder.h. */
static const enum coding order[CODING_COUNT - 1] = {CODING_ZSTD, CODING_BROTLI, CODING_GZIP};
#define ALL_CODINGS (1U << CODING_GZIP | 1U << CODING_BROTLI | 1U << CODING_ZSTD)

/* What is put behind the opaque part of a strong tag. */
static const struct str marks[CODING_COUNT] = {
    [CODING_GZIP] = STR_INIT("-pc.gz"),
    [CODING_BROTLI] = STR_INIT("-pc.br"),
    [CODING_ZSTD] = STR_INIT("-pc.zst"),
};

/* The coding whose mark the tag has, and the opaque part without it; identity: not a tag of ours.
 */
static enum coding marked(struct etag etag, struct str *opaque)
{
    for (unsigned i = 0; etag.weak && i < CODING_COUNT; i++) {
        if (marks[i].len > 0 && str_ends(etag.opaque, marks[i])) {
            *opaque = str_sub(etag.opaque, 0, etag.opaque.len - marks[i].len);
            return (enum coding)i;
        }
    }
    return CODING_IDENTITY;
}

static void add_tag(struct text *text, const char *before, struct str opaque, struct str mark)
{
    text_add_z(text, before);
    text_add(text, opaque);
    text_add(text, mark);
    text_add_byte(text, '"');
}

/*
 * Rewrites tags of ours in all lines of a field into those of the origin, as far as the client
 * still takes their coding: else a 304 would name a stored answer it cannot use. True when there
 * were any.
 */
static bool restore(struct message *request, enum header_id id, const struct coding_wish *wish)
{
    struct text text = text_in(request->arena, FIELD_MAX);
    bool found = false, bad = false;
    uint32_t at = 0;
    for (const struct field *field; (field = message_next(request, id, &at)) != NULL;) {
        struct str rest = field->value, opaque;
        struct etag etag;
        while (etag_next(&rest, &etag, &bad)) {
            if (text.len > 0)
                text_add_z(&text, ", ");
            enum coding coding = marked(etag, &opaque);
            bool ours = coding != CODING_IDENTITY && wish->weight[coding] > 0;
            found |= ours;
            add_tag(&text, etag.weak && !ours ? "W/\"" : "\"", ours ? opaque : etag.opaque,
                    STR(""));
        }
        if (bad)
            return false;
    }
    return found && text_ok(&text) && message_set_id(request, id, text_str(&text));
}

/* All lines of a field as one list. */
static struct str joined(const struct message *message, enum header_id id)
{
    struct text text = text_in(message->arena, FIELD_MAX);
    uint32_t at = 0;
    for (const struct field *field; (field = message_next(message, id, &at)) != NULL;) {
        if (text.len > 0)
            text_add_z(&text, ", ");
        text_add(&text, field->value);
    }
    return text_ok(&text) ? text_str(&text) : STR("");
}

static bool list_holds(const struct message *message, enum header_id id, struct str token)
{
    uint32_t at = 0;
    for (const struct field *field; (field = message_next(message, id, &at)) != NULL;)
        if (header_list_has(field->value, token))
            return true;
    return false;
}

/* True where a page of another site made the browser ask, as far as the browser tells. */
static bool is_cross_site(const struct message *request)
{
    const struct field *site = message_get(request, HEADER_SEC_FETCH_SITE);
    if (site != NULL)
        return str_eq_nocase(site->value, STR("cross-site"));
    const struct field *origin = message_get(request, HEADER_ORIGIN);
    if (origin == NULL)
        return false;
    size_t slashes = str_find(origin->value, STR("://"));
    struct str host =
        request->authority.len > 0 ? request->authority : message_value(request, HEADER_HOST);
    return slashes == SIZE_MAX || !str_eq_nocase(str_skip(origin->value, slashes + 3), host);
}

void compress_prepare(struct compress_plan *plan, const struct compress_conf *conf,
                      struct message *request)
{
    if (plan->prepared)
        return;
    *plan = (struct compress_plan){.prepared = true, .conf = conf};
    if (conf == NULL)
        return;
    struct coding_wish wish = coding_wished(request);
    if (!is_cross_site(request) && !list_holds(request, HEADER_CACHE_CONTROL, STR("no-transform")))
        plan->coding = coding_best(&wish, ALL_CODINGS, order);
    struct str asked = joined(request, HEADER_IF_NONE_MATCH);
    if (restore(request, HEADER_IF_NONE_MATCH, &wish))
        plan->asked = asked;
    (void)restore(request, HEADER_IF_MATCH, &wish);
}

/* The whole type, or all of "text/" (a star may stand behind the slash). */
static bool is_of(struct str type, struct str listed)
{
    if (str_ends(listed, STR("/*")))
        listed.len--;
    return str_ends(listed, STR("/")) ? str_starts_nocase(type, listed)
                                      : str_eq_nocase(type, listed);
}

static bool is_listed(const struct compress_conf *conf, struct str content_type)
{
    struct str type = mime_essence(content_type);
    for (unsigned i = 0; i < conf->type_count; i++)
        if (is_of(type, conf->types[i]))
            return true;
    return conf->type_count == 0 && mime_is_text(content_type);
}

/* A digest (RFC 9530, RFC 3230) or MD5 is of the bytes as they are. */
static bool has_digest(const struct message *response)
{
    static const struct str names[] = {STR_INIT("Content-Digest"), STR_INIT("Digest"),
                                       STR_INIT("Content-MD5")};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (message_find(response, names[i]) != NULL)
            return true;
    return false;
}

static bool has_body(const struct message *response)
{
    if (response->status < 200 || response->status == 204 || response->status == 205 ||
        response->status == 206 || response->status == 304)
        return false;
    return response->framing != BODY_NONE || response->method == METHOD_HEAD;
}

/* What could be compressed for a client who wants it: then the answer varies. */
static bool is_fit(const struct compress_conf *conf, const struct message *response)
{
    struct str type = message_value(response, HEADER_CONTENT_TYPE);
    return has_body(response) && is_listed(conf, type) && !mime_is_event_stream(type) &&
           !(response->has_content_length && response->content_length < COMPRESS_BYTES_MIN) &&
           message_get(response, HEADER_CONTENT_ENCODING) == NULL &&
           message_get(response, HEADER_CONTENT_RANGE) == NULL && !has_digest(response) &&
           !list_holds(response, HEADER_CACHE_CONTROL, STR("no-transform"));
}

static bool add_vary(struct message *response)
{
    if (list_holds(response, HEADER_VARY, STR("*")) ||
        list_holds(response, HEADER_VARY, header_name(HEADER_ACCEPT_ENCODING)))
        return true;
    struct text text = text_in(response->arena, FIELD_MAX);
    struct str before = joined(response, HEADER_VARY);
    text_add(&text, before);
    text_add_z(&text, before.len > 0 ? ", " : "");
    text_add(&text, header_name(HEADER_ACCEPT_ENCODING));
    return text_ok(&text) && message_set_id(response, HEADER_VARY, text_str(&text));
}

static bool set_tag(struct message *response, struct str opaque, enum coding coding)
{
    struct text text = text_in(response->arena, FIELD_MAX);
    add_tag(&text, "W/\"", opaque, marks[coding]);
    return text_ok(&text) && message_set_id(response, HEADER_ETAG, text_str(&text));
}

/* The answer's strong tag, if it has one. */
static bool strong_tag(const struct message *response, struct etag *etag)
{
    const struct field *field = message_get(response, HEADER_ETAG);
    return field != NULL && etag_parse(field->value, etag) && !etag->weak;
}

static bool mark_tag(struct message *response, enum coding coding)
{
    const struct field *field = message_get(response, HEADER_ETAG);
    struct etag etag;
    if (field == NULL)
        return true;
    if (strong_tag(response, &etag))
        return set_tag(response, etag.opaque, coding);
    if (!etag_parse(field->value, &etag)) /* not a tag at all: it cannot be made weak */
        message_remove_id(response, HEADER_ETAG);
    return true;
}

/* RFC 9110 15.4.5: a 304 has the tag that the 200 would have. */
static void answer_not_modified(const struct compress_plan *plan, struct message *response)
{
    struct etag now, asked;
    struct str rest = plan->asked, opaque;
    bool bad;
    if (!strong_tag(response, &now))
        return;
    enum coding found = CODING_IDENTITY;
    while (etag_next(&rest, &asked, &bad)) {
        enum coding coding = marked(asked, &opaque);
        if (coding != CODING_IDENTITY && str_eq(opaque, now.opaque) &&
            (found == CODING_IDENTITY || coding == plan->coding))
            found = coding;
    }
    if (found != CODING_IDENTITY && add_vary(response))
        (void)set_tag(response, now.opaque, found);
}

enum coding compress_answer(const struct compress_plan *plan, struct message *response)
{
    if (plan->conf == NULL)
        return CODING_IDENTITY;
    if (response->status == 304)
        answer_not_modified(plan, response);
    if (!is_fit(plan->conf, response) || !add_vary(response) || plan->coding == CODING_IDENTITY ||
        !mark_tag(response, plan->coding) ||
        !message_set_id(response, HEADER_CONTENT_ENCODING, coding_name(plan->coding)))
        return CODING_IDENTITY;
    message_remove_id(response, HEADER_CONTENT_LENGTH);
    message_remove_id(response, HEADER_ACCEPT_RANGES);
    response->has_content_length = false;
    response->content_length = 0;
    if (response->framing == BODY_NONE) /* of a HEAD */
        return CODING_IDENTITY;
    response->framing = BODY_CHUNKED;
    return plan->coding;
}
