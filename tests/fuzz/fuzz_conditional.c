#include "http/conditional.h"

/* A line of the input for each conditional field; the verdict is one of four. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum header_id ids[] = {HEADER_IF_MATCH, HEADER_IF_NONE_MATCH, HEADER_IF_RANGE,
                                         HEADER_IF_MODIFIED_SINCE, HEADER_IF_UNMODIFIED_SINCE};
    struct conditional_now now = {.exists = true,
                                  .has_etag = true,
                                  .etag = {STR_INIT("v"), false},
                                  .has_modified = true,
                                  .modified_s = 784111777,
                                  .now_s = 1795265064};
    struct arena *arena = arena_new(1 << 20, 4096);
    struct message request;
    unsigned added = 0;
    message_init(&request, arena);
    request.method = METHOD_GET;
    struct str rest = str_from(data, size), line;
    for (unsigned i = 0; i < 32 && str_split(&rest, '\n', &line); i++)
        added += message_add_id(&request, ids[i % 5], str_trim(line));
    added += message_add_id(&request, HEADER_RANGE, STR("bytes=0-1"));
    enum conditional verdict = conditional_evaluate(&request, &now);
    arena_end(arena);
    if (verdict > CONDITIONAL_FAILED || added != request.count)
        __builtin_trap();
    return 0;
}
