#include "config/source.h"

#include "base/arena.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/pc-source-XXXXXX";

static void write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static int enter(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL || chdir(folder) < 0)
        return -1;
    write_file("b.conf", "b");
    write_file("a.conf", "a");
    write_file("key.pem", "secret");
    write_file(".hidden", "");
    return mkdir("sub", 0700) || mkfifo("fifo", 0600) || symlink("a.conf", "link.conf");
}

static int leave(void **state)
{
    (void)state;
    static const char *const names[] = {"b.conf",  "a.conf", "key.pem",
                                        ".hidden", "fifo",   "link.conf"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(names[i]);
    rmdir("sub");
    return chdir("/") || rmdir(folder);
}

static void files_are_read_once_and_failures_remembered(void **state)
{
    (void)state;
    struct source_set *set = source_set_disk();
    const struct source *a = source_get(set, SOURCE_CONF, STR("a.conf"));
    assert_true(str_eq(a->bytes, STR("a")) && a->why.len == 0 && S_ISREG(a->mode));
    write_file("a.conf", "changed");
    assert_ptr_equal(source_get(set, SOURCE_CONF, STR("a.conf")), a);
    write_file("a.conf", "a");
    assert_true(
        str_eq(source_get(set, SOURCE_CONF, STR("none"))->why, STR("No such file or directory")));
    assert_true(str_eq(source_get(set, SOURCE_CONF, STR("sub"))->why, STR("is a folder")));
    assert_true(str_eq(source_get(set, SOURCE_CONF, STR("fifo"))->why, STR("is no regular file")));
    assert_true(source_get(set, SOURCE_CONF, STR("a.conf\0x"))->why.len != 0);
    assert_true(source_get(set, SOURCE_CONF, STR(""))->why.len != 0);
    assert_ptr_equal(source_first(set), a);
    source_set_end(set);
}

static void a_file_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    struct source_set *set = source_set_disk();
    write_file("b.conf", "");
    assert_int_equal(truncate("b.conf", (off_t)SOURCE_BYTES_MAX + 1), 0);
    assert_true(source_get(set, SOURCE_CERT, STR("b.conf"))->why.len != 0);
    assert_int_equal(truncate("b.conf", (off_t)SOURCE_BYTES_MAX), 0);
    const struct source *big = source_get(set, SOURCE_DATA, STR("b.conf"));
    assert_int_equal(big->bytes.len, SOURCE_BYTES_MAX);
    write_file("b.conf", "b");
    source_set_end(set);
}

static void names_come_sorted(void **state)
{
    (void)state;
    struct source_set *set = source_set_disk();
    assert_true(str_eq(source_glob(set, STR("*.conf"))->bytes, STR("a.conf\nb.conf\nlink.conf\n")));
    const struct source *none = source_glob(set, STR("*.none"));
    assert_true(none->why.len == 0 && none->bytes.len == 0);
    none = source_glob(set, STR("none/*.conf"));
    assert_true(none->why.len == 0 && none->bytes.len == 0);
    assert_true(
        str_eq(source_folder(set, STR("."))->bytes, STR("a.conf\nb.conf\nkey.pem\nlink.conf\n")));
    assert_true(source_folder(set, STR("none"))->why.len != 0);
    source_set_end(set);
}

static void the_system_is_asked_by_name(void **state)
{
    (void)state;
    struct source_set *set = source_set_disk();
    setenv("PC_TEST", "a b", 1);
    unsetenv("PC_TEST_NONE");
    assert_true(str_eq(source_env(set, STR("PC_TEST"))->bytes, STR("a b")));
    assert_true(source_env(set, STR("PC_TEST_NONE"))->why.len != 0);
    assert_true(source_get(set, SOURCE_FACT, STR("hostname"))->bytes.len != 0);
    assert_true(source_get(set, SOURCE_FACT, STR("ipv6"))->why.len == 0);
    assert_true(source_get(set, SOURCE_FACT, STR("nonsense"))->why.len != 0);
    source_set_end(set);
}

static struct source_set *filled(void)
{
    struct source_set *set = source_set_disk();
    (void)source_get(set, SOURCE_CONF, STR("a.conf"));
    (void)source_get(set, SOURCE_KEY, STR("key.pem"));
    (void)source_get(set, SOURCE_KEY, STR("none.pem"));
    (void)source_glob(set, STR("*.conf"));
    assert_true(source_put(set, SOURCE_KEY, STR("issued"), STR("new secret")));
    assert_true(source_put(set, SOURCE_CERT, STR("issued"), STR("")));
    return set;
}

static void a_pack_holds_what_was_read_and_nothing_else(void **state)
{
    (void)state;
    struct source_set *disk = filled();
    int fd, keys;
    assert_true(source_set_pack(disk, &fd, &keys));
    struct source_set *set = source_set_unpack(fd, keys);
    assert_non_null(set);
    assert_false(source_is_disk(set));
    const struct source *a = source_first(disk), *b = source_first(set);
    for (; a != NULL && b != NULL; a = a->next, b = b->next) {
        assert_int_equal(a->kind, b->kind);
        assert_int_equal(a->mode, b->mode);
        assert_true(str_eq(a->name, b->name) && str_eq(a->bytes, b->bytes));
        assert_true(str_eq(a->why, b->why));
        assert_ptr_equal(source_get(set, a->kind, a->name), b);
    }
    assert_true(a == NULL && b == NULL);
    assert_true(source_get(set, SOURCE_CONF, STR("b.conf"))->why.len != 0);
    source_set_end(set);

    set = source_set_unpack(fd, -1);
    assert_non_null(set);
    assert_true(source_get(set, SOURCE_KEY, STR("key.pem"))->why.len != 0);
    source_set_end(set);
    source_set_end(disk);
    close(fd);
    close(keys);
}

static void keys_stand_in_their_own_pack(void **state)
{
    (void)state;
    struct source_set *disk = filled();
    int fd, keys;
    assert_true(source_set_pack(disk, &fd, &keys));
    char bytes[4096];
    ssize_t n = pread(fd, bytes, sizeof bytes, 0);
    assert_true(n > 0 && memmem(bytes, (size_t)n, "secret", 6) == NULL);
    n = pread(keys, bytes, sizeof bytes, 0);
    assert_true(n > 0 && memmem(bytes, (size_t)n, "new secret", 10) != NULL);
    assert_true(pwrite(fd, "x", 1, 0) < 0);
    source_set_end(disk);
    close(fd);
    close(keys);
}

static int copy_of(int fd, size_t len, size_t flip, bool seal)
{
    char bytes[4096];
    ssize_t n = pread(fd, bytes, len < sizeof bytes ? len : sizeof bytes, 0);
    assert_true(n >= 0);
    if (flip < (size_t)n)
        bytes[flip] = (char)(bytes[flip] ^ 0x55);
    int copy = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(write(copy, bytes, (size_t)n), n);
    if (seal)
        fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    return copy;
}

static void a_damaged_pack_is_refused_or_harmless(void **state)
{
    (void)state;
    struct source_set *disk = filled();
    int fd, keys;
    assert_true(source_set_pack(disk, &fd, &keys));
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    int open_copy = copy_of(fd, SIZE_MAX, SIZE_MAX, false);
    assert_null(source_set_unpack(open_copy, keys));
    close(open_copy);
    assert_null(source_set_unpack(keys, fd));
    assert_null(source_set_unpack(-1, -1));
    for (size_t len = 0; len < (size_t)st.st_size; len++) {
        int cut = copy_of(fd, len, SIZE_MAX, true);
        struct source_set *set = source_set_unpack(cut, keys);
        assert_null(set); /* the keys have no place left */
        close(cut);
        int flipped = copy_of(fd, SIZE_MAX, len, true);
        source_set_end(source_set_unpack(flipped, keys));
        close(flipped);
    }
    source_set_end(disk);
    close(fd);
    close(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_once_and_failures_remembered),
        cmocka_unit_test(a_file_beyond_the_limit_is_refused),
        cmocka_unit_test(names_come_sorted),
        cmocka_unit_test(the_system_is_asked_by_name),
        cmocka_unit_test(a_pack_holds_what_was_read_and_nothing_else),
        cmocka_unit_test(keys_stand_in_their_own_pack),
        cmocka_unit_test(a_damaged_pack_is_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
