#include "config/compile_conf.h"

#include "base/arena.h"
#include "config/compile_header.h"
#include "config/compile_log.h"
#include "config/value.h"
#include "files/compress.h"
#include "files/mime.h"

/* ---- compress ---- */

static const struct compress_conf *compress_types(struct compile *c, const struct statement *s)
{
    struct compress_conf *conf = ARENA_NEW(compile_arena(c), struct compress_conf);
    struct str *types = arena_array(compile_arena(c), s->count, sizeof *types);
    if (conf == NULL || types == NULL) {
        compile_no_memory(c);
        return NULL;
    }
    for (size_t i = 1; i < s->count; i++) {
        struct str type = s->words[i].text;
        if (str_ends(type, STR("/*"))) /* "text/" stands for all of them there */
            type.len--;
        types[i - 1] = compile_dup(c, type);
    }
    conf->types = types;
    conf->type_count = (unsigned)(s->count - 1);
    return conf;
}

static const struct compress_conf *compress_of(struct compile *c, const struct statement *s)
{
    static const struct compress_conf every_text = {0};
    if (s == NULL || compile_is(&s->words[1], "on"))
        return &every_text;
    return compile_is(&s->words[1], "off") ? NULL : compress_types(c, s);
}

/* ---- error pages ---- */

/* The inner page of a status wins, and lines come outer first. */
static struct error_page *page_of(struct error_page *pages, size_t *count, unsigned status)
{
    for (size_t i = 0; i < *count; i++)
        if (pages[i].status == status)
            return &pages[i];
    pages[*count].status = (uint16_t)status;
    return &pages[(*count)++];
}

/* A page is sent in one piece, and waits in memory while its client takes it. */
#define ERROR_PAGE_BYTES_MAX ((size_t)1024 * 1024)

static void add_pages(struct compile *c, const struct statement *s, struct error_page *pages,
                      size_t *count)
{
    const struct word *file = &s->words[s->count - 1];
    const struct source *source = compile_source(c, SOURCE_DATA, file);
    if (source == NULL)
        return;
    if (source->bytes.len > ERROR_PAGE_BYTES_MAX) {
        diag_error(c->diag, &file->pos, "an error page has at most 1m");
        diag_hint(c->diag, "images and styles belong into files of their own");
        return;
    }
    struct str body = compile_dup(c, source->bytes);
    struct str type = compile_dup(c, mime_of_path(file->text));
    for (size_t i = 1; i + 1 < s->count; i++) {
        unsigned status = 0;
        if (!value_status(s->words[i].text, &status))
            continue;
        struct error_page *page = page_of(pages, count, status);
        page->body = body;
        page->content_type = type;
    }
}

static void build_errors(struct compile *c, const struct settings *settings,
                         struct route_conf *conf)
{
    size_t lines, most = 0;
    const struct statement **all = compile_lines(c, settings->errors, &lines);
    for (size_t i = 0; i < lines; i++)
        most += all[i]->count;
    if (most == 0)
        return;
    conf->errors = arena_array(compile_arena(c), most, sizeof *conf->errors);
    if (conf->errors == NULL) {
        compile_no_memory(c);
        return;
    }
    for (size_t i = 0; i < lines; i++)
        add_pages(c, all[i], conf->errors, &conf->error_count);
}

/* ---- all ---- */

const struct route_conf *compile_conf_build(struct compile *c, struct settings *settings)
{
    struct route_conf *conf = ARENA_NEW(compile_arena(c), struct route_conf);
    if (conf == NULL) {
        compile_no_memory(c);
        return NULL;
    }
    *conf = (struct route_conf){
        .body_ms = settings->body_ms,
        .send_ms = settings->send_ms,
        .answer_ms = settings->answer_ms,
        .stream_ms = settings->stream_ms,
        .quiet_ms = settings->quiet_ms,
        .body_bytes_max = settings->body_bytes_max,
        .websocket = settings->websocket,
        .paths_loose = settings->paths_loose,
        .host_mode = settings->host_mode,
        .forwarded = (enum forwarded_mode)settings->forwarded,
    };
    if (conf->host_mode == HOST_NAME)
        conf->host_name = value_host_canonical(compile_arena(c), settings->host_name);
    conf->compress = compress_of(c, settings->compress);
    build_errors(c, settings, conf);
    compile_header_build(c, settings, conf);
    compile_log_build(c, settings, &conf->log);
    for (size_t i = 0; i < 3; i++)
        conf->access[i] = settings->access_built[i];
    return conf;
}
