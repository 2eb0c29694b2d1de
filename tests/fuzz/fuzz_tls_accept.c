/*
 * Any bytes, in pieces whose sizes the first bytes give, at a server: whatever they are, there is
 * one end and no handshake, and all memory comes back.
 */
#include "tls/tls_accept.h"

#include "../unit/stream_pair.h"
#include "base/arena.h"
#include "base/text.h"
#include "tls/tls_ca.h"

static struct tls_cert *cert;
static struct tls_server *server;
static int ends;

static enum tls_chosen choose(void *user, const struct tls_hello *hello, struct tls_choice *choice)
{
    static const uint8_t id[TLS_TICKET_ID_BYTES];
    (void)user;
    if (str_starts(hello->name, STR("u")))
        return TLS_UNKNOWN_NAME;
    *choice = (struct tls_choice){.certs = &cert, .cert_count = 1, .ticket_id = id};
    choice->protocols[choice->protocol_count++] = STR("http/1.1");
    return TLS_CHOSEN;
}

static void on_bytes(void *user, struct str bytes)
{
    (void)user;
    (void)bytes;
    __builtin_trap(); /* nobody guesses the keys */
}
static void on_end(void *user, enum stream_end end)
{
    (void)user;
    (void)end;
    ends++;
}
static const struct stream_user user = {.on_bytes = on_bytes, .on_end = on_end};

static void set_up(void)
{
    const struct str name = STR("localhost");
    const char *error;
    struct arena *arena = arena_new(1 << 20, 4096);
    struct text texts[5];
    for (int i = 0; i < 5; i++)
        texts[i] = text_in(arena, 8192);
    if (!tls_ca_create(&name, 1, 1800000000, &texts[0], &texts[1], &texts[4]) ||
        !tls_ca_issue(text_str(&texts[0]), text_str(&texts[1]), &name, 1, 1800000000, &texts[2],
                      &texts[3], &texts[4]))
        __builtin_trap();
    cert = tls_cert_load(text_str(&texts[2]), name, text_str(&texts[3]), name, &texts[4]);
    server = tls_server_new(tls_tickets_new(), &error);
    arena_end(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pair pair;
    if (server == NULL)
        set_up();
    if (size < 2)
        return 0;
    size_t piece = (size_t)data[0] + 1 + (data[1] % 2 == 0 ? 60000 : 0);
    pair_init(&pair);
    ends = 0;
    struct stream *tls = tls_accept(&pair.ends[0].stream, server, choose, NULL, &user, NULL);
    if (data[1] % 4 >= 2)
        stream_pause(tls, true);
    stream_send_str(&pair.ends[1].stream, str_from(data + 2, size - 2));
    stream_finish(&pair.ends[1].stream);
    pair_pump(&pair, piece);
    stream_pause(tls, false);
    pair_pump(&pair, piece);
    if (ends != 1)
        __builtin_trap();
    stream_close(tls);
    pair_fini(&pair);
    return 0;
}
