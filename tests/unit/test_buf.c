#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char byte_at(size_t i)
{
    return (char)(i * 31 + i / 251);
}

/* Adds and drops pieces of many sizes; what comes out is what went in. */
static void bytes_come_out_in_order(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 7, 1023, 1024, 1025, 16383, 16384, 16385, 40000, 3};
    struct buf buf;
    size_t in = 0, out = 0;
    static char piece[40000];
    buf_init(&buf, 200000);
    for (size_t round = 0; round < 60; round++) {
        size_t len = sizes[round % 10];
        for (size_t i = 0; i < len; i++)
            piece[i] = byte_at(in + i);
        if (buf_add(&buf, piece, len))
            in += len;
        else
            assert_true(buf.len + len > buf.max);
        assert_int_equal(buf.len, in - out);
        size_t drop = sizes[(round * 7 + 3) % 10];
        for (size_t left = drop < buf.len ? drop : buf.len; left != 0;) {
            struct str front = buf_front(&buf);
            size_t n = front.len < left ? front.len : left;
            assert_true(n != 0);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(front.at[i], byte_at(out + i));
            buf_drop(&buf, n);
            out += n;
            left -= n;
        }
    }
    assert_true(in > 200000);
    buf_fini(&buf);
}

static void the_maximum_holds_and_a_refusal_changes_nothing(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    assert_true(buf_add(&buf, "12345", 5));
    assert_false(buf_add(&buf, "123456", 6));
    assert_int_equal(buf.len, 5);
    assert_true(buf_add(&buf, "67890", 5));
    assert_false(buf_add(&buf, "x", 1));
    assert_true(buf_add(&buf, "", 0));
    assert_false(buf_add(&buf, "x", SIZE_MAX));
    assert_true(str_eq(buf_front(&buf), STR("1234567890")));
    buf_drop(&buf, 1);
    assert_true(buf_add(&buf, "x", 1));
    buf_fini(&buf);
}

static void an_empty_buffer_holds_nothing(void **state)
{
    (void)state;
    struct buf buf;
    struct iovec iov[4];
    buf_init(&buf, 100);
    assert_int_equal(buf_front(&buf).len, 0);
    assert_int_equal(buf_iov(&buf, iov, 4), 0);
    buf_drop(&buf, 5);
    assert_true(buf_add(&buf, "abc", 3));
    buf_drop(&buf, 99); /* at most all */
    assert_int_equal(buf.len, 0);
    assert_null(buf.first);
    assert_null(buf.last);
    buf_fini(&buf);
    buf_fini(&buf);
}

static void pieces_are_told_from_the_front_as_many_as_asked(void **state)
{
    (void)state;
    static char big[40000];
    struct buf buf;
    struct iovec iov[8];
    memset(big, 'b', sizeof big);
    buf_init(&buf, 100000);
    assert_true(buf_add(&buf, big, sizeof big));
    buf_drop(&buf, 10);
    int count = buf_iov(&buf, iov, 8);
    size_t all = 0;
    for (int i = 0; i < count; i++)
        all += iov[i].iov_len;
    assert_true(count >= 3);
    assert_int_equal(all, sizeof big - 10);
    assert_int_equal(buf_iov(&buf, iov, 2), 2);
    assert_ptr_equal(iov[0].iov_base, buf_front(&buf).at);
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_in_order),
        cmocka_unit_test(the_maximum_holds_and_a_refusal_changes_nothing),
        cmocka_unit_test(an_empty_buffer_holds_nothing),
        cmocka_unit_test(pieces_are_told_from_the_front_as_many_as_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
