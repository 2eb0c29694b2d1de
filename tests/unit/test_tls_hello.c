#include "tls/tls_hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A hello is put together from its extensions; `bytes` is a heap copy of exactly its size. */
struct made {
    char *bytes;
    size_t len;
};

static struct made make(const char *extensions, size_t len)
{
    char hello[1024] = {3, 3};
    size_t at = 2 + 32;
    hello[at++] = 0; /* session id */
    memcpy(hello + at, "\0\x04\x13\x01\xc0\x2b", 6);
    at += 6;
    memcpy(hello + at, "\x01\0", 2);
    at += 2;
    if (extensions != NULL) {
        hello[at++] = (char)(len >> 8);
        hello[at++] = (char)len;
        memcpy(hello + at, extensions, len);
        at += len;
    }
    struct made made = {.bytes = malloc(at), .len = at};
    memcpy(made.bytes, hello, at);
    return made;
}

static bool parse(struct made made, struct tls_hello *hello)
{
    return tls_hello_parse(str_from(made.bytes, made.len), hello);
}

#define EXT(literal) literal, sizeof(literal) - 1

static const char whole[] = "\x00\x00\x00\x0e\x00\x0c\x00\x00\x09"
                            "A.Example"
                            "\x00\x0a\x00\x04\x00\x02\x00\x1d"
                            "\x00\x0d\x00\x04\x00\x02\x04\x03"
                            "\x00\x10\x00\x0e\x00\x0c\x02h2\x08http/1.1"
                            "\x00\x23\x00\x02tk"
                            "\x00\x2b\x00\x05\x04\x03\x04\x03\x03"
                            "\x7a\x7a\x00\x00"
                            "\x00\x29\x00\x0d\x00\x08\x00\x02id\x00\x00\x00\x00\x00\x01\x00";

static void a_whole_hello_is_read(void **state)
{
    (void)state;
    struct made made = make(whole, sizeof(whole) - 1);
    struct tls_hello hello;
    assert_true(parse(made, &hello));
    assert_true(str_eq(hello.name, STR("a.example")));
    assert_true(tls_hello_lists(hello.ciphers, 0x1301));
    assert_true(tls_hello_lists(hello.ciphers, 0xc02b));
    assert_false(tls_hello_lists(hello.ciphers, 0x01c0));
    assert_true(tls_hello_lists(hello.groups, 29));
    assert_true(tls_hello_lists(hello.signatures, 0x0403));
    assert_true(tls_hello_is_13(&hello));
    assert_true(str_eq(hello.ticket, STR("id")));
    struct str alpn = hello.alpn, protocol;
    assert_true(tls_hello_next_protocol(&alpn, &protocol) && str_eq(protocol, STR("h2")));
    assert_true(tls_hello_next_protocol(&alpn, &protocol) && str_eq(protocol, STR("http/1.1")));
    assert_false(tls_hello_next_protocol(&alpn, &protocol));
    free(made.bytes);
}

static void no_beginning_of_a_hello_is_a_hello(void **state)
{
    (void)state;
    struct made made = make(whole, sizeof(whole) - 1);
    struct tls_hello hello;
    for (size_t len = 0; len < made.len; len++) {
        char *part = malloc(len + 1);
        memcpy(part, made.bytes, len);
        bool ok = tls_hello_parse(str_from(part, len), &hello);
        assert_int_equal(ok, len == 2 + 32 + 1 + 6 + 2); /* without extensions: TLS 1.2 */
        free(part);
    }
    free(made.bytes);
}

static void broken_extensions_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what, *bytes;
        size_t len;
        bool ok;
    } cases[] = {
        {"none", EXT(""), true},
        {"unknown one", EXT("\xfa\xfa\x00\x01x"), true},
        {"length too large", EXT("\xfa\xfa\x00\x02x"), false},
        {"half a header", EXT("\xfa\xfa\x00"), false},
        {"name", EXT("\0\0\0\x06\0\x04\0\0\x01x"), true},
        {"name with a dot at the end", EXT("\0\0\0\x07\0\x05\0\0\x02x."), true},
        {"name twice", EXT("\0\0\0\x06\0\x04\0\0\x01x\0\0\0\x06\0\x04\0\0\x01x"), false},
        {"empty name", EXT("\0\0\0\x05\0\x03\0\0\x00"), false},
        {"only a dot", EXT("\0\0\0\x06\0\x04\0\0\x01."), false},
        {"two dots", EXT("\0\0\0\x08\0\x06\0\0\x03x.."), false},
        {"empty label", EXT("\0\0\0\x09\0\x07\0\0\x04x..y"), false},
        {"NUL in name", EXT("\0\0\0\x08\0\x06\0\0\x03x\0y"), false},
        {"space in name", EXT("\0\0\0\x08\0\x06\0\0\x03x y"), false},
        {"slash in name", EXT("\0\0\0\x08\0\x06\0\0\x03x/y"), false},
        {"colon in name", EXT("\0\0\0\x08\0\x06\0\0\x03::1"), false},
        {"name of another type", EXT("\0\0\0\x06\0\x04\x01\0\x01x"), false},
        {"two names", EXT("\0\0\0\x0a\0\x08\0\0\x01x\0\0\x01y"), false},
        {"bytes behind the name", EXT("\0\0\0\x07\0\x04\0\0\x01xy"), false},
        {"odd groups", EXT("\0\x0a\0\x05\0\x03\0\x1d\0"), false},
        {"no groups", EXT("\0\x0a\0\x02\0\0"), false},
        {"groups twice", EXT("\0\x0a\0\x04\0\x02\0\x1d\0\x0a\0\x04\0\x02\0\x1d"), false},
        {"empty protocol", EXT("\0\x10\0\x03\0\x01\0"), false},
        {"no protocols", EXT("\0\x10\0\x02\0\0"), false},
        {"protocol too long", EXT("\0\x10\0\x05\0\x03\x03h2"), false},
        {"versions", EXT("\0\x2b\0\x03\x02\x03\x04"), true},
        {"odd versions", EXT("\0\x2b\0\x04\x03\x03\x04\x03"), false},
        {"empty identity", EXT("\0\x29\0\x0b\0\x06\0\0\0\0\0\0\0\x01\0"), false},
        {"no identities", EXT("\0\x29\0\x05\0\0\0\x01\0"), false},
        {"identity without age", EXT("\0\x29\0\x09\0\x04\0\x02id\0\x01\0"), false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct made made = make(cases[i].bytes, cases[i].len);
        struct tls_hello hello;
        if (parse(made, &hello) != cases[i].ok)
            fail_msg("%s", cases[i].what);
        free(made.bytes);
    }
}

static void a_name_may_have_253_bytes_in_labels_of_63(void **state)
{
    (void)state;
    static const struct {
        size_t len, label;
        bool ok;
    } cases[] = {{253, 63, true}, {254, 63, false}, {63, 63, true}, {64, 64, false}};
    for (size_t i = 0; i < 4; i++) {
        char bytes[300];
        size_t len = cases[i].len;
        memcpy(bytes, (char[]){0, 0, 0, (char)(len + 5), 0, (char)(len + 3), 0, 0, (char)len}, 9);
        if (len + 5 > 255) {
            bytes[2] = 1;
            bytes[3] = (char)(len + 5 - 256);
        }
        if (len + 3 > 255) {
            bytes[4] = 1;
            bytes[5] = (char)(len + 3 - 256);
        }
        for (size_t k = 0; k < len; k++)
            bytes[9 + k] = k % (cases[i].label + 1) == cases[i].label ? '.' : 'a';
        struct made made = make(bytes, 9 + len);
        struct tls_hello hello;
        assert_int_equal(parse(made, &hello), cases[i].ok);
        if (cases[i].ok)
            assert_int_equal(hello.name.len, len);
        free(made.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_hello_is_read),
        cmocka_unit_test(no_beginning_of_a_hello_is_a_hello),
        cmocka_unit_test(broken_extensions_are_refused),
        cmocka_unit_test(a_name_may_have_253_bytes_in_labels_of_63),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
