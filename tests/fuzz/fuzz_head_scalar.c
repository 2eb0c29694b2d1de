/*
 * The parser of heads against itself without SSE2: h1_head.c is compiled here once more, reading
 * byte by byte. Both must agree on every input, cut anywhere, and at every alignment; each piece
 * lies at the end of a block of its own, so that AddressSanitizer sees a byte read beyond it.
 */
#include "http/grammar.h"
#include "http/h1_head.h"

#define grammar_text_len grammar_text_len_scalar
#define h1_scan_head scalar_scan_head
#define h1_parse_request scalar_parse_request
#define h1_parse_response scalar_parse_response
#define h1_parse_fields scalar_parse_fields
#include "../../src/http/h1_head.c"
#undef grammar_text_len
#undef h1_scan_head
#undef h1_parse_request
#undef h1_parse_response
#undef h1_parse_fields

#include <stdlib.h>
#include <string.h>

static const struct head_limits LIMITS = {200, 12, 700};

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* `skip` bytes before it move it off the alignment of malloc(). */
static char *place(struct str s, size_t skip, struct str *placed)
{
    char *block = malloc(skip + s.len + (skip + s.len == 0));
    must(block != NULL);
    if (s.len != 0)
        memcpy(block + skip, s.at, s.len);
    *placed = str_from(block + skip, s.len);
    return block;
}

static void same_error(const struct parse_error *a, const struct parse_error *b)
{
    must(a->status == b->status && (a->why == b->why || strcmp(a->why, b->why) == 0));
}

static void same_message(const struct message *a, const struct message *b)
{
    must(a->count == b->count && a->framing == b->framing && a->close == b->close);
    must(a->content_length == b->content_length && a->status == b->status);
    must(str_eq(a->method_text, b->method_text) && str_eq(a->target, b->target));
    must(str_eq(a->authority, b->authority) && str_eq(a->reason, b->reason));
    for (size_t i = 0; i < a->count; i++)
        must(str_eq(a->fields[i].name, b->fields[i].name) &&
             str_eq(a->fields[i].value, b->fields[i].value));
}

static void parse_both(struct str head, size_t skip, bool request)
{
    struct str placed;
    char *block = place(head, skip, &placed);
    struct arena *arena = arena_new(1 << 18, 4096);
    struct message fast, slow;
    struct parse_error a = {0}, b = {0};
    message_init(&fast, arena);
    message_init(&slow, arena);
    enum parse one = request ? h1_parse_request(placed, &LIMITS, &fast, &a)
                             : h1_parse_response(placed, &LIMITS, METHOD_GET, &fast, &a);
    enum parse two = request ? scalar_parse_request(placed, &LIMITS, &slow, &b)
                             : scalar_parse_response(placed, &LIMITS, METHOD_GET, &slow, &b);
    must(one == two);
    same_error(&a, &b);
    same_message(&fast, &slow);
    arena_end(arena);
    free(block);
}

/* The pieces grow by `step` from `from` on, as they would from a socket. */
static size_t scan_both(struct str bytes, size_t skip, size_t from, size_t step)
{
    struct h1_scan fast = {0}, slow = {0};
    enum parse one = PARSE_MORE, two = PARSE_MORE;
    size_t len = 0, len_too = 0;
    for (size_t n = from; one == PARSE_MORE; n += step) {
        struct str placed;
        struct parse_error a = {0}, b = {0};
        char *block = place(str_sub(bytes, 0, n), skip, &placed);
        one = h1_scan_head(&fast, placed, &LIMITS, &len, &a);
        two = scalar_scan_head(&slow, placed, &LIMITS, &len_too, &b);
        must(one == two && len == len_too);
        same_error(&a, &b);
        must(fast.at == slow.at && fast.line == slow.line && fast.fields == slow.fields);
        free(block);
        if (n >= bytes.len)
            break;
    }
    return one == PARSE_DONE ? len : 0;
}

/* Two bytes say how it is cut and placed, the rest is a head. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 1500)
        return 0;
    struct str bytes = str_from(data + 2, size - 2), placed;
    size_t skip = data[0] % 16, step = 1U + data[0] / 16U * 3U;
    char *block = place(bytes, skip, &placed);
    must(grammar_text_len(placed) == grammar_text_len_scalar(placed));
    free(block);
    size_t head = scan_both(bytes, skip, data[1], step);
    must(head <= bytes.len);
    parse_both(head != 0 ? str_sub(bytes, 0, head) : bytes, skip, data[1] % 2 == 0);
    return 0;
}
