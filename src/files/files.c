#include "files/files.h"

#include "base/clock.h"
#include "base/text.h"
#include "files/beneath.h"
#include "files/files_find.h"
#include "files/listing.h"
#include "files/mime.h"
#include "http/conditional.h"
#include "http/date.h"
#include "http/range.h"

#include <unistd.h>

/* A field of ours: entity tags, dates, ranges, media types. */
#define FIELD_MAX 256
/* A path with its query; heads are shorter. */
#define LOCATION_MAX ((size_t)64 * 1024)
/* Listings have an arena of their own, for entries and text. */
#define LISTING_ARENA_MAX (4 * LISTING_BYTES_MAX)

/* One call of files_open(). */
struct visit {
    const struct files_conf *conf;
    const struct message *request;
    struct message *response;
    struct files_body *body;
    struct files_note *note; /* or NULL */
    struct files_root root;
    int64_t now_s;
};

/* The path and the query of the target as the client wrote them. */
static void split_target(const struct message *request, struct str *path, struct str *query)
{
    struct str target = request->target;
    size_t scheme = target.len > 0 && target.at[0] != '/' ? str_find(target, STR("://")) : SIZE_MAX;
    if (scheme != SIZE_MAX) {
        target = str_skip(target, scheme + 3);
        target = str_skip(target, str_find_byte(target, '/'));
    }
    size_t mark = str_find_byte(target, '?');
    *path = str_sub(target, 0, mark);
    *query = str_skip(target, mark);
}

static bool set(struct message *response, enum header_id id, const struct text *text)
{
    struct str value = str_dup(response->arena, text_str(text));
    return text_ok(text) && value.at != NULL && message_add_id(response, id, value);
}

/* 308 to the same path with a slash: relative links in the folder's page count from there. */
static bool redirect_to_slash(struct message *response, struct str path, struct str query)
{
    struct text location = text_in(response->arena, LOCATION_MAX);
    while (path.len > 0 && path.at[0] == '/') /* never "//host" */
        path = str_skip(path, 1);
    text_add_byte(&location, '/');
    text_add_percent(&location, path, "/%:@!$&'()*+,;=");
    text_add_byte(&location, '/');
    text_add_percent(&location, query, "/%:@!$&'()*+,;=?");
    response->status = 308;
    return text_ok(&location) && message_add_id(response, HEADER_LOCATION, text_str(&location));
}

static bool add_entity_tag(struct message *response, const struct files_found *found,
                           struct etag *etag)
{
    char memory[FIELD_MAX];
    struct text text = text_over(memory, sizeof memory);
    uint64_t changed_ns =
        (uint64_t)found->st.st_mtim.tv_sec * 1000000000 + (uint64_t)found->st.st_mtim.tv_nsec;
    text_printf(&text, "\"%llx-%llx", (unsigned long long)found->st.st_size,
                (unsigned long long)changed_ns);
    text_add_z(&text, found->coding != CODING_IDENTITY ? "-" : "");
    text_add(&text, coding_name(found->coding));
    text_add_byte(&text, '"');
    return set(response, HEADER_ETAG, &text) &&
           etag_parse(message_value(response, HEADER_ETAG), etag);
}

static bool add_caching(const struct visit *visit, bool fallback)
{
    char memory[FIELD_MAX];
    struct text text = text_over(memory, sizeof memory);
    if (!fallback && visit->conf->cache_max_age_s < 0)
        return true;
    text_add_z(&text, fallback ? "no-cache" : "max-age=");
    if (!fallback)
        text_add_u64(&text, (uint64_t)visit->conf->cache_max_age_s);
    return set(visit->response, HEADER_CACHE_CONTROL, &text);
}

/* Not later than now (RFC 9110 8.8.2.1). */
static int64_t modified_s(const struct visit *visit, const struct files_found *found)
{
    return found->st.st_mtim.tv_sec < visit->now_s ? found->st.st_mtim.tv_sec : visit->now_s;
}

static bool add_last_modified(const struct visit *visit, const struct files_found *found)
{
    char date[DATE_LEN];
    date_write(modified_s(visit, found), date);
    struct text text = text_over(date, sizeof date);
    text.len = sizeof date;
    return set(visit->response, HEADER_LAST_MODIFIED, &text);
}

/* The value of the one Range field; empty when there is none, or several that contradict. */
static struct str range_field(const struct message *request)
{
    uint32_t at = 0;
    const struct field *field = message_next(request, HEADER_RANGE, &at);
    return field != NULL && message_next(request, HEADER_RANGE, &at) == NULL ? field->value
                                                                             : STR("");
}

/* What was filled in before something failed does not belong to the error. */
static void start_again(struct visit *visit, unsigned status)
{
    files_body_close(visit->body);
    visit->body = NULL;
    message_init(visit->response, visit->response->arena);
    visit->response->method = visit->request->method;
    visit->response->status = (uint16_t)status;
}

/* One part of multipart/byteranges. */
static bool add_part(struct visit *visit, const char *boundary, struct str type, struct range range,
                     uint64_t size)
{
    struct text head = text_in(visit->response->arena, RANGE_HEAD_MAX);
    range_add_head(&head, boundary, type, range, size);
    return text_ok(&head) && files_body_add(visit->body, text_str(&head)) &&
           files_body_add_file(visit->body, range.first, range_bytes(range));
}

static bool add_parts(struct visit *visit, const struct range_set *set_of, struct str type,
                      uint64_t size)
{
    char boundary[RANGE_BOUNDARY_LEN], memory[FIELD_MAX];
    range_boundary(boundary);
    for (unsigned i = 0; i < set_of->count; i++)
        if (!add_part(visit, boundary, type, set_of->ranges[i], size))
            return false;
    struct text end = text_in(visit->response->arena, RANGE_HEAD_MAX);
    range_add_end(&end, boundary);
    struct text content_type = text_over(memory, sizeof memory);
    range_add_content_type(&content_type, boundary);
    return text_ok(&end) && files_body_add(visit->body, text_str(&end)) &&
           set(visit->response, HEADER_CONTENT_TYPE, &content_type);
}

static bool add_content_range(struct message *response, const struct range *range, uint64_t size)
{
    char memory[FIELD_MAX];
    struct text text = text_over(memory, sizeof memory);
    if (range != NULL)
        range_add_content_range(&text, *range, size);
    else
        range_add_unsatisfied(&text, size);
    return set(response, HEADER_CONTENT_RANGE, &text);
}

/* 206, or 200 for an empty set: the body's pieces and the fields that describe them. */
static bool add_content(struct visit *visit, const struct range_set *ranges, struct str type,
                        uint64_t size)
{
    struct message *response = visit->response;
    response->status = ranges->count > 0 ? 206 : 200;
    if (ranges->count > 1)
        return add_parts(visit, ranges, type, size);
    struct range range = {.first = 0, .last = size - 1};
    if (ranges->count == 1) {
        range = ranges->ranges[0];
        if (!add_content_range(response, &range, size))
            return false;
    }
    return message_add_id(response, HEADER_CONTENT_TYPE, type) &&
           files_body_add_file(visit->body, range.first, size > 0 ? range_bytes(range) : 0);
}

/* The length is that of the body; a HEAD's answer declares it and has none. */
static void frame(struct visit *visit)
{
    struct message *response = visit->response;
    response->content_length = files_body_length(visit->body);
    response->has_content_length = true;
    bool sends = response->method == METHOD_GET && response->content_length > 0;
    response->framing = sends ? BODY_LENGTH : BODY_NONE;
    if (!sends) {
        files_body_close(visit->body);
        visit->body = NULL;
    }
}

/* Behind the conditions: 200, 206 or 416. `may_range` is false where If-Range does not hold. */
static bool send_file(struct visit *visit, const struct files_found *found, struct str type,
                      bool may_range)
{
    struct message *response = visit->response;
    uint64_t size = (uint64_t)found->st.st_size;
    struct range_set ranges = {.count = 0};
    if (may_range && response->method == METHOD_GET &&
        range_parse(range_field(visit->request), size, &ranges) == RANGE_UNSATISFIABLE) {
        start_again(visit, 416);
        return add_content_range(response, NULL, size);
    }
    if (!add_last_modified(visit, found) ||
        !message_add_id(response, HEADER_ACCEPT_RANGES, STR("bytes")) ||
        (found->coding != CODING_IDENTITY &&
         !message_add_id(response, HEADER_CONTENT_ENCODING, coding_name(found->coding))) ||
        !add_content(visit, &ranges, type, size))
        return false;
    frame(visit);
    return true;
}

/* A regular file goes out. Takes over its descriptor. False without memory. */
static bool answer_file(struct visit *visit, struct files_found *found)
{
    struct message *response = visit->response;
    struct str type = mime_of_path(found->path);
    bool varies = mime_is_text(type);
    if (varies)
        files_find_sibling(&visit->root, response->arena, visit->request, found);
    if (visit->note != NULL)
        *visit->note = (struct files_note){found->path, found->fallback};
    visit->body = files_body_new(response->arena, found->fd, found->shared, 2 * RANGE_MAX + 1);
    struct conditional_now now = {.exists = true,
                                  .has_etag = true,
                                  .has_modified = true,
                                  .modified_s = modified_s(visit, found),
                                  .now_s = visit->now_s};
    if (visit->body == NULL || !add_entity_tag(response, found, &now.etag) ||
        !add_caching(visit, found->fallback) ||
        (varies && !message_add_id(response, HEADER_VARY, header_name(HEADER_ACCEPT_ENCODING))))
        return false;
    enum conditional verdict = conditional_evaluate(visit->request, &now);
    if (verdict == CONDITIONAL_PROCEED || verdict == CONDITIONAL_WHOLE)
        return send_file(visit, found, type, verdict == CONDITIONAL_PROCEED);
    if (verdict == CONDITIONAL_FAILED) {
        start_again(visit, 412);
        return true;
    }
    files_body_close(visit->body);
    visit->body = NULL;
    response->status = 304;
    return true;
}

static void end_arena(void *arena)
{
    arena_end(arena);
}

/* JSON for those who name it and not HTML; browsers name HTML. */
static enum listing_form form_wanted(const struct message *request)
{
    struct str rest = message_value(request, HEADER_ACCEPT), member;
    bool json = false;
    while (header_list_next(&rest, &member)) {
        struct str type = mime_essence(member);
        if (str_eq_nocase(type, STR("text/html")))
            return LISTING_HTML;
        json |= str_eq_nocase(type, STR("application/json"));
    }
    return json ? LISTING_JSON : LISTING_HTML;
}

static bool answer_listing(struct visit *visit, int fd, struct str path)
{
    struct message *response = visit->response;
    struct arena *own = arena_new(LISTING_ARENA_MAX, 16384);
    if (own == NULL || !arena_defer(response->arena, end_arena, own)) {
        arena_end(own);
        return false;
    }
    enum listing_form form = form_wanted(visit->request);
    struct str written;
    visit->body = files_body_new(response->arena, -1, NULL, 1);
    if (visit->body == NULL || !listing_write(own, visit->root.fd, fd, path, form, &written) ||
        !files_body_add(visit->body, written) || !add_caching(visit, false) ||
        !message_add_id(response, HEADER_VARY, header_name(HEADER_ACCEPT)) ||
        !message_add_id(response, HEADER_CONTENT_TYPE,
                        form == LISTING_JSON ? STR("application/json")
                                             : STR("text/html; charset=utf-8")))
        return false;
    response->status = 200;
    frame(visit);
    return true;
}

/* A folder whose path ends with a slash. */
static bool open_folder(struct visit *visit, int fd, struct str path, struct files_found *index)
{
    const struct files_conf *conf = visit->conf;
    *index = files_find_index(&visit->root, visit->response->arena, path, conf->index,
                              conf->index_count);
    return index->fd >= 0 || index->status != 404 || !conf->listing ||
           answer_listing(visit, fd, path);
}

/* A folder: its index, its listing, or a redirect to its slash. Closes its descriptor. */
static bool answer_folder(struct visit *visit, struct files_found *folder,
                          struct files_found *index)
{
    struct str path = folder->path, public_path, query;
    split_target(visit->request, &public_path, &query);
    *index = files_find_nothing(404);
    bool ok = true;
    if (str_ends(path, STR("/"))) {
        ok = open_folder(visit, folder->fd, path, index);
    } else if (public_path.len > 0 && !str_ends(public_path, STR("/"))) {
        ok = redirect_to_slash(visit->response, public_path, query);
    } else { /* rewritten: the client's path has its slash already */
        path = str_printf(visit->response->arena, "%.*s/", STR_ARG(path));
        ok = path.at != NULL && open_folder(visit, folder->fd, path, index);
    }
    files_find_end(folder);
    return ok;
}

/* False without memory. The response's status stays 0 where nothing was found. */
static bool answer(struct visit *visit, struct str path)
{
    if (beneath_is_hidden(path))
        return true;
    struct files_found found = files_find(&visit->root, path);
    if (files_find_is_folder(&found)) {
        struct files_found folder = found;
        if (!answer_folder(visit, &folder, &found))
            return false;
        if (visit->response->status != 0)
            return true;
    } else if (found.fd >= 0 && str_ends(path, STR("/"))) {
        files_find_end(&found); /* the system says ENOTDIR before; this is for those that do not */
        found = files_find_nothing(404);
    }
    if (found.fd < 0 && found.status == 404 && visit->conf->fallback.len > 0) {
        found = files_find_file(&visit->root, visit->conf->fallback);
        found.fallback = true;
    }
    if (found.fd >= 0)
        return answer_file(visit, &found);
    if (found.status != 404)
        start_again(visit, found.status);
    return true;
}

enum files_result files_open(const struct files_conf *conf, struct open_files *files,
                             struct str path, const struct message *request,
                             struct message *response, struct files_body **body,
                             struct files_note *note)
{
    struct visit visit = {.conf = conf,
                          .request = request,
                          .response = response,
                          .note = note,
                          .root = {.path = conf->root, .files = files, .fd = -1},
                          .now_s = (int64_t)(clock_wall_us() / 1000000)};
    *body = NULL;
    response->method = request->method;
    if (request->method != METHOD_GET && request->method != METHOD_HEAD) {
        response->status = 405;
        return message_add_id(response, HEADER_ALLOW, STR("GET, HEAD")) ? FILES_ABSENT
                                                                        : FILES_ANSWERED;
    }
    if (!answer(&visit, path))
        start_again(&visit, 503);
    files_root_close(&visit.root);
    if (response->status == 0)
        response->status = 404;
    *body = visit.body;
    return response->status == 404 ? FILES_ABSENT : FILES_ANSWERED;
}
