#include "app/handover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct handover good(enum handover_kind kind)
{
    struct handover h;
    handover_init(&h, kind);
    if (kind == HANDOVER_SOCKET)
        h.addr = (struct letter_addr){.family = ADDR_IP4, .port = 443, .ip = {127, 0, 0, 1}};
    if (kind == HANDOVER_CONTROL)
        strcpy(h.path, "/run/p.sock");
    if (kind == HANDOVER_DRAINED)
        strcpy(h.origin, "localhost:3000");
    return h;
}

static bool parses(const struct handover *h, unsigned fds)
{
    struct handover out;
    return handover_parse(h, sizeof *h, fds, &out);
}

static void each_kind_comes_with_its_descriptors(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind <= HANDOVER_KINDS + 1; kind++)
        for (unsigned fds = 0; fds <= 2; fds++) {
            struct handover h = good(kind);
            bool with = kind == HANDOVER_SOCKET || kind == HANDOVER_CONTROL;
            bool without =
                kind == HANDOVER_SECRETS || kind == HANDOVER_END || kind == HANDOVER_DRAINED;
            assert_int_equal(parses(&h, fds), (with && fds == 1) || (without && fds == 0));
        }
}

static void another_version_is_not_understood(void **state)
{
    (void)state;
    struct handover h = good(HANDOVER_END);
    for (size_t i = 0; i < sizeof h.magic; i++) {
        h = good(HANDOVER_END);
        h.magic[i] ^= 1;
        assert_false(parses(&h, 0));
    }
}

static void a_record_has_exactly_its_size(void **state)
{
    (void)state;
    char bytes[2 * sizeof(struct handover)] = {0};
    struct handover h = good(HANDOVER_END), out;
    memcpy(bytes, &h, sizeof h);
    for (size_t len = 0; len <= sizeof bytes; len++)
        assert_int_equal(handover_parse(bytes, len, 0, &out), len == sizeof h);
}

static void fields_out_of_range_are_refused(void **state)
{
    (void)state;
    struct handover h = good(HANDOVER_SOCKET);
    h.inherited = 2;
    assert_false(parses(&h, 1));
    h = good(HANDOVER_SOCKET);
    h.addr.port = 0;
    assert_false(parses(&h, 1));
    h = good(HANDOVER_SOCKET);
    h.zero2 = 1;
    assert_false(parses(&h, 1));
    h = good(HANDOVER_CONTROL);
    h.path[0] = 'x';
    assert_false(parses(&h, 1));
    h = good(HANDOVER_CONTROL);
    memset(h.path, '/', sizeof h.path);
    assert_false(parses(&h, 1));
}

static void what_is_sent_arrives(void **state)
{
    (void)state;
    int ends[2], got;
    struct stat sent, received;
    struct handover h = good(HANDOVER_SOCKET), out;
    assert_true(channel_open(ends));
    assert_true(handover_send(ends[0], &h, ends[1]));
    assert_true(handover_receive(ends[1], &out, &got));
    assert_memory_equal(&h, &out, sizeof h);
    assert_int_equal(fstat(ends[1], &sent), 0);
    assert_int_equal(fstat(got, &received), 0);
    assert_int_equal(sent.st_ino, received.st_ino);
    close(got);
    close(ends[0]);
    assert_false(handover_receive(ends[1], &out, &got));
    assert_int_equal(got, -1);
    close(ends[1]);
}

static void what_is_no_record_leaves_no_descriptor(void **state)
{
    (void)state;
    int ends[2], got;
    struct handover h = good(HANDOVER_END),
                    out; /* with a descriptor, which does not belong to it */
    assert_true(channel_open(ends));
    int next = dup(0);
    close(next);
    assert_true(handover_send(ends[0], &h, ends[1]));
    assert_false(handover_receive(ends[1], &out, &got));
    assert_int_equal(got, -1);
    int after = dup(0);
    assert_int_equal(after, next);
    close(after);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_comes_with_its_descriptors),
        cmocka_unit_test(another_version_is_not_understood),
        cmocka_unit_test(a_record_has_exactly_its_size),
        cmocka_unit_test(fields_out_of_range_are_refused),
        cmocka_unit_test(what_is_sent_arrives),
        cmocka_unit_test(what_is_no_record_leaves_no_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
