/* The first byte: bit 0 chooses request or answer, bit 1 HEAD. The rest is what a peer sent. */
#include "http/h1_head.h"
#include "http/h1_write.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct head_limits LIMITS = {256, 12, 1024};

static enum parse read_head(struct str head, uint8_t kind, struct message *message)
{
    struct parse_error error;
    if (kind & 1)
        return h1_parse_response(head, &LIMITS, kind & 2 ? METHOD_HEAD : METHOD_GET, message,
                                 &error);
    return h1_parse_request(head, &LIMITS, message, &error);
}

/* What was taken can be written, and reads back as the same. */
static void round_trip(struct arena *arena, uint8_t kind, struct message *message)
{
    struct message again;
    struct text out = text_in(arena, 65536);
    message_init(&again, arena);
    if (kind & 1) {
        message->version = 11;
        if (!h1_write_response(&out, message))
            abort();
    } else {
        bool absolute = message->scheme.len != 0;
        if (!h1_write_request(&out, message, absolute ? STR("/") : message->target)) {
            if (message_get(message, HEADER_HOST) != NULL)
                abort();
            return;
        }
    }
    if (read_head(text_str(&out), kind, &again) != PARSE_DONE ||
        again.framing != message->framing || again.content_length != message->content_length)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct str bytes = str_from(data + 1, size - 1);
    struct h1_scan whole = {0}, pieces = {0};
    struct parse_error error = {0}, error_again = {0};
    size_t len = 0, len_again = 0;
    enum parse result = h1_scan_head(&whole, bytes, &LIMITS, &len, &error), again = PARSE_MORE;
    for (size_t n = 1; n <= bytes.len && again == PARSE_MORE; n++)
        again = h1_scan_head(&pieces, str_sub(bytes, 0, n), &LIMITS, &len_again, &error_again);
    if (again != result || len != len_again || error.status != error_again.status)
        abort();
    struct arena *arena = arena_new(1 << 20, 4096);
    struct message message;
    message_init(&message, arena);
    /* The parser is strict by itself, whatever the scan found. */
    struct str head = result == PARSE_DONE ? str_sub(bytes, 0, len) : bytes;
    if (read_head(head, data[0], &message) == PARSE_DONE && message.count + 3 < LIMITS.fields_max)
        round_trip(arena, data[0], &message);
    arena_end(arena);
    return 0;
}
