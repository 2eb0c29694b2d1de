#include "tls/tls_cert.h"

#include "base/arena.h"
#include "base/text.h"
#include "tls_make.h"

#include <openssl/pkcs12.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static struct made root, middle, leaf, stranger, alone;

static int set_up(void **state)
{
    (void)state;
    root = make_cert("P-256", "Root", NULL, NULL, -1, 1000);
    middle = make_cert("P-256", "Middle", NULL, &root, -1, 500);
    leaf =
        make_cert("P-384", "leaf", "DNS:WWW.example,DNS:*.wild.example,IP:192.0.2.1,IP:2001:db8::1",
                  &middle, -1, 30);
    stranger = make_cert("P-256", "stranger", "DNS:stranger.example", NULL, -1, 30);
    alone = make_cert("RSA", "alone", "DNS:alone.example", NULL, -10, -1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    struct made *all[] = {&root, &middle, &leaf, &stranger, &alone};
    for (size_t i = 0; i < 5; i++)
        made_end(all[i]);
    return 0;
}

static char sentence[1024];

static struct tls_cert *load(const char *chain, const char *key)
{
    struct text why = text_over(sentence, sizeof(sentence) - 1);
    struct tls_cert *cert =
        tls_cert_load(str_from_z(chain), STR("c.pem"), str_from_z(key), STR("k.pem"), &why);
    sentence[why.len] = '\0';
    return cert;
}

static char *join(const char *a, const char *b, const char *c, const char *d)
{
    char *all;
    assert_true(asprintf(&all, "%s%s%s%s", a, b, c, d) >= 0);
    return all;
}

static void a_chain_in_any_order_is_put_in_order(void **state)
{
    (void)state;
    const char *l = leaf.cert_pem, *m = middle.cert_pem, *r = root.cert_pem, *s = stranger.cert_pem;
    const struct {
        const char *parts[4];
        size_t len, unused;
        bool reordered, missing;
    } cases[] = {
        {{l, m, "", ""}, 2, 0, false, false}, {{l, m, r, ""}, 2, 0, false, false},
        {{m, l, "", ""}, 2, 0, true, false},  {{r, m, l, ""}, 2, 0, true, false},
        {{l, r, m, ""}, 2, 0, true, false},   {{s, r, l, m}, 2, 1, true, false},
        {{l, "", "", ""}, 1, 0, false, true}, {{l, r, "", ""}, 1, 1, false, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *chain =
            join(cases[i].parts[0], cases[i].parts[1], cases[i].parts[2], cases[i].parts[3]);
        struct tls_cert *cert = load(chain, leaf.key_pem);
        free(chain);
        assert_non_null(cert);
        const struct tls_facts *facts = tls_cert_facts(cert);
        assert_int_equal(facts->chain_len, cases[i].len);
        assert_int_equal(facts->unused, cases[i].unused);
        assert_int_equal(facts->reordered, cases[i].reordered);
        assert_int_equal(facts->intermediate_missing, cases[i].missing);
        tls_cert_unref(cert);
    }
}

static void the_facts_are_the_leafs(void **state)
{
    (void)state;
    char *chain = join(middle.cert_pem, leaf.cert_pem, "", "");
    struct tls_cert *cert = load(chain, leaf.key_pem);
    free(chain);
    const struct tls_facts *facts = tls_cert_facts(cert);
    assert_true(str_eq(facts->subject, STR("CN=leaf")));
    assert_true(str_eq(facts->issuer, STR("CN=Middle")));
    assert_int_equal(facts->name_count, 4);
    assert_true(str_eq(facts->names[0], STR("www.example")));
    assert_true(str_eq(facts->names[2], STR("192.0.2.1")));
    assert_true(str_eq(facts->names[3], STR("2001:db8::1")));
    assert_int_equal(facts->kind, TLS_KEY_ECDSA);
    assert_int_equal(facts->bits, 384);
    assert_string_equal(facts->curve, "P-384");
    assert_false(facts->self_signed);
    assert_false(facts->is_ca);
    int64_t now = (int64_t)time(NULL);
    assert_in_range(facts->not_after, now + 29 * 86400, now + 31 * 86400);
    assert_int_equal(facts->chain_not_after, facts->not_after);
    tls_cert_unref(tls_cert_ref(cert));
    tls_cert_unref(cert);
    cert = load(alone.cert_pem, alone.key_pem);
    facts = tls_cert_facts(cert);
    assert_true(facts->self_signed);
    assert_false(facts->intermediate_missing);
    assert_true(facts->not_after < now);
    assert_int_equal(facts->kind, TLS_KEY_RSA);
    assert_null(facts->curve);
    tls_cert_unref(cert);
}

static void names_cover_as_the_rfc_says(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool covered;
    } cases[] = {
        {"www.example", true},
        {"WWW.EXAMPLE", true},
        {"example", false},
        {"a.www.example", false},
        {"a.wild.example", true},
        {"wild.example", false},
        {"a.b.wild.example", false},
        {".wild.example", false},
        {"*.wild.example", true},
        {"192.0.2.1", true},
        {"192.0.2.2", false},
        {"2001:db8::1", true},
        {"2001:0db8:0::0001", true},
        {"2001:db8::2", false},
        {"leaf", false},
        {"", false},
    };
    struct tls_cert *cert = load(leaf.cert_pem, leaf.key_pem);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(tls_cert_covers(cert, str_from_z(cases[i].name)), cases[i].covered);
    tls_cert_unref(cert);
}

static void certificate_and_key_may_share_a_text(void **state)
{
    (void)state;
    char *both = join(leaf.key_pem, leaf.cert_pem, middle.cert_pem, "");
    const struct {
        const char *chain, *key;
    } cases[] = {{both, ""}, {both, both}, {leaf.cert_pem, both}, {both, leaf.key_pem}};
    for (size_t i = 0; i < 4; i++) {
        struct tls_cert *cert = load(cases[i].chain, cases[i].key);
        assert_non_null(cert);
        tls_cert_unref(cert);
    }
    free(both);
}

static char *encrypted_key(bool traditional)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (traditional)
        PEM_write_bio_PrivateKey_traditional(bio, leaf.key, EVP_aes_128_cbc(),
                                             (const unsigned char *)"secret", 6, NULL, NULL);
    else
        PEM_write_bio_PKCS8PrivateKey(bio, leaf.key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
    char *at;
    long len = BIO_get_mem_data(bio, &at);
    char *pem = strndup(at, (size_t)len);
    BIO_free(bio);
    return pem;
}

static void every_mistake_has_its_sentence(void **state)
{
    (void)state;
    char *new_style = encrypted_key(false), *old_style = encrypted_key(true);
    char *cut = strdup(leaf.cert_pem), *damaged = strdup(leaf.cert_pem);
    struct made p521 = make_cert("P-521", "x", "DNS:x.example", NULL, -1, 30);
    struct made small = make_cert("RSA-1024", "x", "DNS:x.example", NULL, -1, 30);
    cut[strlen(cut) / 2] = '\0';
    memcpy(damaged + 100, "AAAAAAAA", 8);
    damaged[40] = 'A';
    damaged[41] = 'A';
    const struct {
        const char *chain, *key, *sentence;
    } cases[] = {
        {"", "", "c.pem is empty"},
        {"hello", "", "c.pem holds no PEM: nothing in it begins with -----BEGIN"},
        {leaf.cert_pem, "", "k.pem holds no private key"},
        {leaf.key_pem, "", "c.pem holds no certificate"},
        {leaf.key_pem, leaf.key_pem, "c.pem holds no certificate"},
        {leaf.cert_pem, leaf.cert_pem, "k.pem holds no private key"},
        {leaf.key_pem, leaf.cert_pem,
         "the two files are swapped: c.pem holds the key and k.pem the certificate"},
        {leaf.cert_pem, stranger.key_pem, "the key in k.pem does not fit the certificate in c.pem"},
        {leaf.cert_pem, new_style,
         "the key in k.pem is protected by a passphrase, which nobody could type at a restart; "
         "remove it with: openssl pkey -in k.pem -out plain.key"},
        {leaf.cert_pem, old_style,
         "the key in k.pem is protected by a passphrase, which nobody could type at a restart; "
         "remove it with: openssl pkey -in k.pem -out plain.key"},
        {cut, leaf.key_pem,
         "the PEM in c.pem is broken behind block 0 (a line is damaged or -----END is missing)"},
        {damaged, leaf.key_pem, "certificate 1 in c.pem cannot be read: its contents are damaged"},
        {p521.cert_pem, p521.key_pem,
         "the key of c.pem is on curve P-521; browsers take P-256 and P-384"},
        {small.cert_pem, small.key_pem,
         "the RSA key of c.pem has 1024 bits; 2048 to 8192 are accepted"},
        {leaf.cert_pem,
         "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
         "the key in k.pem is in the format of OpenSSH; convert a copy of it with: ssh-keygen -p "
         "-m PKCS8 -f COPY"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(load(cases[i].chain, cases[i].key));
        assert_string_equal(sentence, cases[i].sentence);
    }
    free(new_style);
    free(old_style);
    free(cut);
    free(damaged);
    made_end(&p521);
    made_end(&small);
}

static void binary_files_are_told_what_they_are(void **state)
{
    (void)state;
    unsigned char *bytes[3] = {0};
    int lens[3];
    PKCS12 *p12 = PKCS12_create("secret", "x", leaf.key, leaf.cert, NULL, 0, 0, 0, 0, 0);
    lens[0] = i2d_PKCS12(p12, &bytes[0]);
    lens[1] = i2d_X509(leaf.cert, &bytes[1]);
    lens[2] = i2d_PrivateKey(leaf.key, &bytes[2]);
    PKCS12_free(p12);
    static const char *const sentences[] = {
        ("c.pem is a PKCS#12 file; take certificate and key out of it with: openssl pkcs12 -in "
         "c.pem -nodes -out both.pem"),
        ("c.pem is a certificate in DER; convert it with: openssl x509 -inform der -in c.pem -out "
         "cert.pem"),
        "c.pem is a key in DER; convert it with: openssl pkey -inform der -in c.pem -out plain.key",
    };
    for (int i = 0; i < 3; i++) {
        struct text why = text_over(sentence, sizeof(sentence) - 1);
        assert_null(tls_cert_load(str_from(bytes[i], (size_t)lens[i]), STR("c.pem"),
                                  str_from_z(leaf.key_pem), STR("k.pem"), &why));
        sentence[why.len] = '\0';
        assert_string_equal(sentence, sentences[i]);
        OPENSSL_free(bytes[i]);
    }
}

static void a_text_without_key_can_be_inspected(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20, 4096);
    struct text why = text_in(arena, 512);
    struct tls_facts facts;
    char *chain = join(root.cert_pem, middle.cert_pem, leaf.cert_pem, "");
    assert_true(tls_facts_inspect(arena, str_from_z(chain), STR("c.pem"), &facts, &why));
    assert_true(str_eq(facts.subject, STR("CN=leaf")));
    assert_int_equal(facts.chain_len, 2);
    assert_true(tls_facts_inspect(arena, str_from_z(root.cert_pem), STR("c.pem"), &facts, &why));
    assert_true(facts.is_ca && facts.self_signed);
    assert_false(tls_facts_inspect(arena, str_from_z(leaf.key_pem), STR("c.pem"), &facts, &why));
    assert_true(str_eq(text_str(&why), STR("c.pem holds no certificate")));
    free(chain);
    arena_end(arena);
}

static void running_out_of_memory_is_a_sentence(void **state)
{
    (void)state;
    struct tls_cert *cert = NULL;
    uint64_t n = 1;
    for (; cert == NULL && n < 100; n++) {
        arena_fail_at(n);
        cert = load(leaf.cert_pem, leaf.key_pem);
        if (cert == NULL)
            assert_true(strlen(sentence) > 0);
    }
    arena_fail_at(0);
    assert_true(n > 3);
    tls_cert_unref(cert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_in_any_order_is_put_in_order),
        cmocka_unit_test(the_facts_are_the_leafs),
        cmocka_unit_test(names_cover_as_the_rfc_says),
        cmocka_unit_test(certificate_and_key_may_share_a_text),
        cmocka_unit_test(every_mistake_has_its_sentence),
        cmocka_unit_test(binary_files_are_told_what_they_are),
        cmocka_unit_test(a_text_without_key_can_be_inspected),
        cmocka_unit_test(running_out_of_memory_is_a_sentence),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
