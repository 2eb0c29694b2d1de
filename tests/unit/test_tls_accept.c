#include "tls/tls_accept.h"

#include "alloc_fail.h"
#include "base/arena.h"
#include "base/text.h"
#include "stream_pair.h"
#include "tls/tls_engine.h"
#include "tls/tls_gate.h"
#include "tls_make.h"
#include "tls_peer.h"

#include <malloc.h>
#include <openssl/kdf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The bound on handshake messages, as tls_stream.h promises it. */
enum { TLS_TEST_BOUND = 64 * 1024 };

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
    if (str_eq(hello->name, STR("down.example")))
        return TLS_NOT_AVAILABLE;
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
    SSL_CTX_set_session_cache_mode(world->ctx,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
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
                assert_string_equal(info.version, v == 0 ? "1.2" : "1.3");
                assert_true(str_eq(info.name, STR("a.example")));
                assert_false(info.resumed);
                assert_string_equal(info.group, "X25519");
                if (v == 1)
                    assert_string_equal(info.cipher, "TLS_AES_128_GCM_SHA256");
                world_end(world);
            }
}

static void a_burst_of_hellos_is_answered_in_more_than_one_turn(void **state)
{
    (void)state;
    enum { BURST = TLS_HANDSHAKES_PER_TURN + 2 };
    struct world *worlds[BURST];
    for (int i = 0; i < BURST; i++) {
        worlds[i] = world_new();
        peer_go(&worlds[i]->peer);
    }
    for (int i = 0; i < BURST; i++) {
        struct pair_end *end = &worlds[i]->pair.ends[0];
        pair_deliver(end, end->len - 1);
        pair_deliver(end, 1);
        bool late = i >= TLS_HANDSHAKES_PER_TURN;
        assert_int_equal(worlds[i]->pair.ends[1].len == 0, late);
        assert_int_equal(end->paused, late); /* one that waits is not read */
    }
    stream_close(worlds[BURST - 1]->seen.stream); /* while it waits */
    pair_run_tasks();
    for (int i = 0; i < BURST - 1; i++) {
        assert_true(worlds[i]->pair.ends[1].len > 0);
        assert_false(worlds[i]->pair.ends[0].paused);
        pair_pump(&worlds[i]->pair, SIZE_MAX);
        assert_true(worlds[i]->seen.open && worlds[i]->peer.open);
    }
    assert_false(worlds[BURST - 1]->seen.open);
    for (int i = 0; i < BURST; i++)
        world_end(worlds[i]);
}

/* ---- names, versions, protocols ---- */

static void failing_handshakes_are_named_and_alerted(void **state)
{
    (void)state;
    static const struct {
        const char *name, *groups, *sigalgs, *ciphers, *alpn, *sentence;
        int max_version, alert;
    } cases[] = {
        {.name = "unknown.example", .alert = 112, .sentence = "unknown name unknown.example"},
        {.name = "down.example", .alert = 80, .sentence = "no certificate is available"},
        {.name = "a.example",
         .alpn = "\x02h2",
         .alert = 120,
         .sentence = "no shared application protocol (ALPN)"},
        {.name = "a.example",
         .alpn = "\x02h2",
         .alert = 120,
         .max_version = TLS1_2_VERSION,
         .sentence = "no shared application protocol (ALPN)"},
        {.name = "a.example",
         .groups = "P-521",
         .alert = 40,
         .sentence = "no shared cipher, group or signature algorithm"},
        {.name = "a.example",
         .sigalgs = "RSA+SHA256",
         .alert = 40,
         .sentence = "no shared cipher, group or signature algorithm"},
        {.name = "a.example",
         .ciphers = "AES128-GCM-SHA256",
         .max_version = TLS1_2_VERSION,
         .alert = 40,
         .sentence = "no shared cipher, group or signature algorithm"},
        {.name = "a.example",
         .ciphers = "DEFAULT:@SECLEVEL=0",
         .max_version = TLS1_1_VERSION,
         .alert = 70,
         .sentence = "the client offers no version from TLS 1.2 on"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world *world = world_new();
        SSL *ssl = world->peer.ssl;
        SSL_set_tlsext_host_name(ssl, cases[i].name);
        SSL_set_max_proto_version(ssl, cases[i].max_version);
        if (cases[i].ciphers != NULL)
            assert_int_equal(SSL_set_cipher_list(ssl, cases[i].ciphers), 1);
        if (cases[i].max_version == TLS1_1_VERSION)
            SSL_set_min_proto_version(ssl, TLS1_1_VERSION);
        if (cases[i].groups != NULL)
            assert_int_equal(SSL_set1_groups_list(ssl, cases[i].groups), 1);
        if (cases[i].sigalgs != NULL)
            assert_int_equal(SSL_set1_sigalgs_list(ssl, cases[i].sigalgs), 1);
        if (cases[i].alpn != NULL)
            SSL_set_alpn_protos(ssl, (const unsigned char *)cases[i].alpn,
                                (unsigned)strlen(cases[i].alpn));
        shake(world, SIZE_MAX);
        assert_false(world->seen.open);
        assert_true(world->seen.ended);
        assert_int_equal(world->seen.end, STREAM_BAD_TLS);
        assert_string_equal(error_of(world), cases[i].sentence);
        assert_int_equal(world->peer.alert, cases[i].alert);
        world_end(world);
    }
}

static void a_shared_protocol_is_agreed_on_and_none_is_let_in(void **state)
{
    (void)state;
    static const unsigned char both[] = "\x02h2\x08http/1.1";
    for (int with = 0; with < 2; with++) {
        struct world *world = world_new();
        if (with == 1)
            SSL_set_alpn_protos(world->peer.ssl, both, sizeof(both) - 1);
        shake(world, SIZE_MAX);
        assert_true(world->seen.open);
        struct tls_info info;
        tls_stream_info(world->seen.stream, &info);
        assert_true(str_eq(info.alpn, with == 1 ? STR("http/1.1") : STR("")));
        assert_true(str_empty(info.name));
        world_end(world);
    }
}

static void all_suites_are_there(void **state)
{
    (void)state;
    assert_int_equal(tls_server_suites(server), TLS_SUITES);
}

/* Condition 6: with %SAFE_RENEGOTIATION such a client would be refused. */
static void a_client_of_tls_13_alone_is_let_in(void **state)
{
    (void)state;
    struct world *world = world_new();
    SSL_set_min_proto_version(world->peer.ssl, TLS1_3_VERSION);
    shake(world, SIZE_MAX);
    assert_true(world->seen.open);
    world_end(world);
}

/* ---- condition 8: several certificates ---- */

static void the_certificate_is_one_that_the_client_can_verify(void **state)
{
    (void)state;
    struct tls_cert *e = ecdsa, *p = p384, *r = rsa;
    const struct {
        struct tls_cert *certs[3];
        size_t count;
        int version;
        const char *sigalgs, *groups;
        int kind, bits; /* what the client sees; 0: no handshake */
    } cases[] = {
        {{r, e}, 2, TLS1_3_VERSION, NULL, NULL, EVP_PKEY_EC, 256},
        {{r, e}, 2, TLS1_2_VERSION, NULL, NULL, EVP_PKEY_EC, 256},
        {{e, r}, 2, TLS1_3_VERSION, "RSA-PSS+SHA256", NULL, EVP_PKEY_RSA, 2048},
        {{e, r}, 2, TLS1_2_VERSION, "RSA+SHA256", NULL, EVP_PKEY_RSA, 2048},
        {{r, p, e}, 3, TLS1_3_VERSION, NULL, NULL, EVP_PKEY_EC, 256},
        {{p, r}, 2, TLS1_2_VERSION, NULL, "X25519:P-256", EVP_PKEY_RSA, 2048},
        {{p, r}, 2, TLS1_2_VERSION, NULL, "X25519:P-384", EVP_PKEY_EC, 384},
        {{p, r}, 2, TLS1_3_VERSION, "ECDSA+SHA256:RSA-PSS+SHA256", NULL, EVP_PKEY_RSA, 2048},
        {{p}, 1, TLS1_3_VERSION, "ECDSA+SHA384", NULL, EVP_PKEY_EC, 384},
        {{e}, 1, TLS1_3_VERSION, "ECDSA+SHA384", NULL, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world *world = world_new();
        memcpy(world->site.certs, cases[i].certs, sizeof(world->site.certs));
        world->site.cert_count = cases[i].count;
        SSL_set_max_proto_version(world->peer.ssl, cases[i].version);
        if (cases[i].sigalgs != NULL)
            assert_int_equal(SSL_set1_sigalgs_list(world->peer.ssl, cases[i].sigalgs), 1);
        if (cases[i].groups != NULL)
            assert_int_equal(SSL_set1_groups_list(world->peer.ssl, cases[i].groups), 1);
        shake(world, SIZE_MAX);
        assert_int_equal(world->seen.open, cases[i].kind != 0);
        if (cases[i].kind != 0) {
            EVP_PKEY *key = X509_get0_pubkey(SSL_get0_peer_certificate(world->peer.ssl));
            assert_int_equal(EVP_PKEY_get_base_id(key), cases[i].kind);
            assert_int_equal(EVP_PKEY_get_bits(key), cases[i].bits);
        }
        world_end(world);
    }
}

/* Condition 7: a reload may drop a certificate at any moment. */
static void a_certificate_may_go_while_streams_use_it(void **state)
{
    (void)state;
    for (int turns = 0; turns < 6; turns++) {
        struct world *world = world_new();
        struct tls_cert *brief = load("P-256");
        world->site.certs[0] = brief;
        world->seen.echo = true;
        peer_go(&world->peer);
        for (int i = 0; i < turns; i++)
            pair_turn(&world->pair, 100);
        if (world->site.asked == 0)
            pair_pump(&world->pair, SIZE_MAX);
        tls_cert_unref(brief);
        pair_pump(&world->pair, SIZE_MAX);
        assert_true(world->seen.open);
        peer_write(&world->peer, "hello", 5);
        pair_pump(&world->pair, SIZE_MAX);
        assert_int_equal(world->peer.got_len, 5);
        stream_finish(world->seen.stream);
        world_end(world);
    }
}

/* ---- condition 1: tickets ---- */

/* Connects with a session and answers whether it was resumed; takes the new ticket over. */
static bool resume(int version, const char *name, SSL_SESSION **session, unsigned *tickets_sent)
{
    struct world *world = world_new();
    SSL_set_max_proto_version(world->peer.ssl, version);
    SSL_set_tlsext_host_name(world->peer.ssl, name);
    if (*session != NULL) {
        SSL_SESSION *copy = SSL_SESSION_dup(*session); /* OpenSSL writes to the one it uses */
        SSL_set_session(world->peer.ssl, copy);
        SSL_SESSION_free(copy);
    }
    world->seen.echo = true;
    shake(world, SIZE_MAX);
    assert_true(world->seen.open);
    peer_write(&world->peer, "hello", 5);
    pair_pump(&world->pair, SIZE_MAX);
    assert_int_equal(world->peer.got_len, 5);
    struct tls_info info;
    tls_stream_info(world->seen.stream, &info);
    assert_int_equal(info.resumed, SSL_session_reused(world->peer.ssl));
    *tickets_sent = world->peer.tickets;
    if (*session == NULL) {
        *session = world->peer.session;
        world->peer.session = NULL;
    }
    world_end(world);
    return info.resumed;
}

static void a_ticket_resumes_only_under_its_own_id(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t v = 0; v < 2; v++) {
        SSL_SESSION *session = NULL;
        unsigned sent;
        assert_false(resume(versions[v], "a.example", &session, &sent));
        assert_int_equal(sent, 1);
        assert_non_null(session);
        assert_true(resume(versions[v], "a.example", &session, &sent));
        assert_false(resume(versions[v], "b.example", &session, &sent));
        assert_true(resume(versions[v], "a.example", &session, &sent));
        SSL_SESSION_free(session);
    }
}

static void a_ticket_of_the_epoch_before_resumes_but_is_not_renewed(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const uint8_t epochs[3][TLS_SECRET_BYTES] = {{1}, {2}, {3}};
    for (size_t v = 0; v < 2; v++) {
        SSL_SESSION *old = NULL, *fresh = NULL;
        unsigned sent;
        tls_tickets_set(tickets, epochs[0], NULL);
        assert_false(resume(versions[v], "a.example", &old, &sent));
        tls_tickets_set(tickets, epochs[1], epochs[0]);
        assert_true(resume(versions[v], "a.example", &old, &sent));
        assert_int_equal(sent, 0);
        assert_false(resume(versions[v], "a.example", &fresh, &sent));
        assert_int_equal(sent, 1);
        tls_tickets_set(tickets, epochs[2], epochs[1]);
        assert_false(resume(versions[v], "a.example", &old, &sent));
        assert_true(resume(versions[v], "a.example", &fresh, &sent));
        SSL_SESSION_free(old);
        SSL_SESSION_free(fresh);
    }
}

static void flights_cost_one_send_each_and_the_ticket_none(void **state)
{
    (void)state;
    struct world *world = world_new();
    shake(world, SIZE_MAX);
    assert_true(world->seen.open);
    assert_int_equal(world->pair.ends[0].sends, 1);
    assert_int_equal(world->peer.tickets, 0);
    peer_write(&world->peer, "hello", 5);
    pair_pump(&world->pair, SIZE_MAX);
    char head[] = "head", body[] = "body";
    struct iovec answer[] = {{head, 4}, {body, 4}};
    stream_send(world->seen.stream, answer, 2);
    pair_pump(&world->pair, SIZE_MAX);
    assert_int_equal(world->pair.ends[0].sends, 2);
    assert_int_equal(world->peer.tickets, 1);
    assert_int_equal(world->peer.got_len, 8);
    assert_memory_equal(world->peer.got, "headbody", 8);
    world_end(world);
}

/* ---- condition 2: HelloRetryRequest ---- */

static bool replace_in(struct pair_end *end, const char *from, const char *to)
{
    char *at = end->len == 0 ? NULL : memmem(end->bytes, end->len, from, strlen(from));
    if (at != NULL)
        memcpy(at, to, strlen(to));
    return at != NULL;
}

static void the_second_hello_may_not_name_another_host(void **state)
{
    (void)state;
    for (int change = 0; change < 2; change++) {
        struct world *world = world_new();
        SSL_set_tlsext_host_name(world->peer.ssl, "a.example");
        assert_int_equal(SSL_set1_groups_list(world->peer.ssl, "P-521:P-256"), 1);
        peer_go(&world->peer);
        pair_deliver(&world->pair.ends[0], SIZE_MAX);
        pair_deliver(&world->pair.ends[1], SIZE_MAX);
        if (change == 1)
            assert_true(replace_in(&world->pair.ends[0], "a.example", "b.example"));
        pair_pump(&world->pair, SIZE_MAX);
        assert_int_equal(world->site.asked, 1);
        assert_int_equal(world->seen.open, change == 0);
        if (change == 1)
            assert_int_equal(world->peer.alert, 47); /* illegal_parameter */
        world_end(world);
    }
}

/* ---- condition 3: bounds on handshake messages ---- */

static void send_fragment(struct world *world, size_t len, bool first)
{
    char record[5 + 16384] = {22, 3, 1, (char)(len >> 8), (char)len};
    if (first)
        memcpy(record + 5, "\x01\xff\xff\xff", 4); /* ClientHello of 16 MB */
    stream_send_str(&world->pair.ends[1].stream, str_from(record, 5 + len));
}

static void handshake_messages_end_at_64_kib(void **state)
{
    (void)state;
    static const size_t sizes[] = {16384, 1000, 3};
    for (size_t i = 0; i < 3; i++) {
        struct world *world = world_new();
        size_t sent = 0;
        while (!world->seen.ended) {
            send_fragment(world, sizes[i], sent == 0);
            pair_pump(&world->pair, SIZE_MAX);
            sent += sizes[i] + 5;
            assert_true(sent < TLS_TEST_BOUND + sizes[i] + 5);
            if (sizes[i] == 3)
                break; /* a fragment without even a header is no matter of bounds */
        }
        if (sizes[i] != 3) {
            assert_true(sent > TLS_TEST_BOUND);
            assert_string_equal(error_of(world), "more than 64 KiB of handshake messages");
        }
        world_end(world);
    }
}

/* HKDF-Expand-Label (RFC 8446 7.1) with an empty context. */
static void expand_label(const unsigned char *secret, const char *label, unsigned char *out,
                         size_t len)
{
    unsigned char info[64] = {0};
    size_t n = 0, label_len = strlen(label);
    info[n++] = 0;
    info[n++] = (unsigned char)len;
    info[n++] = (unsigned char)(6 + label_len);
    memcpy(info + n, "tls13 ", 6);
    memcpy(info + n + 6, label, label_len);
    n += 6 + label_len;
    info[n++] = 0;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
    EVP_PKEY_derive_init(ctx);
    EVP_PKEY_CTX_set_hkdf_mode(ctx, EVP_PKEY_HKDEF_MODE_EXPAND_ONLY);
    EVP_PKEY_CTX_set_hkdf_md(ctx, EVP_sha256());
    EVP_PKEY_CTX_set1_hkdf_key(ctx, secret, 32);
    EVP_PKEY_CTX_add1_hkdf_info(ctx, info, (int)n);
    assert_int_equal(EVP_PKEY_derive(ctx, out, &len), 1);
    EVP_PKEY_CTX_free(ctx);
}

static unsigned char traffic_secret[32];

static void on_keylog(const SSL *ssl, const char *line)
{
    (void)ssl;
    if (strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) != 0)
        return;
    const char *hex = strrchr(line, ' ') + 1;
    for (size_t i = 0; i < 32; i++)
        traffic_secret[i] = (unsigned char)(char_hex(hex[2 * i]) << 4 | char_hex(hex[2 * i + 1]));
}

/* A record of TLS 1.3 under the client's first key (RFC 8446 5.2), AES-128-GCM. */
static size_t seal(uint64_t number, uint8_t type, const void *bytes, size_t len, char *record)
{
    unsigned char key[16], iv[12], inner[16385];
    int out = 0, last = 0;
    expand_label(traffic_secret, "key", key, 16);
    expand_label(traffic_secret, "iv", iv, 12);
    for (unsigned i = 0; i < 8; i++)
        iv[4 + i] ^= (unsigned char)(number >> (56 - 8 * i));
    memcpy(inner, bytes, len);
    inner[len] = type;
    size_t sealed = len + 1 + 16;
    memcpy(record, (char[]){23, 3, 3, (char)(sealed >> 8), (char)sealed}, 5);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, iv);
    EVP_EncryptUpdate(ctx, NULL, &out, (unsigned char *)record, 5);
    EVP_EncryptUpdate(ctx, (unsigned char *)record + 5, &out, inner, (int)len + 1);
    EVP_EncryptFinal_ex(ctx, (unsigned char *)record + 5 + out, &last);
    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, record + 5 + out);
    EVP_CIPHER_CTX_free(ctx);
    return 5 + sealed;
}

static struct world *world_with_known_keys(void)
{
    struct world *world = world_new();
    SSL_CTX_set_keylog_callback(world->ctx, on_keylog);
    SSL_set_min_proto_version(world->peer.ssl, TLS1_3_VERSION);
    SSL_set_ciphersuites(world->peer.ssl, "TLS_AES_128_GCM_SHA256");
    shake(world, SIZE_MAX);
    assert_true(world->seen.open);
    return world;
}

static void the_bound_holds_after_the_handshake_too(void **state)
{
    (void)state;
    for (int with_data = 0; with_data < 2; with_data++) {
        struct world *world = world_with_known_keys();
        char message[4096] = {4, 0x7f, 0, 0}, record[17000]; /* NewSessionTicket of 8 MB */
        size_t sent = 0;
        uint64_t number = 0;
        while (!world->seen.ended && sent < 200 * 1024) {
            size_t len = seal(number++, 22, message, sizeof(message), record);
            sent += len;
            stream_send_str(&world->pair.ends[1].stream, str_from(record, len));
            pair_pump(&world->pair, SIZE_MAX);
            memset(message, 0, sizeof(message));
        }
        assert_true(world->seen.ended);
        assert_true(sent <= TLS_TEST_BOUND + 5000);
        assert_int_equal(world->seen.end, STREAM_BAD_TLS);
        world_end(world);
    }
}

static void empty_records_are_no_end_and_are_bounded(void **state)
{
    (void)state;
    struct world *world = world_with_known_keys();
    char record[100];
    uint64_t number = 0;
    size_t len = seal(number++, 23, "", 0, record);
    stream_send_str(&world->pair.ends[1].stream, str_from(record, len));
    len = seal(number++, 23, "x", 1, record);
    stream_send_str(&world->pair.ends[1].stream, str_from(record, len));
    pair_pump(&world->pair, SIZE_MAX);
    assert_false(world->seen.ended);
    assert_int_equal(world->seen.len, 1);
    size_t sent = 0;
    while (!world->seen.ended && sent < 200 * 1024) {
        len = seal(number++, 23, "", 0, record);
        sent += len;
        stream_send_str(&world->pair.ends[1].stream, str_from(record, len));
        pair_pump(&world->pair, SIZE_MAX);
    }
    assert_true(world->seen.ended);
    world_end(world);
}

/* ---- condition 4: all that is there is read ---- */

static void records_that_yield_nothing_do_not_hold_up_the_next(void **state)
{
    (void)state;
    struct world *world = world_new();
    shake(world, SIZE_MAX);
    char expected[20];
    for (int i = 0; i < 5; i++) {
        SSL_key_update(world->peer.ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        char byte = expected[i] = (char)('a' + i);
        SSL_write(world->peer.ssl, &byte, 1);
    }
    peer_flush(&world->peer);
    pair_turn(&world->pair, SIZE_MAX);
    assert_int_equal(world->seen.len, 5);
    assert_memory_equal(world->seen.bytes, expected, 5);
    assert_int_equal(world->seen.calls, 1);
    world_end(world);
}

static void an_asked_key_update_is_answered_before_the_next_data(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->seen.echo = true;
    shake(world, SIZE_MAX);
    SSL_key_update(world->peer.ssl, SSL_KEY_UPDATE_REQUESTED);
    peer_write(&world->peer, "one", 3);
    pair_pump(&world->pair, SIZE_MAX);
    peer_write(&world->peer, "two", 3);
    pair_pump(&world->pair, SIZE_MAX);
    assert_int_equal(world->peer.got_len, 6);
    world_end(world);
}

static void a_flood_of_key_updates_ends_the_stream(void **state)
{
    (void)state;
    struct world *world = world_new();
    shake(world, SIZE_MAX);
    for (int i = 0; i < 50; i++) {
        SSL_key_update(world->peer.ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        SSL_do_handshake(world->peer.ssl);
    }
    peer_flush(&world->peer);
    pair_pump(&world->pair, SIZE_MAX);
    assert_int_equal(world->seen.end, STREAM_BAD_TLS);
    world_end(world);
}

static void renegotiation_is_refused(void **state)
{
    (void)state;
    struct world *world = world_new();
    SSL_set_max_proto_version(world->peer.ssl, TLS1_2_VERSION);
    shake(world, SIZE_MAX);
    SSL_renegotiate(world->peer.ssl);
    SSL_do_handshake(world->peer.ssl);
    peer_flush(&world->peer);
    pair_pump(&world->pair, SIZE_MAX);
    assert_int_equal(world->seen.end, STREAM_BAD_TLS);
    assert_string_equal(error_of(world), "the peer asked for renegotiation");
    assert_int_equal(world->peer.alert, 100);
    world_end(world);
}

static unsigned key_updates;

static void count_key_updates(int write, int version, int type, const void *bytes, size_t len,
                              SSL *ssl, void *argument)
{
    (void)version;
    (void)ssl;
    (void)argument;
    if (write == 0 && type == SSL3_RT_HANDSHAKE && len > 0 &&
        *(const uint8_t *)bytes == SSL3_MT_KEY_UPDATE)
        key_updates++;
}

static void our_key_changes_before_it_has_protected_too_much(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t v = 0; v < 2; v++) {
        struct world *world = world_new();
        SSL_set_max_proto_version(world->peer.ssl, versions[v]);
        shake(world, SIZE_MAX);
        struct tls_stream *tls = (struct tls_stream *)world->seen.stream;
        tls->records_sent = TLS_RECORDS_PER_KEY - 2;
        key_updates = 0;
        SSL_set_msg_callback(world->peer.ssl, count_key_updates);
        for (int i = 0; i < 4; i++)
            stream_send_str(world->seen.stream, STR("data"));
        pair_pump(&world->pair, SIZE_MAX);
        assert_int_equal(world->peer.got_len, 16);
        assert_int_equal(key_updates, v);
        world_end(world);
    }
}

/* ---- data ---- */

static void fill(char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 7 + i / 251);
}

static void large_data_passes_both_ways_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const size_t pieces[] = {1, 1448, 65536, SIZE_MAX};
    static char data[300 * 1000];
    fill(data, sizeof(data));
    for (size_t v = 0; v < 2; v++)
        for (size_t p = 0; p < 4; p++) {
            size_t len = pieces[p] == 1 ? 40000 : sizeof(data);
            struct world *world = world_new();
            SSL_set_max_proto_version(world->peer.ssl, versions[v]);
            shake(world, SIZE_MAX);
            peer_write(&world->peer, data, len);
            stream_send_str(world->seen.stream, str_from(data, len));
            if (pieces[p] == SIZE_MAX) /* four records a send */
                assert_true(world->pair.ends[0].sends <= 2 + len / 65536 + 1);
            pair_pump(&world->pair, pieces[p] == SIZE_MAX ? STREAM_READ_MAX : pieces[p]);
            assert_int_equal(world->seen.len, len);
            assert_memory_equal(world->seen.bytes, data, len);
            assert_true(world->seen.most <= STREAM_READ_MAX);
            assert_int_equal(world->peer.got_len, len);
            assert_memory_equal(world->peer.got, data, len);
            world_end(world);
        }
}

static void any_list_of_pieces_arrives_in_order(void **state)
{
    (void)state;
    static const size_t lists[][4] = {
        {0, 0, 0, 0},         {1, 0, 0, 1},
        {16384, 1, 0, 0},     {1, 16384, 0, 0},
        {16383, 1, 1, 16384}, {100, 40000, 100, 100},
        {0, 16384, 0, 200},   {16384, 16384, 16384, 16384},
    };
    static char data[120 * 1000];
    fill(data, sizeof(data));
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct world *world = world_new();
        struct iovec iov[4];
        size_t len = 0;
        shake(world, SIZE_MAX);
        for (int k = 0; k < 4; k++) {
            iov[k] = (struct iovec){data + len, lists[i][k]};
            len += lists[i][k];
        }
        stream_send(world->seen.stream, iov, 4);
        pair_pump(&world->pair, SIZE_MAX);
        assert_int_equal(world->peer.got_len, len);
        assert_memory_equal(world->peer.got, data, len);
        world_end(world);
    }
}

static void what_arrives_while_paused_comes_after_and_never_from_within_resume(void **state)
{
    (void)state;
    static const size_t pieces[] = {100, 20000, STREAM_READ_MAX};
    static char data[200 * 1000];
    fill(data, sizeof(data));
    for (size_t p = 0; p < 3; p++) {
        struct world *world = world_new();
        shake(world, SIZE_MAX);
        world->seen.pause_on_bytes = true;
        peer_write(&world->peer, data, sizeof(data));
        size_t rounds = 0;
        while (world->seen.len < sizeof(data) && rounds++ < 10000) {
            pair_pump(&world->pair, pieces[p]);
            size_t before = world->seen.len;
            stream_pause(world->seen.stream, false);
            assert_int_equal(world->seen.len, before);
        }
        assert_int_equal(world->seen.len, sizeof(data));
        assert_memory_equal(world->seen.bytes, data, sizeof(data));
        world_end(world);
    }
}

static void the_end_waits_until_the_paused_data_was_read(void **state)
{
    (void)state;
    static char data[50 * 1000];
    fill(data, sizeof(data));
    for (int proper = 0; proper < 2; proper++) {
        struct world *world = world_new();
        shake(world, SIZE_MAX);
        stream_pause(world->seen.stream, true);
        peer_write(&world->peer, data, sizeof(data));
        if (proper == 1) {
            SSL_shutdown(world->peer.ssl);
            peer_flush(&world->peer);
        }
        stream_finish(&world->pair.ends[1].stream);
        /* what TCP had read already comes in spite of the pause */
        struct pair_end *end = &world->pair.ends[0];
        end->paused = false;
        pair_pump(&world->pair, STREAM_READ_MAX);
        assert_int_equal(world->seen.len, 0);
        assert_false(world->seen.ended);
        end->paused = true;
        stream_pause(world->seen.stream, false);
        pair_pump(&world->pair, SIZE_MAX);
        assert_int_equal(world->seen.len, sizeof(data));
        assert_true(world->seen.ended);
        assert_int_equal(world->seen.end, proper == 1 ? STREAM_FINISHED : STREAM_TRUNCATED);
        world_end(world);
    }
}

/* ---- ends ---- */

static void truncation_is_told_from_a_proper_end(void **state)
{
    (void)state;
    for (int proper = 0; proper < 2; proper++) {
        struct world *world = world_new();
        shake(world, SIZE_MAX);
        peer_write(&world->peer, "part", 4);
        if (proper == 1) {
            SSL_shutdown(world->peer.ssl);
            peer_flush(&world->peer);
        }
        stream_finish(&world->pair.ends[1].stream);
        pair_pump(&world->pair, SIZE_MAX);
        assert_int_equal(world->seen.len, 4);
        assert_int_equal(world->seen.end, proper == 1 ? STREAM_FINISHED : STREAM_TRUNCATED);
        world_end(world);
    }
}

static void after_the_peers_end_we_may_still_send_and_finish(void **state)
{
    (void)state;
    struct world *world = world_new();
    shake(world, SIZE_MAX);
    SSL_shutdown(world->peer.ssl);
    peer_flush(&world->peer);
    pair_pump(&world->pair, SIZE_MAX);
    assert_int_equal(world->seen.end, STREAM_FINISHED);
    stream_send_str(world->seen.stream, STR("late"));
    stream_finish(world->seen.stream);
    stream_send_str(world->seen.stream, STR("too late"));
    pair_pump(&world->pair, SIZE_MAX);
    assert_int_equal(world->peer.got_len, 4);
    assert_true(world->peer.closed);
    assert_true(world->peer.lower_closed);
    world_end(world);
}

static void a_client_that_leaves_during_the_handshake_is_named(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct world *world = world_new();
        peer_go(&world->peer);
        pair_turn(&world->pair, 50);
        world->pair.ends[0].len = 0;
        if (reset == 1)
            stream_reset(&world->pair.ends[1].stream);
        else
            stream_finish(&world->pair.ends[1].stream);
        pair_pump(&world->pair, SIZE_MAX);
        assert_int_equal(world->seen.end, reset == 1 ? STREAM_RESET : STREAM_BAD_TLS);
        assert_string_equal(error_of(world),
                            reset == 1 ? "the peer reset the connection during the handshake"
                                       : "the peer closed the connection during the handshake");
        world_end(world);
    }
}

static void an_alert_of_the_client_is_named(void **state)
{
    (void)state;
    struct world *world = world_new();
    SSL_set_verify(world->peer.ssl, SSL_VERIFY_PEER, NULL);
    shake(world, SIZE_MAX);
    assert_int_equal(world->seen.end, STREAM_BAD_TLS);
    assert_string_equal(error_of(world), "client sent the alert: CA is unknown");
    world_end(world);
}

static void a_forged_record_ends_the_stream(void **state)
{
    (void)state;
    struct world *world = world_new();
    shake(world, SIZE_MAX);
    peer_write(&world->peer, "good", 4);
    pair_pump(&world->pair, SIZE_MAX);
    peer_write(&world->peer, "evil", 4);
    world->pair.ends[0].bytes[8] ^= 1;
    pair_pump(&world->pair, SIZE_MAX);
    assert_int_equal(world->seen.len, 4);
    assert_int_equal(world->seen.end, STREAM_BAD_TLS);
    assert_int_equal(world->peer.alert, 20); /* bad_record_mac */
    world_end(world);
}

static void closing_from_within_callbacks_is_fine(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct world *world = world_new();
        world->seen.close_on_open = which == 0;
        world->seen.close_on_bytes = which == 1;
        world->seen.echo = which == 1;
        shake(world, SIZE_MAX);
        peer_write(&world->peer, "hello", 5);
        pair_pump(&world->pair, SIZE_MAX);
        assert_true(world->pair.ends[0].closed);
        assert_false(world->seen.ended);
        assert_int_equal(world->seen.len, which == 1 ? 5 : 0);
        if (which == 1) /* what was sent before went out */
            assert_int_equal(world->peer.got_len, 5);
        world_end(world);
    }
}

/* ---- strangers ---- */

static void plain_http_gets_a_400_in_plain_text(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, SIZE_MAX};
    for (size_t p = 0; p < 2; p++) {
        struct world *world = world_new();
        world->pair.ends[1].stream.user = NULL; /* let the answer lie */
        stream_send_str(&world->pair.ends[1].stream, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        pair_pump(&world->pair, pieces[p]);
        const struct pair_end *end = &world->pair.ends[1];
        assert_int_equal(world->seen.end, STREAM_BAD_TLS);
        assert_string_equal(error_of(world), "plain HTTP was spoken to a TLS port");
        assert_true(
            str_starts(str_from(end->bytes, end->len), STR("HTTP/1.1 400 Bad Request\r\n")));
        assert_true(str_ends(str_from(end->bytes, end->len),
                             STR("\r\n\r\nThis port speaks HTTPS; use a URL that begins "
                                 "https://.\n")));
        assert_true(end->fin);
        world_end(world);
    }
}

static void what_is_no_tls_is_refused_at_its_header(void **state)
{
    (void)state;
    static const struct str cases[] = {
        STR_INIT("\x80\x2e\x01\x00\x02\x00\x15\x00\x00"), /* SSLv2 */
        STR_INIT("\x00\x00\x00\x00\x00"),
        STR_INIT("\xff\xff\xff\xff\xff"),
        STR_INIT("\x17\x03\x03\x00\x01\x00"), /* data before the handshake */
        STR_INIT("\x16\x03\x01\xff\xff"),     /* a record of 65,535 bytes */
        STR_INIT("\x16\x02\x00\x00\x01\x01"), /* another major version */
    };
    static const size_t pieces[] = {1, SIZE_MAX};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t p = 0; p < 2; p++) {
            struct world *world = world_new();
            stream_send_str(&world->pair.ends[1].stream, cases[i]);
            pair_pump(&world->pair, pieces[p]);
            assert_true(world->seen.ended);
            assert_int_equal(world->seen.end, STREAM_BAD_TLS);
            assert_true(strlen(error_of(world)) > 0);
            world_end(world);
        }
}

/* ---- memory ---- */

static void an_idle_stream_is_small(void **state)
{
    (void)state;
    enum { COUNT = 50 };
    static struct world *worlds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        worlds[i] = world_new();
        SSL_set_tlsext_host_name(worlds[i]->peer.ssl, "a.example");
        worlds[i]->seen.echo = true;
        shake(worlds[i], SIZE_MAX);
        peer_write(&worlds[i]->peer, "hello", 5);
        pair_pump(&worlds[i]->pair, 3);
    }
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < COUNT; i++)
        stream_close(worlds[i]->seen.stream);
    pair_run_tasks();
    size_t freed = before - mallinfo2().uordblks;
    print_message("%zu bytes per idle stream\n", freed / COUNT);
#ifndef __SANITIZE_ADDRESS__
    assert_in_range(freed / COUNT, 1000, 11 * 1024);
#endif
    for (int i = 0; i < COUNT; i++)
        world_end(worlds[i]);
}

static void one_handshake(void *unused)
{
    struct world *world = calloc(1, sizeof(*world));
    (void)unused;
    world->ctx = SSL_CTX_new(TLS_client_method());
    world->site = (struct site){.certs = {ecdsa}, .cert_count = 1};
    pair_init(&world->pair);
    world->seen.stream =
        tls_accept(&world->pair.ends[0].stream, server, choose, &world->site, &user, &world->seen);
    assert_true(world->seen.stream != NULL || alloc_has_failed());
    peer_init(&world->peer, &world->pair.ends[1], world->ctx, true);
    if (world->seen.stream == NULL)
        world->seen.stream = &world->pair.ends[0].stream; /* it stays ours */
    else
        shake(world, 100);
    assert_true(world->seen.open || alloc_has_failed());
    world_end(world);
}

/* A refusal has a sentence, which takes memory too. */
static void one_refusal(void *unused)
{
    struct world *world = calloc(1, sizeof(*world));
    (void)unused;
    world->ctx = SSL_CTX_new(TLS_client_method());
    pair_init(&world->pair);
    world->seen.stream =
        tls_accept(&world->pair.ends[0].stream, server, choose, &world->site, &user, &world->seen);
    peer_init(&world->peer, &world->pair.ends[1], world->ctx, true);
    if (world->seen.stream == NULL)
        world->seen.stream = &world->pair.ends[0].stream;
    else
        shake(world, 100);
    assert_false(world->seen.open);
    world_end(world);
}

static void without_memory_a_handshake_ends(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_handshake, NULL) > 2);
    assert_true(alloc_walk(one_refusal, NULL) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_version_and_key_shakes_hands_in_pieces_of_any_size),
        cmocka_unit_test(a_burst_of_hellos_is_answered_in_more_than_one_turn),
        cmocka_unit_test(failing_handshakes_are_named_and_alerted),
        cmocka_unit_test(a_shared_protocol_is_agreed_on_and_none_is_let_in),
        cmocka_unit_test(a_client_of_tls_13_alone_is_let_in),
        cmocka_unit_test(the_certificate_is_one_that_the_client_can_verify),
        cmocka_unit_test(a_certificate_may_go_while_streams_use_it),
        cmocka_unit_test(a_ticket_resumes_only_under_its_own_id),
        cmocka_unit_test(a_ticket_of_the_epoch_before_resumes_but_is_not_renewed),
        cmocka_unit_test(flights_cost_one_send_each_and_the_ticket_none),
        cmocka_unit_test(the_second_hello_may_not_name_another_host),
        cmocka_unit_test(handshake_messages_end_at_64_kib),
        cmocka_unit_test(the_bound_holds_after_the_handshake_too),
        cmocka_unit_test(empty_records_are_no_end_and_are_bounded),
        cmocka_unit_test(records_that_yield_nothing_do_not_hold_up_the_next),
        cmocka_unit_test(an_asked_key_update_is_answered_before_the_next_data),
        cmocka_unit_test(a_flood_of_key_updates_ends_the_stream),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(our_key_changes_before_it_has_protected_too_much),
        cmocka_unit_test(all_suites_are_there),
        cmocka_unit_test(large_data_passes_both_ways_in_pieces_of_any_size),
        cmocka_unit_test(any_list_of_pieces_arrives_in_order),
        cmocka_unit_test(what_arrives_while_paused_comes_after_and_never_from_within_resume),
        cmocka_unit_test(the_end_waits_until_the_paused_data_was_read),
        cmocka_unit_test(truncation_is_told_from_a_proper_end),
        cmocka_unit_test(after_the_peers_end_we_may_still_send_and_finish),
        cmocka_unit_test(a_client_that_leaves_during_the_handshake_is_named),
        cmocka_unit_test(an_alert_of_the_client_is_named),
        cmocka_unit_test(a_forged_record_ends_the_stream),
        cmocka_unit_test(closing_from_within_callbacks_is_fine),
        cmocka_unit_test(plain_http_gets_a_400_in_plain_text),
        cmocka_unit_test(what_is_no_tls_is_refused_at_its_header),
        cmocka_unit_test(an_idle_stream_is_small),
        cmocka_unit_test(without_memory_a_handshake_ends),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
