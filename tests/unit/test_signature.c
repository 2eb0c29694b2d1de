#include "config/signature.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static size_t split(const char *line, struct word *words)
{
    struct str rest = str_from_z(line), part;
    size_t count = 0;
    while (str_split(&rest, ' ', &part))
        words[count++] =
            (struct word){.text = part, .kind = str_eq(part, STR("->")) ? WORD_ARROW : WORD_BARE};
    return count;
}

static void words_fit_as_the_grammar_reads(void **state)
{
    (void)state;
    static const struct {
        const char *args, *words;
        bool fits;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"auto|N", "auto", true},
        {"auto|N", "4", true},
        {"auto|N", "", false},
        {"auto|N", "auto 4", false},
        {"[not] method|header VALUE…", "not header a b", true},
        {"[not] method|header VALUE…", "method a", true},
        {"[not] method|header VALUE…", "not a", false},
        {"[not] method|header VALUE…", "method", false},
        {"N [idle DURATION] | off", "64 idle 30s", true},
        {"N [idle DURATION] | off", "64", true},
        {"N [idle DURATION] | off", "off", true},
        {"N [idle DURATION] | off", "off idle 30s", false},
        {"N [idle DURATION] | off", "64 idle", false},
        {"STATUS… FILE", "502 503 down.html", true},
        {"STATUS… FILE", "502 503", true}, /* a file of that name */
        {"STATUS… FILE", "502", false},
        {"(PATTERN | ~ REGEX)… -> TARGET…", "/a ~ x /b -> c d", true},
        {"(PATTERN | ~ REGEX)… -> TARGET…", "/a -> ", false},
        {"(PATTERN | ~ REGEX)… -> TARGET…", "-> a", false},
        {"(PATTERN | ~ REGEX)… -> TARGET…", "/a -> b -> c", false},
        {"(handshake|head|idle DURATION)…", "head 1s idle 2s", true},
        {"(handshake|head|idle DURATION)…", "head idle 2s", false},
        {"CERT KEY [CERT KEY] | DIR", "a b c d", true},
        {"CERT KEY [CERT KEY] | DIR", "a", true},
        {"CERT KEY [CERT KEY] | DIR", "a b c", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct signature signature;
        struct word words[16];
        size_t count = split(cases[i].words, words);
        assert_true(signature_parse(str_from_z(cases[i].args), &signature));
        if (signature_match(&signature, words, count).fits != cases[i].fits)
            print_error("%s: %s\n", cases[i].args, cases[i].words);
        assert_int_equal(signature_match(&signature, words, count).fits, cases[i].fits);
    }
}

static void the_first_word_that_fits_nowhere_is_named(void **state)
{
    (void)state;
    struct signature signature;
    struct word words[16];
    char memory[256];
    struct text out = text_over(memory, sizeof memory);
    assert_true(signature_parse(STR("FILE [json|combined] [rotate SIZE keep N]"), &signature));
    struct signature_result result =
        signature_match(&signature, words, split("x.log xml rotate", words));
    assert_int_equal(result.at, 1);
    signature_add_expected(&signature, result.expected, &out);
    assert_true(str_eq(text_str(&out), STR("'json', 'combined' or 'rotate'")));
    result = signature_match(&signature, words, split("x.log rotate", words));
    assert_int_equal(result.at, 2);
    out = text_over(memory, sizeof memory);
    signature_add_expected(&signature, result.expected, &out);
    assert_true(str_eq(text_str(&out), STR("a size such as 64k")));
    assert_true(signature_has(&signature, STR("keep")));
    assert_false(signature_has(&signature, STR("size")));
}

static void a_broken_grammar_is_no_signature(void **state)
{
    (void)state;
    static const char *const cases[] = {"[a",         "a]", "(a", "a |", "| a", "a  b",
                                        "NOSUCHTYPE", " a", "a ", "…",   "[]",  "a||b"};
    struct signature signature;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (signature_parse(str_from_z(cases[i]), &signature))
            print_error("%s\n", cases[i]);
        assert_false(signature_parse(str_from_z(cases[i]), &signature));
    }
    char many[2 * SIGNATURE_ATOMS_MAX + 2];
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = i % 2 ? ' ' : 'a';
    assert_true(signature_parse(str_from(many, 2 * SIGNATURE_ATOMS_MAX - 1), &signature));
    assert_false(signature_parse(str_from(many, 2 * SIGNATURE_ATOMS_MAX + 1), &signature));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_fit_as_the_grammar_reads),
        cmocka_unit_test(the_first_word_that_fits_nowhere_is_named),
        cmocka_unit_test(a_broken_grammar_is_no_signature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
