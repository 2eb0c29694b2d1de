/* Bit 0 of the first byte: X-Forwarded-For or Forwarded; the rest is what a client claims. */
#include "http/forwarded.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str value = str_trim(str_from(data + (size != 0), size - (size != 0)));
    struct cidr trusted;
    struct addr peer, client;
    if (size == 0 || !header_value_ok(value) ||
        cidr_parse(STR("10.0.0.0/8"), &trusted) != CIDR_OK ||
        !addr_parse_ip(STR("10.0.0.1"), &peer))
        return 0;
    struct arena *arena = arena_new(1 << 20, 1024);
    struct message message;
    struct text xff = text_in(arena, 1 << 18), forwarded = text_in(arena, 1 << 18);
    message_init(&message, arena);
    if (!message_push(&message, data[0] & 1 ? STR("X-Forwarded-For") : STR("Forwarded"), value))
        abort();
    forwarded_client(&message, &peer, &trusted, 1, &client);
    if (client.family != ADDR_IP4 && client.family != ADDR_IP6)
        abort();
    /* From a peer that is not trusted nothing of it counts. */
    forwarded_client(&message, &peer, NULL, 0, &client);
    if (!addr_eq(&client, &peer))
        abort();
    forwarded_add_xff(&xff, &message, true, &peer);
    forwarded_add(&forwarded, &message, true, FORWARDED_UNQUOTED, &peer, value, STR("https"));
    if (!header_value_ok(text_str(&xff)) || !header_value_ok(text_str(&forwarded)))
        abort();
    arena_end(arena);
    return 0;
}
