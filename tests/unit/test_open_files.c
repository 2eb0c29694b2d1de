#include "files/open_files.h"

#include "net/loop.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fail.h"

static char top[64];
static struct loop *loop;
static struct open_files *files;

static const char *at(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", top, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(at(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void write_sized(const char *name, size_t len)
{
    FILE *file = fopen(at(name), "w");
    assert_non_null(file);
    for (size_t i = 0; i < len; i++)
        fputc('z', file);
    fclose(file);
}

/* Until a file made now is old enough; nothing else can age its time of status. */
static void wait_until_settled(void)
{
    time_t made = time(NULL);
    while (time(NULL) <= made + OPEN_FILES_SETTLED_S)
        usleep(10000);
}

static int open_there(const char *name, struct stat *st)
{
    int fd = open(at(name), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, st), 0);
    return fd;
}

static bool keep(const char *root, const char *name)
{
    struct stat st;
    char whole[64];
    snprintf(whole, sizeof whole, "%s/%s", root, name);
    int fd = open_there(whole, &st);
    struct open_file *file =
        open_files_keep(files, str_from_z(at(root)), str_from_z(name), fd, &st);
    if (file == NULL)
        close(fd);
    else
        open_file_release(file);
    return file != NULL;
}

/* Files are looked at once in a turn of the loop: here is the next one. */
static void stop_loop(struct loop_task *task)
{
    (void)task;
    loop_stop(loop);
}

static void next_turn(void)
{
    struct loop_task task = {.run = stop_loop};
    loop_post(loop, &task);
    loop_run(loop);
}

static bool is_kept(const char *root, const char *name)
{
    next_turn();
    struct open_file *file = open_files_find(files, str_from_z(at(root)), str_from_z(name));
    if (file != NULL)
        open_file_release(file);
    return file != NULL;
}

static const char *const names[] = {"same",   "written", "cut",   "renamed", "touched",
                                    "locked", "removed", "moved", "linked"};

static int set_up(void **state)
{
    (void)state;
    strcpy(top, "/tmp/test_open_files.XXXXXX");
    assert_non_null(mkdtemp(top));
    assert_int_equal(mkdir(at("a"), 0755), 0);
    assert_int_equal(mkdir(at("b"), 0755), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "a/%s", names[i]);
        write_file(name, "before");
    }
    write_file("b/same", "before");
    assert_int_equal(symlink("a", at("current")), 0);
    for (unsigned i = 0; i < 2 * OPEN_FILES_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "b/%u", i);
        write_file(name, "x");
    }
    assert_int_equal(mkdir(at("s"), 0755), 0);
    write_sized("s/empty", 0);
    write_sized("s/one", 1);
    write_sized("s/most", OPEN_FILES_BYTES_MAX);
    write_sized("s/more", OPEN_FILES_BYTES_MAX + 1);
    write_sized("s/changing", 1);
    wait_until_settled();
    loop = loop_new(0);
    files = open_files_new(loop);
    return loop == NULL || files == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    open_files_end(files);
    loop_end(loop);
    snprintf(command, sizeof command, "rm -rf %s", top);
    return system(command);
}

static void change(const char *name)
{
    char path[32];
    snprintf(path, sizeof path, "a/%s", name);
    if (strcmp(name, "written") == 0)
        write_file(path, "after!");
    else if (strcmp(name, "cut") == 0)
        assert_int_equal(truncate(at(path), 1), 0);
    else if (strcmp(name, "renamed") == 0)
        assert_int_equal(rename(at("b/0"), at(path)), 0);
    else if (strcmp(name, "touched") == 0)
        assert_int_equal(utimensat(AT_FDCWD, at(path), NULL, 0), 0);
    else if (strcmp(name, "locked") == 0)
        assert_int_equal(chmod(at(path), 0), 0);
    else if (strcmp(name, "removed") == 0)
        assert_int_equal(unlink(at(path)), 0);
    else if (strcmp(name, "moved") == 0)
        assert_int_equal(rename(at(path), at("a/elsewhere")), 0);
    else if (strcmp(name, "linked") == 0) {
        assert_int_equal(unlink(at(path)), 0);
        assert_int_equal(symlink("/etc/passwd", at(path)), 0);
    }
}

static void a_file_is_kept_until_it_changes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_false(is_kept("a", names[i]));
        assert_true(keep("a", names[i]));
        assert_true(is_kept("a", names[i]));
        assert_true(is_kept("a", names[i]));
        change(names[i]);
        assert_int_equal(is_kept("a", names[i]), i == 0);
        assert_int_equal(is_kept("a", names[i]), i == 0);
    }
}

static void a_root_that_is_a_link_is_followed_anew(void **state)
{
    (void)state;
    assert_true(keep("current", "same"));
    assert_true(is_kept("current", "same"));
    assert_int_equal(unlink(at("current")), 0);
    assert_int_equal(symlink("b", at("current")), 0);
    assert_false(is_kept("current", "same"));
}

static void a_file_changed_just_now_is_not_kept(void **state)
{
    (void)state;
    write_file("a/fresh", "x");
    assert_false(keep("a", "fresh"));
    assert_false(is_kept("a", "fresh"));
    wait_until_settled();
    assert_true(keep("a", "fresh"));
    assert_true(is_kept("a", "fresh"));
}

static void a_folder_is_not_kept(void **state)
{
    (void)state;
    struct stat st;
    int fd = open_there("a", &st);
    assert_null(open_files_keep(files, str_from_z(top), STR("a"), fd, &st));
    close(fd);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 4 * OPEN_FILES_MAX; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void no_more_than_the_limit_are_open(void **state)
{
    (void)state;
    char name[16];
    open_files_drop(files);
    unsigned before = open_descriptors(), kept = 0;
    for (unsigned i = 1; i < 2 * OPEN_FILES_MAX; i++) {
        snprintf(name, sizeof name, "%u", i);
        assert_true(keep("b", name));
        assert_true(is_kept("b", name));
    }
    for (unsigned i = 1; i < 2 * OPEN_FILES_MAX; i++) {
        snprintf(name, sizeof name, "%u", i);
        kept += is_kept("b", name);
    }
    assert_true(kept <= OPEN_FILES_MAX && kept > OPEN_FILES_MAX / 2);
    assert_int_equal(open_descriptors() - before, kept);
    open_files_drop(files);
    assert_int_equal(open_descriptors(), before);
}

static void who_uses_a_file_reads_on_after_it_was_dropped(void **state)
{
    (void)state;
    char byte = 0;
    assert_true(keep("b", "7"));
    struct open_file *file = open_files_find(files, str_from_z(at("b")), STR("7"));
    assert_non_null(file);
    open_files_drop(files);
    assert_false(is_kept("b", "7"));
    assert_int_equal(pread(file->fd, &byte, 1, 0), 1);
    assert_int_equal(byte, 'x');
    open_file_release(file);
}

static void a_file_nobody_asks_for_is_closed(void **state)
{
    (void)state;
    open_files_drop(files);
    uint64_t now = loop_now_ms(loop);
    assert_true(keep("b", "8"));
    assert_int_equal(open_files_sweep(files, now + OPEN_FILES_IDLE_MS - 1), 1);
    assert_true(is_kept("b", "8"));
    assert_int_equal(open_files_sweep(files, loop_now_ms(loop) + OPEN_FILES_IDLE_MS), 0);
    assert_false(is_kept("b", "8"));
}

static void a_file_is_looked_at_once_in_a_turn(void **state)
{
    (void)state;
    assert_true(keep("b", "10"));
    assert_int_equal(truncate(at("b/10"), 0), 0);
    struct open_file *file = open_files_find(files, str_from_z(at("b")), STR("10"));
    assert_non_null(file);
    open_file_release(file);
    next_turn();
    assert_null(open_files_find(files, str_from_z(at("b")), STR("10")));
}

static void small_files_are_kept_with_their_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t len;
        bool kept;
    } sizes[] = {{"empty", 0, false},
                 {"one", 1, true},
                 {"most", OPEN_FILES_BYTES_MAX, true},
                 {"more", OPEN_FILES_BYTES_MAX + 1, false}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_true(keep("s", sizes[i].name));
        struct open_file *file =
            open_files_find(files, str_from_z(at("s")), str_from_z(sizes[i].name));
        assert_non_null(file);
        const char *bytes = open_file_bytes(file);
        assert_int_equal(bytes != NULL, sizes[i].kept);
        assert_true(bytes == NULL || bytes[sizes[i].len - 1] == 'z');
        assert_ptr_equal(open_file_bytes(file), bytes);
        open_file_release(file);
    }
    assert_true(keep("s", "changing"));
    struct open_file *file = open_files_find(files, str_from_z(at("s")), STR("changing"));
    write_file("s/changing", "x");
    assert_null(open_file_bytes(file));
    open_file_release(file);
}

static void a_path_too_long_for_the_system_is_not_found(void **state)
{
    (void)state;
    static char path[5000];
    struct stat st;
    memset(path, 'x', sizeof path);
    int fd = open_there("b/9", &st);
    assert_null(open_files_keep(files, str_from_z(at("b")), str_from(path, sizeof path), fd, &st));
    assert_null(open_files_find(files, str_from_z(at("b")), str_from(path, sizeof path)));
    close(fd);
}

static void one_file(void *unused)
{
    struct stat st;
    (void)unused;
    struct open_files *few = open_files_new(loop);
    assert_true(few != NULL || alloc_has_failed());
    if (few == NULL)
        return;
    int fd = open_there("s/one", &st);
    struct open_file *file = open_files_keep(few, str_from_z(top), STR("s/one"), fd, &st);
    assert_true(file != NULL || alloc_has_failed());
    if (file == NULL)
        close(fd); /* it is still ours */
    else
        open_file_release(file);
    open_files_end(few);
}

static void without_memory_files_are_not_kept(void **state)
{
    (void)state;
    assert_true(alloc_walk(one_file, NULL) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_kept_until_it_changes),
        cmocka_unit_test(a_root_that_is_a_link_is_followed_anew),
        cmocka_unit_test(a_file_changed_just_now_is_not_kept),
        cmocka_unit_test(a_folder_is_not_kept),
        cmocka_unit_test(no_more_than_the_limit_are_open),
        cmocka_unit_test(who_uses_a_file_reads_on_after_it_was_dropped),
        cmocka_unit_test(a_file_nobody_asks_for_is_closed),
        cmocka_unit_test(a_file_is_looked_at_once_in_a_turn),
        cmocka_unit_test(small_files_are_kept_with_their_bytes),
        cmocka_unit_test(a_path_too_long_for_the_system_is_not_found),
        cmocka_unit_test(without_memory_files_are_not_kept),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
