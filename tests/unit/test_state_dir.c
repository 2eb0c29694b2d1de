#include "app/state_dir.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void the_default_depends_on_who_starts(void **state)
{
    (void)state;
    static const struct {
        struct state_facts facts;
        const char *dir;
    } rows[] = {
        {{0, "/root", "/root/x"}, "/var/lib/portcullis"},
        {{5, "/home/a", NULL}, "/home/a/.local/state/portcullis"},
        {{5, "/home/a", ""}, "/home/a/.local/state/portcullis"},
        {{5, "/home/a", "/s"}, "/s/portcullis"},
        {{5, "/home/a", "relative"}, "/home/a/.local/state/portcullis"},
        {{5, NULL, NULL}, "/tmp/portcullis-5"},
    };
    struct arena *arena = arena_new(4096, 256);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(str_eq(state_dir_default(arena, &rows[i].facts), str_from_z(rows[i].dir)));
    arena_end(arena);
}

static void it_is_made_private_and_refused_when_it_is_not(void **state)
{
    (void)state;
    char top[] = "/tmp/portcullis-test-XXXXXX", path[128], why[256];
    struct stat st;
    assert_non_null(mkdtemp(top));
    snprintf(path, sizeof path, "%s/a/b", top);
    assert_true(state_dir_prepare(path, why, sizeof why));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_true(state_dir_prepare(path, why, sizeof why));
    chmod(path, 0710);
    assert_false(state_dir_prepare(path, why, sizeof why));
    assert_non_null(strstr(why, "open to others"));
    rmdir(path);
    assert_int_equal(symlink("/tmp", path), 0); /* somebody else's wish where it shall lie */
    assert_false(state_dir_prepare(path, why, sizeof why));
    unlink(path);
    if (geteuid() == 0) {
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_false(state_dir_prepare(path, why, sizeof why));
        assert_non_null(strstr(why, "belongs to user 65534"));
        rmdir(path);
    }
    assert_false(state_dir_prepare("relative", why, sizeof why));
    snprintf(path, sizeof path, "%s/a", top);
    rmdir(path);
    rmdir(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_depends_on_who_starts),
        cmocka_unit_test(it_is_made_private_and_refused_when_it_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
