#include "tls/tls_library.h"

#include "base/text.h"
#include "tls/tls_cert.h"
#include "tls_make.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

/* Descriptors are the closest to a sandbox that a unit test has: at their limit no file opens. */
static void after_the_start_no_file_is_opened(void **state)
{
    (void)state;
    const char *error = "";
    assert_true(tls_library_init(&error));
    assert_true(tls_library_init(&error)); /* a second call does no harm */
    struct rlimit none = {0, 0}, before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(open("/dev/null", O_RDONLY), -1);
    char sentence[256];
    struct text why = text_over(sentence, sizeof(sentence));
    struct made made = make_cert("RSA", "x", "DNS:x.example", NULL, -1, 1);
    struct tls_cert *cert = tls_cert_load(str_from_z(made.cert_pem), STR("c"),
                                          str_from_z(made.key_pem), STR("k"), &why);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_non_null(cert);
    tls_cert_unref(cert);
    made_end(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_the_start_no_file_is_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
