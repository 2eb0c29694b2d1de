#include "tls/tls_accept.h"

#include "base/arena.h"
#include "base/text.h"
#include "stream_pair.h"
#include "tls_make.h"
#include "tls_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* ---- the server under test ---- */

static struct tls_cert *ecdsa, *p384, *rsa, *ed25519, *pss;
static struct tls_tickets *tickets;
static struct tls_server *server;

static struct tls_cert *load(const char *kind)
{
    char sentence[512];
    struct text why = text_over(sentence, sizeof(sentence));
    struct made made = make_cert(kind, "test", "DNS:a.example,DNS:b.example", NULL, -1, 30);
    struct tls_cert *cert = tls_cert_load(str_from_z(made.cert_pem), STR("cert.pem"),
                                          str_from_z(made.key_pem), STR("key.pem"), &why);
    made_end(&made);
    assert_non_null(cert);
    return cert;
}

static int set_up(void **state)
{
    (void)state;
    const char *error = NULL;
    ecdsa = load("P-256");
    p384 = load("P-384");
    rsa = load("RSA");
    ed25519 = load("ED25519");
    pss = load("RSA-PSS");
    tickets = tls_tickets_new();
    server = tls_server_new(tickets, &error);
    return server == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    tls_server_end(server);
    tls_tickets_end(tickets);
    struct tls_cert *all[] = {ecdsa, p384, rsa, ed25519, pss};
    for (size_t i = 0; i < 5; i++)
        tls_cert_unref(all[i]);
    return 0;
}

struct site {
    struct tls_cert *certs[3];
    size_t cert_count;
    unsigned asked;
};

/* What the user of the server's stream saw. */
struct seen {
    struct stream *stream;
    char *bytes;
    size_t len, calls, most;
    bool open, ended, echo, pause_on_bytes, close_on_bytes, close_on_open;
    enum stream_end end;
};

static enum tls_chosen choose(void *user, const struct tls_hello *hello, struct tls_choice *choice)
{
    static const uint8_t ids[2][TLS_TICKET_ID_BYTES] = {{1}, {2}};
    struct site *site = user;
    site->asked++;
    if (str_eq(hello->name, STR("unknown.example")))
        return TLS_UNKNOWN_NAME;
    choice->certs = site->certs;
    choice->cert_count = site->cert_count;
    choice->ticket_id = ids[str_eq(hello->name, STR("b.example"))];
    choice->protocols[choice->protocol_count++] = STR("http/1.1");
    return TLS_CHOSEN;
}

static void on_open(void *user)
{
    struct seen *seen = user;
    assert_false(seen->open);
    seen->open = true;
    if (seen->close_on_open)
        stream_close(seen->stream);
}

static void on_bytes(void *user, struct str bytes)
{
    struct seen *seen = user;
    assert_true(seen->open && !seen->ended);
    assert_true(bytes.len > 0 && bytes.len <= STREAM_READ_MAX);
    seen->bytes = realloc(seen->bytes, seen->len + bytes.len);
    memcpy(seen->bytes + seen->len, bytes.at, bytes.len);
    seen->len += bytes.len;
    seen->calls++;
    if (bytes.len > seen->most)
        seen->most = bytes.len;
    if (seen->pause_on_bytes)
        stream_pause(seen->stream, true);
    if (seen->echo)
        stream_send_str(seen->stream, bytes);
    if (seen->close_on_bytes)
        stream_close(seen->stream);
}

static void on_end(void *user, enum stream_end end)
{
    struct seen *seen = user;
    assert_false(seen->ended);
    seen->ended = true;
    seen->end = end;
}

static const struct stream_user user = {.on_open = on_open, .on_bytes = on_bytes, .on_end = on_end};

struct world {
    struct pair pair;
    struct peer peer;
    struct seen seen;
    struct site site;
    SSL_CTX *ctx;
};

static struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof(*world));
    world->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(world->ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(world->ctx, peer_ticket);
    world->site = (struct site){.certs = {ecdsa}, .cert_count = 1};
    pair_init(&world->pair);
    world->seen.stream =
        tls_accept(&world->pair.ends[0].stream, server, choose, &world->site, &user, &world->seen);
    assert_non_null(world->seen.stream);
    peer_init(&world->peer, &world->pair.ends[1], world->ctx, true);
    return world;
}

static void world_end(struct world *world)
{
    if (!world->pair.ends[0].closed)
        stream_close(world->seen.stream);
    pair_fini(&world->pair);
    peer_fini(&world->peer);
    SSL_CTX_free(world->ctx);
    free(world->seen.bytes);
    free(world);
}

static void shake(struct world *world, size_t piece)
{
    peer_go(&world->peer);
    pair_pump(&world->pair, piece);
}

static const char *error_of(const struct world *world)
{
    return stream_error_text(world->seen.stream);
}

/* ---- handshakes ---- */

static void any_version_and_key_shakes_hands_in_pieces_of_any_size(void **state)
{
    (void)state;
    struct tls_cert *certs[] = {ecdsa, p384, rsa, ed25519, pss};
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const size_t pieces[] = {1, 7, 1400, SIZE_MAX};
    for (size_t c = 0; c < 5; c++)
        for (size_t v = 0; v < 2; v++)
            for (size_t p = 0; p < 4; p++) {
                struct world *world = world_new();
                world->site.certs[0] = certs[c];
                SSL_set_max_proto_version(world->peer.ssl, versions[v]);
                SSL_set_tlsext_host_name(world->peer.ssl, "A.example");
                world->seen.echo = true;
                shake(world, pieces[p]);
                assert_true(world->seen.open && world->peer.open);
                peer_write(&world->peer, "hello", 5);
                pair_pump(&world->pair, pieces[p]);
                assert_int_equal(world->seen.len, 5);
                assert_int_equal(world->peer.got_len, 5);
                assert_int_equal(world->peer.tickets, 1);
                struct tls_info info;
                tls_stream_info(world->seen.stream, &info);
                assert_string_equal(info.version, v == 0 ? "TLSv1.2" : "TLSv1.3");
                assert_true(str_eq(info.name, STR("a.example")));
                assert_false(info.resumed);
                if (c == 0 && p == 0)
                    print_message("%s %s %s\n", info.version, info.cipher, info.group);
                world_end(world);
            }
}

static void plain_http_gets_a_400_in_plain_text(void **state)
{
    (void)state;
    struct world *world = world_new();
    stream_send_str(&world->pair.ends[1].stream, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    pair_turn(&world->pair, SIZE_MAX);
    struct pair_end *end = &world->pair.ends[1];
    assert_true(end->len == 0 || true);
    assert_true(world->seen.ended);
    assert_int_equal(world->seen.end, STREAM_BAD_TLS);
    assert_string_equal(error_of(world), "plain HTTP was spoken to a TLS port");
    world_end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_version_and_key_shakes_hands_in_pieces_of_any_size),
        cmocka_unit_test(plain_http_gets_a_400_in_plain_text),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
