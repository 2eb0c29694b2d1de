#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/*
 * SipHash-1-3 under the key {1, ~1} of the bytes 0, 1, 2 … The values come from another
 * implementation, which gives the published vectors of SipHash-2-4 and the hashes of CPython 3.11.
 */
static void the_stable_hash_is_siphash_1_3(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint64_t hash;
    } rows[] = {
        {0, 0x5634d6aafd8c1fef},  {1, 0x7fec7925f0bbc026},  {7, 0xe950eb5cd738e46f},
        {8, 0xf4a5b8a13f9adfee},  {9, 0xd877d7d38e7bab00},  {15, 0x211d08ca3c2fafe0},
        {16, 0x6e6310ac6582437e}, {63, 0x317a459d034f2050},
    };
    unsigned char bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true(hash_stable(1, str_from(bytes, rows[i].len)) == rows[i].hash);
}

static void the_hash_depends_on_key_length_and_every_bit(void **state)
{
    (void)state;
    unsigned char bytes[20] = {0};
    assert_true(hash_bytes((struct str){0}) == hash_bytes(STR("")));
    for (size_t len = 0; len < sizeof bytes; len++) {
        struct str s = str_from(bytes, len);
        uint64_t hash = hash_bytes(s), stable = hash_stable(7, s);
        assert_true(hash == hash_bytes(s));
        assert_true(hash != hash_bytes(str_from(bytes, len + 1)));
        assert_true(stable != hash_stable(8, s));
        for (size_t bit = 0; bit < len * 8; bit++) {
            bytes[bit / 8] ^= (unsigned char)(1U << bit % 8);
            assert_true(hash_bytes(s) != hash);
            assert_true(hash_stable(7, s) != stable);
            bytes[bit / 8] ^= (unsigned char)(1U << bit % 8);
        }
    }
}

static void where_the_bytes_lie_does_not_matter(void **state)
{
    (void)state;
    char room[64];
    for (size_t shift = 0; shift < 8; shift++) {
        memcpy(room + shift, "seventeen bytes..", 17);
        assert_true(hash_bytes(str_from(room + shift, 17)) == hash_bytes(STR("seventeen bytes..")));
    }
}

static void random_bytes_fill_the_whole(void **state)
{
    (void)state;
    unsigned char bytes[1000] = {0};
    unsigned zeros = 0;
    random_bytes(bytes, 0);
    assert_int_equal(bytes[0], 0);
    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        zeros += bytes[i] == 0;
    assert_true(zeros < 100); /* about 4 are expected */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stable_hash_is_siphash_1_3),
        cmocka_unit_test(the_hash_depends_on_key_length_and_every_bit),
        cmocka_unit_test(where_the_bytes_lie_does_not_matter),
        cmocka_unit_test(random_bytes_fill_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
