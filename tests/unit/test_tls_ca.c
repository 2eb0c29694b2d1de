#include "tls/tls_ca.h"

#include "base/arena.h"
#include "base/text.h"
#include "tls/tls_cert.h"
#include "tls/tls_pem.h"

#include <gnutls/x509.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct arena *arena;
static struct text ca_cert, ca_key;
static int64_t now;

static const struct str added[] = {STR_INIT("*.clinic.example"), STR_INIT("host7"),
                                   STR_INIT("192.0.2.9"), STR_INIT("2001:db8::7")};

static int set_up(void **state)
{
    (void)state;
    now = (int64_t)time(NULL);
    arena = arena_new(1 << 20, 4096);
    ca_cert = text_in(arena, 64 * 1024);
    ca_key = text_in(arena, 4096);
    struct text why = text_in(arena, 512);
    return tls_ca_create(added, 4, now, &ca_cert, &ca_key, &why) ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    arena_end(arena);
    return 0;
}

static struct str issue(const struct str *names, size_t count, struct text *why)
{
    struct text cert = text_in(arena, 64 * 1024), key = text_in(arena, 4096);
    if (!tls_ca_issue(text_str(&ca_cert), text_str(&ca_key), names, count, now, &cert, &key, why))
        return (struct str){0};
    struct tls_cert *loaded =
        tls_cert_load(text_str(&cert), STR("c"), text_str(&key), STR("k"), why);
    assert_non_null(loaded);
    const struct tls_facts *facts = tls_cert_facts(loaded);
    assert_int_equal(facts->name_count, count);
    assert_int_equal(facts->not_after, now + TLS_CA_LEAF_DAYS * 86400);
    assert_string_equal(facts->curve, "P-256");
    for (size_t i = 0; i < count; i++)
        assert_true(tls_cert_covers(loaded, names[i]));
    tls_cert_unref(loaded);
    return text_str(&cert);
}

/* As a browser would: root trusted, leaf verified for the name. */
static bool openssl_takes(struct str root, struct str leaf, const char *name)
{
    struct text why = text_in(arena, 512);
    struct tls_pem a = {0}, b = {0};
    assert_true(tls_pem_read(&a, root, STR("root"), &why));
    assert_true(tls_pem_read(&b, leaf, STR("leaf"), &why));
    X509_STORE *store = X509_STORE_new();
    X509_STORE_add_cert(store, a.certs[0]);
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_STORE_CTX_init(ctx, store, b.certs[0], NULL);
    X509_STORE_CTX_set_default(ctx, "ssl_server");
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) != 1)
        X509_VERIFY_PARAM_set1_host(param, name, 0);
    bool ok = X509_verify_cert(ctx) == 1;
    if (!ok)
        print_message("openssl: %s\n",
                      X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    tls_pem_fini(&a);
    tls_pem_fini(&b);
    return ok;
}

static bool gnutls_takes(struct str root, struct str leaf, const char *name)
{
    gnutls_x509_trust_list_t list;
    gnutls_x509_crt_t cert;
    unsigned status = 1;
    gnutls_datum_t root_datum = {(unsigned char *)(uintptr_t)root.at, (unsigned)root.len};
    gnutls_datum_t leaf_datum = {(unsigned char *)(uintptr_t)leaf.at, (unsigned)leaf.len};
    gnutls_typed_vdata_st data = {.type = GNUTLS_DT_DNS_HOSTNAME,
                                  .data = (unsigned char *)(uintptr_t)name};
    gnutls_x509_trust_list_init(&list, 0);
    assert_int_equal(
        gnutls_x509_trust_list_add_trust_mem(list, &root_datum, NULL, GNUTLS_X509_FMT_PEM, 0, 0),
        1);
    gnutls_x509_crt_init(&cert);
    assert_int_equal(gnutls_x509_crt_import(cert, &leaf_datum, GNUTLS_X509_FMT_PEM), 0);
    int code = gnutls_x509_trust_list_verify_crt2(list, &cert, 1, &data, 1, 0, &status, NULL);
    gnutls_x509_crt_deinit(cert);
    gnutls_x509_trust_list_deinit(list, 1);
    return code == 0 && status == 0;
}

static void leaves_verify_in_both_libraries(void **state)
{
    (void)state;
    static const struct str names[] = {
        STR_INIT("localhost"),
        STR_INIT("a.clinic.example"),
        STR_INIT("*.clinic.example"),
        STR_INIT("clinic.example"),
        STR_INIT("host7"),
        STR_INIT("x.internal"),
        STR_INIT("nas.home.arpa"),
        STR_INIT("a.b.test"),
        STR_INIT("127.0.0.1"),
        STR_INIT("10.6.34.100"),
        STR_INIT("192.168.1.1"),
        STR_INIT("172.31.255.255"),
        STR_INIT("::1"),
        STR_INIT("fd00::1"),
        STR_INIT("fe80::1"),
        STR_INIT("192.0.2.9"),
        STR_INIT("2001:db8::7"),
    };
    static const size_t count = sizeof(names) / sizeof(names[0]);
    struct text why = text_in(arena, 512);
    struct str leaf = issue(names, count, &why);
    assert_true(leaf.len > 0);
    for (size_t i = 0; i < count; i++) {
        if (i == 2)
            continue;
        assert_true(openssl_takes(text_str(&ca_cert), leaf, names[i].at));
        assert_true(gnutls_takes(text_str(&ca_cert), leaf, names[i].at));
    }
    assert_true(openssl_takes(text_str(&ca_cert), leaf, "any.clinic.example"));
    assert_false(gnutls_takes(text_str(&ca_cert), leaf, "other.example"));
}

static void a_leaf_for_one_address_alone_verifies(void **state)
{
    (void)state;
    const struct str name = STR("127.0.0.1");
    struct text why = text_in(arena, 512);
    struct str leaf = issue(&name, 1, &why);
    assert_true(openssl_takes(text_str(&ca_cert), leaf, "127.0.0.1"));
    assert_true(gnutls_takes(text_str(&ca_cert), leaf, "127.0.0.1"));
}

static void other_names_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const struct {
        struct str name;
        const char *sentence;
    } cases[] = {
        {STR_INIT("bank.example"), "the internal CA was not made for 'bank.example'"},
        {STR_INIT("notclinic.example"), "the internal CA was not made for 'notclinic.example'"},
        {STR_INIT("test.example"), "the internal CA was not made for 'test.example'"},
        {STR_INIT("8.8.8.8"), "the internal CA was not made for '8.8.8.8'"},
        {STR_INIT("172.32.0.0"), "the internal CA was not made for '172.32.0.0'"},
        {STR_INIT("2001:db8::8"), "the internal CA was not made for '2001:db8::8'"},
        {STR_INIT("a b"),
         "no certificate can be issued for 'a b': it is neither a host name nor an "
         "address"},
        {STR_INIT("a..test"),
         "no certificate can be issued for 'a..test': it is neither a host name "
         "nor an address"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text why = text_in(arena, 512);
        assert_int_equal(issue(&cases[i].name, 1, &why).len, 0);
        assert_int_equal(why.len, strlen(cases[i].sentence));
        assert_memory_equal(why.at, cases[i].sentence, why.len);
        assert_false(tls_ca_permits(text_str(&ca_cert), cases[i].name));
    }
    assert_true(tls_ca_permits(text_str(&ca_cert), STR("x.y.test")));
    assert_true(tls_ca_permits(text_str(&ca_cert), STR("10.255.255.255")));
}

static void the_constraint_binds_whoever_steals_the_key(void **state)
{
    (void)state;
    /* a second CA with the first one's key could be asked for any name; verifiers refuse it */
    struct text why = text_in(arena, 512), wide_cert = text_in(arena, 8192),
                wide_key = text_in(arena, 4096);
    const struct str name = STR("bank.example");
    assert_true(tls_ca_create(&name, 1, now, &wide_cert, &wide_key, &why));
    struct text cert = text_in(arena, 8192), key = text_in(arena, 4096);
    assert_true(
        tls_ca_issue(text_str(&wide_cert), text_str(&wide_key), &name, 1, now, &cert, &key, &why));
    /* signed again with the narrow CA's key and name */
    struct tls_pem narrow = {0}, leaf = {0};
    assert_true(tls_pem_read(&narrow, text_str(&ca_cert), STR("c"), &why));
    assert_true(tls_pem_read(&narrow, text_str(&ca_key), STR("k"), &why));
    assert_true(tls_pem_read(&leaf, text_str(&cert), STR("l"), &why));
    X509_set_issuer_name(leaf.certs[0], X509_get_subject_name(narrow.certs[0]));
    X509_EXTENSION_free(X509_delete_ext(
        leaf.certs[0], X509_get_ext_by_NID(leaf.certs[0], NID_authority_key_identifier, -1)));
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, narrow.certs[0], leaf.certs[0], NULL, NULL, 0);
    X509_EXTENSION *id =
        X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
    X509_add_ext(leaf.certs[0], id, -1);
    X509_EXTENSION_free(id);
    X509_sign(leaf.certs[0], narrow.key, EVP_sha256());
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, leaf.certs[0]);
    char *at;
    long len = BIO_get_mem_data(bio, &at);
    struct str pem = str_dup(arena, str_from(at, (size_t)len));
    BIO_free(bio);
    tls_pem_fini(&narrow);
    tls_pem_fini(&leaf);
    assert_false(openssl_takes(text_str(&ca_cert), pem, "bank.example"));
    assert_false(gnutls_takes(text_str(&ca_cert), pem, "bank.example"));
}

static void a_leaf_ends_no_later_than_its_ca(void **state)
{
    (void)state;
    const struct str name = STR("localhost");
    int64_t late = now + ((int64_t)TLS_CA_DAYS - 5) * 86400;
    struct text cert = text_in(arena, 8192), key = text_in(arena, 4096), why = text_in(arena, 512);
    assert_true(
        tls_ca_issue(text_str(&ca_cert), text_str(&ca_key), &name, 1, late, &cert, &key, &why));
    struct tls_facts facts;
    assert_true(tls_facts_inspect(arena, text_str(&cert), STR("c"), &facts, &why));
    assert_int_equal(facts.not_after, now + (int64_t)TLS_CA_DAYS * 86400);
    assert_false(tls_ca_issue(text_str(&ca_cert), text_str(&ca_key), &name, 1, late + 6 * 86400,
                              &cert, &key, &why));
}

static void a_full_text_is_a_failure(void **state)
{
    (void)state;
    char small[100];
    struct text cert = text_over(small, sizeof(small)), key = text_in(arena, 4096),
                why = text_in(arena, 512);
    assert_false(tls_ca_create(NULL, 0, now, &cert, &key, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_verify_in_both_libraries),
        cmocka_unit_test(a_leaf_for_one_address_alone_verifies),
        cmocka_unit_test(other_names_are_refused_with_a_sentence),
        cmocka_unit_test(the_constraint_binds_whoever_steals_the_key),
        cmocka_unit_test(a_leaf_ends_no_later_than_its_ca),
        cmocka_unit_test(a_full_text_is_a_failure),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
