#include "tls/tls_connect.h"

#include "alloc_fail.h"
#include "base/text.h"
#include "stream_pair.h"
#include "tls_make.h"
#include "tls_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct made ca, other_ca, good, expired, wrong_name, nameless, self_signed, mine;
static struct tls_trust *trust, *other_trust, *self_trust;
static struct tls_cert *my_cert;
static SSL_CTX *origin;
static struct tls_client *client;

static struct tls_trust *trust_of(const struct made *made)
{
    char sentence[256];
    struct text why = text_over(sentence, sizeof(sentence));
    return tls_trust_new(str_from_z(made->cert_pem), STR("ca.pem"), &why);
}

static int protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                    const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    (void)in_len;
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static int set_up(void **state)
{
    (void)state;
    char sentence[256];
    struct text why = text_over(sentence, sizeof(sentence));
    const char *error;
    ca = make_cert("P-256", "Test CA", NULL, NULL, -1, 100);
    other_ca = make_cert("P-256", "Other CA", NULL, NULL, -1, 100);
    good = make_cert("P-256", "origin", "DNS:origin.example,DNS:*.wild.example,IP:127.0.0.1", &ca,
                     -1, 30);
    expired = make_cert("P-256", "origin", "DNS:origin.example", &ca, -30, -1);
    wrong_name = make_cert("P-256", "origin", "DNS:elsewhere.example", &ca, -1, 30);
    nameless = make_cert("P-256", "origin.example", "email:a@origin.example", &ca, -1, 30);
    self_signed = make_cert("RSA", "origin", "DNS:origin.example", NULL, -1, 30);
    mine = make_cert("P-256", "proxy", "DNS:proxy.example", &ca, -1, 30);
    my_cert = tls_cert_load(str_from_z(mine.cert_pem), STR("c"), str_from_z(mine.key_pem), STR("k"),
                            &why);
    trust = trust_of(&ca);
    other_trust = trust_of(&other_ca);
    self_trust = trust_of(&self_signed);
    client = tls_client_new(&error);
    origin = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_alpn_select_cb(origin, protocol, NULL);
    SSL_CTX_set_session_id_context(origin, (const unsigned char *)"t", 1);
    return trust == NULL || other_trust == NULL || self_trust == NULL || my_cert == NULL ||
           client == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    struct made *all[] = {&ca,         &other_ca,    &good, &expired,
                          &wrong_name, &self_signed, &mine, &nameless};
    for (size_t i = 0; i < 8; i++)
        made_end(all[i]);
    tls_trust_unref(trust);
    tls_trust_unref(other_trust);
    tls_trust_unref(self_trust);
    tls_cert_unref(my_cert);
    tls_client_end(client);
    SSL_CTX_free(origin);
    return 0;
}

struct seen {
    struct stream *stream;
    char bytes[100];
    size_t len;
    bool open, ended;
    enum stream_end end;
};

static void on_open(void *user)
{
    ((struct seen *)user)->open = true;
}
static void on_bytes(void *user, struct str bytes)
{
    struct seen *seen = user;
    assert_true(seen->len + bytes.len <= sizeof(seen->bytes));
    memcpy(seen->bytes + seen->len, bytes.at, bytes.len);
    seen->len += bytes.len;
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
};

static struct world *connect_to(const struct made *made, const struct tls_client_conf *conf,
                                int version, size_t piece)
{
    struct world *world = calloc(1, sizeof(*world));
    pair_init(&world->pair);
    peer_init(&world->peer, &world->pair.ends[1], origin, false);
    SSL_use_certificate(world->peer.ssl, made->cert);
    SSL_use_PrivateKey(world->peer.ssl, made->key);
    SSL_set_max_proto_version(world->peer.ssl, version);
    world->seen.stream =
        tls_connect(&world->pair.ends[0].stream, client, conf, &user, &world->seen);
    assert_non_null(world->seen.stream);
    struct stream *lower = &world->pair.ends[0].stream;
    lower->user->on_open(lower->user_data);
    pair_pump(&world->pair, piece);
    return world;
}

static void world_end(struct world *world)
{
    stream_close(world->seen.stream);
    pair_fini(&world->pair);
    peer_fini(&world->peer);
    free(world);
}

static void ask(struct world *world)
{
    stream_send_str(world->seen.stream, STR("ping"));
    pair_pump(&world->pair, SIZE_MAX);
    assert_int_equal(world->peer.got_len, 4);
    peer_write(&world->peer, "pong", 4);
    pair_pump(&world->pair, SIZE_MAX);
    assert_int_equal(world->seen.len, 4);
}

static bool resumed(const struct world *world)
{
    struct tls_info info;
    tls_stream_info(world->seen.stream, &info);
    return info.resumed;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
static const struct str http = STR_INIT("http/1.1");

static struct tls_client_conf conf_for(const char *name)
{
    return (struct tls_client_conf){
        .trust = trust,
        .verify_name = str_from_z(name),
        .server_name = str_from_z(name),
        .protocols = &http,
        .protocol_count = 1,
    };
}

static void a_good_origin_is_taken(void **state)
{
    (void)state;
    static const char *const names[] = {"origin.example", "a.wild.example", "127.0.0.1"};
    static const size_t pieces[] = {1, SIZE_MAX};
    for (size_t n = 0; n < 3; n++)
        for (size_t v = 0; v < 2; v++)
            for (size_t p = 0; p < 2; p++) {
                struct tls_client_conf conf = conf_for(names[n]);
                struct world *world = connect_to(&good, &conf, versions[v], pieces[p]);
                assert_true(world->seen.open);
                const char *sent = SSL_get_servername(world->peer.ssl, TLSEXT_NAMETYPE_host_name);
                if (n == 2)
                    assert_null(sent);
                else
                    assert_string_equal(sent, names[n]);
                struct tls_info info;
                tls_stream_info(world->seen.stream, &info);
                assert_true(str_eq(info.alpn, STR("http/1.1")));
                ask(world);
                world_end(world);
            }
}

static void a_bad_certificate_is_refused_with_a_sentence(void **state)
{
    (void)state;
    const struct {
        const struct made *made;
        struct tls_trust *trust;
        const char *name, *sentence;
    } cases[] = {
        {&wrong_name, trust, "origin.example",
         "the origin's certificate is refused: it does not name origin.example"},
        {&nameless, trust, "origin.example",
         "the origin's certificate is refused: it does not name origin.example"},
        {&good, trust, "a.b.wild.example",
         "the origin's certificate is refused: it does not name a.b.wild.example"},
        {&good, trust, "127.0.0.2",
         "the origin's certificate is refused: it does not name 127.0.0.2"},
        {&good, trust, "", "the origin's certificate is refused: it does not name "},
        {&expired, trust, "origin.example", "the origin's certificate is refused: it has expired"},
        {&good, other_trust, "origin.example",
         "the origin's certificate is refused: its issuer is not trusted"},
        {&self_signed, trust, "origin.example",
         "the origin's certificate is refused: its issuer is not trusted"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t v = 0; v < 2; v++) {
            struct tls_client_conf conf = conf_for(cases[i].name);
            conf.trust = cases[i].trust;
            struct world *world = connect_to(cases[i].made, &conf, versions[v], SIZE_MAX);
            assert_false(world->seen.open);
            assert_true(world->seen.ended);
            assert_int_equal(world->seen.end, STREAM_BAD_TLS);
            assert_string_equal(stream_error_text(world->seen.stream), cases[i].sentence);
            assert_true(world->peer.alert > 0);
            world_end(world);
        }
}

static void a_self_signed_certificate_may_be_the_trusted_one(void **state)
{
    (void)state;
    struct tls_client_conf conf = conf_for("origin.example");
    conf.trust = self_trust;
    struct world *world = connect_to(&self_signed, &conf, TLS1_3_VERSION, SIZE_MAX);
    assert_true(world->seen.open);
    world_end(world);
}

static void insecure_takes_any(void **state)
{
    (void)state;
    struct tls_client_conf conf = conf_for("x.example");
    conf.trust = NULL;
    struct world *world = connect_to(&expired, &conf, TLS1_3_VERSION, SIZE_MAX);
    assert_true(world->seen.open);
    world_end(world);
}

static void sessions_are_resumed_where_all_is_the_same(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct tls_client_conf conf = conf_for("origin.example");
        conf.origin = v == 0 ? STR("10.0.0.1:443") : STR("10.0.0.2:443");
        for (int i = 0; i < 3; i++) {
            struct world *world = connect_to(&good, &conf, versions[v], SIZE_MAX);
            assert_true(world->seen.open);
            assert_int_equal(resumed(world), i > 0);
            ask(world);
            world_end(world);
        }
    }
}

/* Condition 9: GnuTLS does not verify the certificate of a resumed session. */
static void an_insecure_session_is_not_resumed_under_verification(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct tls_client_conf conf = conf_for("origin.example");
        conf.origin = v == 0 ? STR("10.0.0.3:443") : STR("10.0.0.4:443");
        conf.trust = NULL;
        struct world *world = connect_to(&self_signed, &conf, versions[v], SIZE_MAX);
        assert_true(world->seen.open);
        ask(world);
        world_end(world);
        conf.trust = trust;
        world = connect_to(&self_signed, &conf, versions[v], SIZE_MAX);
        assert_false(world->seen.open);
        world_end(world);
        conf.trust = other_trust;
        world = connect_to(&self_signed, &conf, versions[v], SIZE_MAX);
        assert_false(world->seen.open);
        world_end(world);
    }
}

static void our_certificate_is_shown_when_asked_for(void **state)
{
    (void)state;
    X509_STORE *store = SSL_CTX_get_cert_store(origin);
    X509_STORE_add_cert(store, ca.cert);
    for (size_t v = 0; v < 2; v++) {
        SSL_CTX_set_verify(origin, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        struct tls_client_conf conf = conf_for("origin.example");
        conf.cert = my_cert;
        struct world *world = connect_to(&good, &conf, versions[v], SIZE_MAX);
        assert_true(world->seen.open);
        assert_true(world->peer.open);
        X509 *shown = SSL_get1_peer_certificate(world->peer.ssl);
        assert_int_equal(X509_cmp(shown, mine.cert), 0);
        X509_free(shown);
        ask(world);
        world_end(world);
        SSL_CTX_set_verify(origin, SSL_VERIFY_NONE, NULL);
    }
}

static void what_is_no_tls_is_named(void **state)
{
    (void)state;
    struct tls_client_conf conf = conf_for("origin.example");
    struct world *world = calloc(1, sizeof(*world));
    pair_init(&world->pair);
    world->seen.stream =
        tls_connect(&world->pair.ends[0].stream, client, &conf, &user, &world->seen);
    struct stream *lower = &world->pair.ends[0].stream;
    lower->user->on_open(lower->user_data);
    stream_send_str(&world->pair.ends[1].stream, STR("HTTP/1.1 400 Bad Request\r\n\r\n"));
    pair_pump(&world->pair, SIZE_MAX);
    assert_int_equal(world->seen.end, STREAM_BAD_TLS);
    assert_string_equal(stream_error_text(world->seen.stream),
                        "the origin does not speak TLS on this port, or none from 1.2 on");
    stream_close(world->seen.stream);
    pair_fini(&world->pair);
    free(world);
}

static void a_refused_connection_is_told_as_such(void **state)
{
    (void)state;
    struct tls_client_conf conf = conf_for("origin.example");
    struct world *world = calloc(1, sizeof(*world));
    pair_init(&world->pair);
    world->seen.stream =
        tls_connect(&world->pair.ends[0].stream, client, &conf, &user, &world->seen);
    struct stream *lower = &world->pair.ends[0].stream;
    lower->user->on_end(lower->user_data, STREAM_REFUSED);
    assert_int_equal(world->seen.end, STREAM_REFUSED);
    stream_close(world->seen.stream);
    pair_fini(&world->pair);
    free(world);
}

static void one_connect(void *unused)
{
    char sentence[256];
    struct text why = text_over(sentence, sizeof(sentence));
    struct world *world = calloc(1, sizeof(*world));
    (void)unused;
    struct tls_trust *store = tls_trust_new(str_from_z(ca.cert_pem), STR("ca.pem"), &why);
    assert_true(store != NULL || alloc_has_failed());
    struct tls_client_conf conf = conf_for("origin.example");
    conf.trust = store;
    pair_init(&world->pair);
    peer_init(&world->peer, &world->pair.ends[1], origin, false);
    SSL_use_certificate(world->peer.ssl, good.cert);
    SSL_use_PrivateKey(world->peer.ssl, good.key);
    if (store != NULL)
        world->seen.stream =
            tls_connect(&world->pair.ends[0].stream, client, &conf, &user, &world->seen);
    struct stream *lower = &world->pair.ends[0].stream;
    if (world->seen.stream == NULL) {
        world->seen.stream = lower; /* it stays ours */
    } else {
        lower->user->on_open(lower->user_data);
        pair_pump(&world->pair, 100);
    }
    assert_true(world->seen.open || alloc_has_failed());
    world_end(world);
    if (store != NULL)
        tls_trust_unref(store);
}

static void without_memory_a_handshake_with_an_origin_ends(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_connect, NULL) > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_origin_is_taken),
        cmocka_unit_test(a_bad_certificate_is_refused_with_a_sentence),
        cmocka_unit_test(a_self_signed_certificate_may_be_the_trusted_one),
        cmocka_unit_test(insecure_takes_any),
        cmocka_unit_test(sessions_are_resumed_where_all_is_the_same),
        cmocka_unit_test(an_insecure_session_is_not_resumed_under_verification),
        cmocka_unit_test(our_certificate_is_shown_when_asked_for),
        cmocka_unit_test(what_is_no_tls_is_named),
        cmocka_unit_test(a_refused_connection_is_told_as_such),
        cmocka_unit_test(without_memory_a_handshake_with_an_origin_ends),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
