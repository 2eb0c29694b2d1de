#include "files/coding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const enum coding order[] = {CODING_ZSTD, CODING_BROTLI, CODING_GZIP};

static void the_client_gets_the_coding_it_likes_best(void **state)
{
    (void)state;
    static const struct {
        const char *accept; /* NULL: no field; "|" parts two lines */
        unsigned offered;
        enum coding best;
    } cases[] = {
        {NULL, 0xe, CODING_IDENTITY},
        {"", 0xe, CODING_IDENTITY},
        {"gzip", 0xe, CODING_GZIP},
        {"GZip", 0xe, CODING_GZIP},
        {"x-gzip", 0xe, CODING_GZIP},
        {"gzip, deflate, br, zstd", 0xe, CODING_ZSTD},
        {"gzip, deflate, br", 0xe, CODING_BROTLI},
        {"gzip, deflate, br, zstd", 1 << CODING_GZIP, CODING_GZIP},
        {"gzip, deflate, br, zstd", 0, CODING_IDENTITY},
        {"gzip;q=1.0, br;q=0.9", 0xe, CODING_GZIP},
        {"gzip ; q=0.5,br;q=0.501", 0xe, CODING_BROTLI},
        {"gzip;q=0", 0xe, CODING_IDENTITY},
        {"gzip;q=0, *", 0xe, CODING_ZSTD},
        {"*", 1 << CODING_GZIP, CODING_GZIP},
        {"*;q=0", 0xe, CODING_IDENTITY},
        {"identity", 0xe, CODING_IDENTITY},
        {"identity, gzip", 0xe, CODING_GZIP},
        {"identity, gzip;q=0.5", 0xe, CODING_IDENTITY},
        {"identity;q=0.5, gzip;q=0.4, br;q=0.6", 0xe, CODING_BROTLI},
        {"deflate", 0xe, CODING_IDENTITY},
        {"gzip;q=2", 0xe, CODING_IDENTITY},
        {"gzip;q=1.001", 0xe, CODING_IDENTITY},
        {"gzip;q=0.1234", 0xe, CODING_IDENTITY},
        {"gzip;q=x", 0xe, CODING_IDENTITY},
        {"gzip;q=", 0xe, CODING_IDENTITY},
        {"gzip;level=9", 0xe, CODING_IDENTITY},
        {"deflate|gzip", 0xe, CODING_GZIP},
        {", ,gzip", 0xe, CODING_GZIP},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena *arena = arena_new(65536, 4096);
        struct message request;
        message_init(&request, arena);
        struct str rest = str_from_z(cases[i].accept), line;
        if (cases[i].accept != NULL && rest.len == 0)
            assert_true(message_add_id(&request, HEADER_ACCEPT_ENCODING, rest));
        while (str_split(&rest, '|', &line))
            assert_true(message_add_id(&request, HEADER_ACCEPT_ENCODING, line));
        struct coding_wish wish = coding_wished(&request);
        enum coding best = coding_best(&wish, cases[i].offered, order);
        if (best != cases[i].best)
            fail_msg("%s: %d", cases[i].accept, (int)best);
        arena_end(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_gets_the_coding_it_likes_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
