#include "proxy/answer.h"

#include "files/encoder.h"
#include "files/files_body.h"
#include "http/accept.h"
#include "proxy/edit.h"
#include "proxy/exchange_timer.h"
#include "proxy/front_state.h"

/* A page of ours, with its longest sentence and reference. */
#define PAGE_BYTES_MAX ((size_t)4 * 1024)
/* So much of a file is read at a time; the backlog bound holds for it too. */
#define FILE_PIECE_BYTES ((size_t)64 * 1024)
/* A client that takes everything at once gets so many pieces before others have their turn. */
enum { FILE_PIECES_PER_TURN = 16 };

/* ---- building ---- */

static void answer_new(struct exchange *x, unsigned status)
{
    message_init(&x->answer, x->arena);
    x->answer.status = (uint16_t)status;
    x->answer.method = x->message.method;
    x->content = (struct content){0};
    x->answer_is_origins = false;
}

/* A field of ours always fits the grammar; it can only miss for want of memory, and then the
 * answer goes without it. */
static void add(struct exchange *x, enum header_id id, struct str value)
{
    if (!message_add_id(&x->answer, id, value))
        exchange_lost_field(x);
}

static void set_content(struct exchange *x, struct str content_type, struct str text)
{
    x->content.text = text;
    x->answer.has_content_length = true;
    x->answer.content_length = text.len;
    x->answer.framing = text.len ? BODY_LENGTH : BODY_NONE;
    if (text.len != 0 && content_type.len != 0)
        add(x, HEADER_CONTENT_TYPE, content_type);
}

/* What a person reads; never which backend, port or file. */
static const char *advice(unsigned status)
{
    switch (status) {
    case 400:
        return "Your browser sent a request that this server does not understand.";
    case 403:
        return "You are not allowed to see this page.";
    case 404:
        return "There is no such page here.";
    case 405:
        return "This page cannot be asked for in this way.";
    case 408:
        return "Your request took too long to arrive.";
    case 413:
        return "What you sent is larger than this server takes.";
    case 414:
        return "The address you asked for is too long.";
    case 416:
        return "There is no such part of this file.";
    case 421:
        return "This server does not answer for that name on this connection.";
    case 431:
        return "Your request's head is too large. Deleting this site's cookies may help.";
    case 502:
        return "The application behind this page cannot be reached now. Please try again soon.";
    case 503:
        return "This page is too busy now. Please try again soon.";
    case 504:
        return "The application behind this page did not answer in time.";
    default:
        return status < 500 ? "Your request cannot be answered."
                            : "This server could not answer your request.";
    }
}

static struct str page_html(struct exchange *x, unsigned status)
{
    struct text page = text_in(x->arena, PAGE_BYTES_MAX);
    struct str reason = status_reason(status);
    text_printf(
        &page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width\"><title>%u %.*s</title>"
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;"
        "padding:0 1em;color:#222}h1{font-size:1.5em}code{background:#eee;padding:.1em .4em;"
        "border-radius:3px}@media(prefers-color-scheme:dark){body{background:#181818;"
        "color:#ddd}code{background:#333}}</style></head>\n<body><h1>%u %.*s</h1>\n",
        status, STR_ARG(reason), status, STR_ARG(reason));
    text_printf(&page, "<p>%s</p>\n<p>Reference: <code>%.*s</code></p></body></html>\n",
                advice(status), STR_ARG(access_record_reference(&x->record)));
    return text_str(&page);
}

static struct str page_json(struct exchange *x, unsigned status)
{
    struct text page = text_in(x->arena, PAGE_BYTES_MAX);
    text_printf(&page, "{\"status\":%u,\"error\":", status);
    text_add_json(&page, status_reason(status));
    text_add_z(&page, ",\"message\":");
    text_add_json(&page, str_from_z(advice(status)));
    text_add_z(&page, ",\"reference\":");
    text_add_json(&page, access_record_reference(&x->record));
    text_add_z(&page, "}\n");
    return text_str(&page);
}

static const struct error_page *own_page(const struct exchange *x, unsigned status)
{
    for (size_t i = x->conf ? x->conf->error_count : 0; i > 0; i--)
        if (x->conf->errors[i - 1].status == status)
            return &x->conf->errors[i - 1];
    return NULL;
}

static void build_page(struct exchange *x, unsigned status)
{
    answer_new(x, status);
    const struct error_page *own = own_page(x, status);
    if (own != NULL)
        set_content(x, own->content_type, own->body);
    else if (accept_prefers_json(&x->message))
        set_content(x, STR("application/json"), page_json(x, status));
    else
        set_content(x, STR("text/html; charset=utf-8"), page_html(x, status));
    add(x, HEADER_CACHE_CONTROL, STR("no-store"));
    if (status == 405)
        add(x, HEADER_ALLOW, STR("GET, HEAD"));
    if (status == 503 || status == 502)
        add(x, HEADER_RETRY_AFTER, STR("5"));
    /* Who sends what can be read in two ways, or does not send at all, starts anew. */
    x->answer.close = status == 400 || status == 408;
}

enum verdict answer_refuse(struct exchange *x, unsigned status, enum access_layer layer,
                           struct str by, struct str why, const struct where *where)
{
    access_record_refuse(&x->record, layer, by, why, where);
    front_count(&x->front->counters.refused, 1);
    if (x->answer_begun) {
        answer_cut(x, layer == ACCESS_BY_ORIGIN ? ACCESS_ORIGIN_ABORTED : ACCESS_FAILED);
        return VERDICT_CLOSE;
    }
    build_page(x, status);
    return VERDICT_ANSWER;
}

enum verdict answer_redirect(struct exchange *x, unsigned status, struct str location)
{
    struct text page = text_in(x->arena, PAGE_BYTES_MAX + location.len * 6);
    answer_new(x, status);
    if (!message_add_id(&x->answer, HEADER_LOCATION, location))
        return answer_refuse(x, 400, ACCESS_BY_ROUTE, STR("redirect"),
                             STR("the expanded URL holds bytes that no header may hold"), NULL);
    text_add_z(&page, "<!doctype html>\n<title>Redirect</title>\n<p><a href=\"");
    text_add_html(&page, location);
    text_add_z(&page, "\">This page is here now</a></p>\n");
    set_content(x, STR("text/html; charset=utf-8"), text_str(&page));
    return VERDICT_ANSWER;
}

enum verdict answer_text(struct exchange *x, unsigned status, struct str content_type,
                         struct str text)
{
    answer_new(x, status);
    set_content(x, content_type, text);
    return VERDICT_ANSWER;
}

/* ---- sending ---- */

static bool send_encoded(void *user, struct str bytes)
{
    struct exchange *x = user;
    codec_send_body(&x->request, bytes, false);
    return !x->done;
}

bool answer_piece(struct exchange *x, struct str piece, bool last)
{
    if (x->done)
        return false;
    if (x->encoder != NULL) {
        enum encoder_mode mode = last            ? ENCODER_FINISH
                                 : x->flush_each ? ENCODER_FLUSH
                                                 : ENCODER_MORE;
        if (!encoder_feed(x->encoder, piece, mode, send_encoded, x)) {
            answer_cut(x, ACCESS_FAILED);
            return false;
        }
        piece = (struct str){0};
    }
    if (x->done)
        return false;
    if (last) {
        x->answer_ended = true;
        x->record.end = ACCESS_COMPLETE;
    }
    if (last || piece.len != 0)
        codec_send_body(&x->request, piece, last);
    if (x->done)
        return false;
    size_t backlog = codec_backlog(&x->request);
    if (backlog != 0)
        exchange_wait_send(x);
    return backlog > EXCHANGE_BACKLOG_MAX;
}

static void send_file(struct exchange *x);

static void send_more(struct loop_task *task)
{
    struct exchange *x = LIST_OF(task, struct exchange, more_task);
    x->more_posted = false;
    if (x->done)
        exchange_free(x);
    else if (!x->answer_ended)
        send_file(x);
}

static void send_file(struct exchange *x)
{
    static _Thread_local char piece[FILE_PIECE_BYTES];
    bool full = false;
    if (x->more_posted)
        return;
    for (int pieces = 0; !full && !x->done; pieces++) {
        if (pieces == FILE_PIECES_PER_TURN) { /* a fast reader of a big file is not alone */
            x->more_posted = true;
            x->more_task.run = send_more;
            loop_post(x->front->loop, &x->more_task);
            return;
        }
        ssize_t got = files_body_read(x->content.file, piece, sizeof piece);
        if (got <= 0 || (uint64_t)got > x->content.left) { /* it shrank, or the disk failed: what
                                                              was announced cannot come */
            answer_cut(x, ACCESS_FAILED);
            return;
        }
        x->content.left -= (uint64_t)got;
        bool last = x->content.left == 0;
        full = answer_piece(x, str_from(piece, (size_t)got), last) || last;
    }
}

void answer_drained(struct exchange *x)
{
    if (x->content.file != NULL && !x->answer_ended)
        send_file(x);
}

/* False without memory: the head speaks of a coding that the body cannot have. */
static bool begin_encoding(struct exchange *x)
{
    bool unknown_length = !x->answer.has_content_length;
    enum coding coding = compress_answer(&x->plan, &x->answer);
    if (coding == CODING_IDENTITY)
        return true;
    x->encoder = encoder_new(coding);
    x->flush_each = unknown_length;
    x->record.encoding = coding_name(coding);
    return x->encoder != NULL;
}

void answer_begin(struct exchange *x)
{
    edit_answer(x);
    if (x->message.method == METHOD_HEAD) /* whatever the body would have been (RFC 9110 9.3.2) */
        x->answer.framing = BODY_NONE;
    if (!begin_encoding(x)) {
        answer_cut(x, ACCESS_FAILED);
        return;
    }
    if (x->content.file != NULL)
        x->content.left = files_body_length(x->content.file);
    bool own_body = x->content.text.len != 0 || x->content.file != NULL;
    /* An origin's answer ends by its own callback, also one without body. */
    bool whole = !x->answer_is_origins &&
                 (x->message.method == METHOD_HEAD || !own_body || x->answer.framing == BODY_NONE);
    x->record.status = x->answer.status;
    x->record.response_type = message_value(&x->answer, HEADER_CONTENT_TYPE);
    x->answer_begun = true;
    if (whole) {
        x->answer.framing = BODY_NONE; /* to HEAD the length is only declared */
        x->answer_ended = true;
        x->record.end = ACCESS_COMPLETE;
    }
    if (!codec_send_head(&x->request, &x->answer, whole)) {
        access_record_refuse(&x->record, ACCESS_BY_ORIGIN, STR("head writer"),
                             STR("the answer's head must not be written"), NULL);
        answer_cut(x, ACCESS_FAILED);
        return;
    }
    if (x->done || whole || x->answer_is_origins)
        return;
    if (x->content.file != NULL)
        send_file(x);
    else
        answer_piece(x, x->content.text, true);
}

void answer_cut(struct exchange *x, enum access_end end)
{
    if (x->done)
        return;
    x->record.end = (uint8_t)end;
    codec_reset(&x->request);
}
