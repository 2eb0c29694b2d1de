#include "app/channel.h"

#include "base/diag.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct letter good(enum letter_kind kind)
{
    struct letter m;
    letter_init(&m, kind);
    struct letter_addr addr = {.family = ADDR_IP4, .port = 443, .ip = {127, 0, 0, 1}};
    switch (kind) {
    case LETTER_SETTINGS:
        strcpy(m.u.settings.state_dir, "/var/lib/portcullis");
        strcpy(m.u.settings.control_path, "/run/p.sock");
        break;
    case LETTER_ADDRESS:
        m.u.address = addr;
        break;
    case LETTER_LOG_FILE:
        m.u.log_file.id = 1;
        strcpy(m.u.log_file.path, "stderr");
        break;
    case LETTER_ROOT:
        strcpy(m.u.root.path, "/srv/www");
        break;
    case LETTER_WATCH:
        strcpy(m.u.watch, "/etc/x");
        break;
    case LETTER_START:
        m.u.threads = 2;
        break;
    case LETTER_LOG:
        m.u.log.id = 7;
        break;
    case LETTER_LISTEN:
        m.u.listen.addr = addr;
        break;
    case LETTER_UNLISTEN:
        m.u.unlisten = addr;
        break;
    case LETTER_ORIGIN:
        strcpy(m.u.origin.text, "localhost:3000");
        break;
    default:
        break;
    }
    return m;
}

/* Who may send what, with how many descriptors. */
static const struct {
    enum letter_kind kind;
    enum channel_side from;
    unsigned fds;
} allowed[] = {
    {LETTER_TEXT, SIDE_LOADER, 0},        {LETTER_TEXT, SIDE_WORKER, 0},
    {LETTER_SETTINGS, SIDE_LOADER, 0},    {LETTER_ADDRESS, SIDE_LOADER, 0},
    {LETTER_ROOT, SIDE_LOADER, 0},        {LETTER_LOCKED, SIDE_WORKER, 0},
    {LETTER_LOG_FILE, SIDE_LOADER, 0},    {LETTER_WATCH, SIDE_LOADER, 0},
    {LETTER_LOADED, SIDE_LOADER, 0},      {LETTER_START, SIDE_SUPERVISOR, 0},
    {LETTER_SECRETS, SIDE_SUPERVISOR, 0}, {LETTER_LOG, SIDE_SUPERVISOR, 1},
    {LETTER_LOAD, SIDE_SUPERVISOR, 2},    {LETTER_LOAD, SIDE_SUPERVISOR, 1},
    {LETTER_LISTEN, SIDE_SUPERVISOR, 1},  {LETTER_UNLISTEN, SIDE_SUPERVISOR, 0},
    {LETTER_DRAIN, SIDE_SUPERVISOR, 0},   {LETTER_ASK, SIDE_SUPERVISOR, 0},
    {LETTER_ORIGIN, SIDE_SUPERVISOR, 0},  {LETTER_QUERY, SIDE_SUPERVISOR, 1},
    {LETTER_HISTORY, SIDE_SUPERVISOR, 0}, {LETTER_READY, SIDE_WORKER, 0},
    {LETTER_REFUSED, SIDE_WORKER, 0},     {LETTER_LOG_WANTED, SIDE_WORKER, 0},
    {LETTER_COUNTERS, SIDE_WORKER, 0},    {LETTER_CERT, SIDE_WORKER, 0},
    {LETTER_ANSWERED, SIDE_WORKER, 0},
};

static bool is_allowed(enum letter_kind kind, enum channel_side from, unsigned fds)
{
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (allowed[i].kind == kind && allowed[i].from == from && allowed[i].fds == fds)
            return true;
    return false;
}

static void each_side_may_send_its_own_letters_only(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < LETTER_KINDS; kind++)
        for (unsigned from = SIDE_SUPERVISOR; from <= SIDE_WORKER; from++)
            for (unsigned fds = 0; fds <= 3; fds++) {
                struct letter m = good(kind), out;
                bool taken = letter_parse(&m, letter_size(kind), fds, from, &out);
                assert_int_equal(taken, is_allowed(kind, from, fds));
            }
}

static void a_letter_has_exactly_its_size(void **state)
{
    (void)state;
    for (unsigned kind = 1; kind < LETTER_KINDS; kind++) {
        struct letter m = good(kind), out;
        for (size_t len = 0; len <= sizeof m; len++) {
            bool some = letter_parse(&m, len, 0, SIDE_LOADER, &out) ||
                        letter_parse(&m, len, 0, SIDE_WORKER, &out);
            if (some)
                assert_int_equal(len, letter_size(kind));
        }
    }
}

static bool loader_may_send(const struct letter *m)
{
    struct letter out;
    return letter_parse(m, letter_size(m->kind), 0, SIDE_LOADER, &out);
}

static void fields_out_of_range_are_refused(void **state)
{
    (void)state;
    struct letter m = good(LETTER_SETTINGS);
    m.u.settings.workers = THREADS_MAX;
    assert_true(loader_may_send(&m));
    m.u.settings.workers = THREADS_MAX + 1;
    assert_false(loader_may_send(&m));
    m = good(LETTER_SETTINGS);
    strcpy(m.u.settings.state_dir, "relative");
    assert_false(loader_may_send(&m));
    m = good(LETTER_SETTINGS);
    memset(m.u.settings.control_path, 'x', sizeof m.u.settings.control_path);
    m.u.settings.control_path[0] = '/';
    assert_false(loader_may_send(&m));
    m.u.settings.control_path[sizeof m.u.settings.control_path - 1] = '\0';
    assert_true(loader_may_send(&m));
    m.u.settings.control_path[5] = '\n';
    assert_false(loader_may_send(&m));
    m = good(LETTER_ADDRESS);
    m.u.address.port = 0;
    assert_false(loader_may_send(&m));
    m = good(LETTER_ADDRESS);
    m.u.address.family = ADDR_UNIX;
    assert_false(loader_may_send(&m));
    m = good(LETTER_ADDRESS);
    m.u.address.any_family = 1; /* with an address that is not all zero */
    assert_false(loader_may_send(&m));
    m = good(LETTER_ADDRESS);
    m.u.address.ip[9] = 1; /* behind an IPv4 address */
    assert_false(loader_may_send(&m));
    m = good(LETTER_LOG_FILE);
    strcpy(m.u.log_file.path, "other");
    assert_false(loader_may_send(&m));
    m = good(LETTER_TEXT);
    m.u.text.len = LETTER_TEXT_MAX;
    assert_true(loader_may_send(&m));
    m.u.text.len = LETTER_TEXT_MAX + 1;
    assert_false(loader_may_send(&m));
    m = good(LETTER_LOADED);
    m.u.loaded.ok = 1; /* without the sources */
    assert_false(loader_may_send(&m));
}

static void descriptors_travel_and_are_closed_when_the_letter_is_bad(void **state)
{
    (void)state;
    int ends[2], fds[LETTER_FDS_MAX];
    assert_true(channel_open(ends));
    struct letter m = good(LETTER_LISTEN), out;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(channel_send(ends[0], &m, &fd, 1));
    assert_int_equal(channel_receive(ends[1], SIDE_SUPERVISOR, &out, fds), CHANNEL_LETTER);
    assert_true(fds[0] >= 0 && fds[0] != fd && fds[1] == -1);
    assert_true((fcntl(fds[0], F_GETFD) & FD_CLOEXEC) != 0);
    int free_next = fds[0];
    close(fds[0]);
    assert_true(channel_send(ends[0], &m, &fd, 1));
    assert_int_equal(channel_receive(ends[1], SIDE_WORKER, &out, fds), CHANNEL_BAD);
    assert_int_equal(fds[0], -1);
    assert_int_equal(fcntl(free_next, F_GETFD), -1);
    assert_int_equal(channel_receive(ends[1], SIDE_WORKER, &out, fds), CHANNEL_EMPTY);
    close(ends[0]);
    assert_int_equal(channel_receive(ends[1], SIDE_WORKER, &out, fds), CHANNEL_GONE);
    close(ends[1]);
    close(fd);
}

static void a_long_text_is_cut_at_line_ends(void **state)
{
    (void)state;
    int ends[2], fds[LETTER_FDS_MAX];
    char text[3 * LETTER_TEXT_MAX], got[sizeof text];
    size_t got_len = 0;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 70 == 69 ? '\n' : 'x';
    assert_true(channel_open(ends));
    assert_true(channel_send_text(ends[0], DIAG_ERROR, str_from(text, sizeof text)));
    struct letter out;
    while (channel_receive(ends[1], SIDE_WORKER, &out, fds) == CHANNEL_LETTER) {
        memcpy(got + got_len, out.u.text.bytes, out.u.text.len);
        got_len += out.u.text.len;
        if (got_len < sizeof text)
            assert_int_equal(got[got_len - 1], '\n');
    }
    assert_int_equal(got_len, sizeof text);
    assert_memory_equal(got, text, sizeof text);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_side_may_send_its_own_letters_only),
        cmocka_unit_test(a_letter_has_exactly_its_size),
        cmocka_unit_test(fields_out_of_range_are_refused),
        cmocka_unit_test(descriptors_travel_and_are_closed_when_the_letter_is_bad),
        cmocka_unit_test(a_long_text_is_cut_at_line_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
