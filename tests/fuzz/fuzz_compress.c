#include "files/compress.h"

/* Lines in turn for the request and the answer. What is compressed says so, and has no length. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum header_id asked[] = {HEADER_ACCEPT_ENCODING, HEADER_IF_NONE_MATCH,
                                           HEADER_IF_MATCH, HEADER_ORIGIN};
    static const enum header_id answered[] = {HEADER_CONTENT_TYPE, HEADER_ETAG, HEADER_VARY,
                                              HEADER_CACHE_CONTROL};
    static const struct compress_conf conf;
    struct arena *arena = arena_new(1 << 20, 4096);
    struct message request, response;
    struct compress_plan plan = {0};
    unsigned added = 0;
    message_init(&request, arena);
    message_init(&response, arena);
    request.method = response.method = METHOD_GET;
    response.status = size % 2 ? 200 : 304;
    response.framing = size % 2 ? BODY_CHUNKED : BODY_NONE;
    struct str rest = str_from(data, size), line;
    for (unsigned i = 0; i < 64 && str_split(&rest, '\n', &line); i++)
        added += i % 2 ? message_add_id(&response, answered[i / 2 % 4], str_trim(line))
                       : message_add_id(&request, asked[i / 2 % 4], str_trim(line));
    if (added != request.count + response.count)
        __builtin_trap();
    compress_prepare(&plan, &conf, &request);
    enum coding coding = compress_answer(&plan, &response);
    struct str said = message_value(&response, HEADER_CONTENT_ENCODING);
    if (!str_eq(said, coding_name(coding)) ||
        (coding != CODING_IDENTITY && response.has_content_length))
        __builtin_trap();
    arena_end(arena);
    return 0;
}
