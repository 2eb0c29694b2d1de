#include "observe/log_rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/pc-rotate-XXXXXX";
static char before[4096];

static int enter_folder(void **state)
{
    (void)state;
    memcpy(folder, "/tmp/pc-rotate-XXXXXX", sizeof folder);
    return getcwd(before, sizeof before) == NULL || mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int leave_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"log", "log.1", "log.2", "log.3", "log.4", "other"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(names[i]);
    return chdir(before) != 0 || rmdir(folder) != 0;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The file's one word, or "" where there is no file. */
static const char *word_in(const char *name)
{
    static char word[32];
    word[0] = '\0';
    FILE *file = fopen(name, "r");
    if (file != NULL) {
        if (fscanf(file, "%31s", word) != 1)
            word[0] = '\0';
        fclose(file);
    }
    return word;
}

static void files_move_up_and_the_oldest_goes(void **state)
{
    (void)state;
    write_file("log", "0");
    write_file("log.1", "1");
    write_file("log.2", "2");
    write_file("log.3", "3");
    assert_true(log_rotate_files("log", 2));
    assert_string_equal(word_in("log"), "");
    assert_string_equal(word_in("log.1"), "0");
    assert_string_equal(word_in("log.2"), "1");
    assert_string_equal(word_in("log.3"),
                        "3"); /* of a time when more were kept: not ours to judge */
}

static void a_first_rotation_needs_no_older_files(void **state)
{
    (void)state;
    write_file("log", "0");
    assert_true(log_rotate_files("log", 4));
    assert_string_equal(word_in("log.1"), "0");
    assert_string_equal(word_in("log.2"), "");
}

static void keeping_none_removes_the_file(void **state)
{
    (void)state;
    write_file("log", "0");
    assert_true(log_rotate_files("log", 0));
    assert_string_equal(word_in("log"), "");
    assert_string_equal(word_in("log.1"), "");
}

static void without_a_file_nothing_can_be_rotated(void **state)
{
    (void)state;
    assert_false(log_rotate_files("log", 2));
    assert_int_equal(errno, ENOENT);
    assert_false(log_rotate_files("log", 0));
}

static void a_rotation_is_due_at_its_size(void **state)
{
    (void)state;
    assert_false(log_rotate_due("log", 0));
    write_file("log", "12345");
    assert_true(log_rotate_due("log", 5));
    assert_false(log_rotate_due("log", 6));
}

static void a_log_is_created_for_owner_and_group_and_appended_to(void **state)
{
    (void)state;
    mode_t mask = umask(0);
    const char *why = NULL;
    int fd = log_open_file("log", &why);
    umask(mask);
    assert_true(fd >= 0);
    struct stat info;
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    assert_int_equal(write(fd, "one", 3), 3);
    close(fd);
    fd = log_open_file("log", &why);
    assert_int_equal(write(fd, "two", 3), 3);
    close(fd);
    assert_string_equal(word_in("log"), "onetwo");
}

static void what_is_no_plain_file_is_refused_with_the_reason(void **state)
{
    (void)state;
    const char *why = NULL;
    write_file("other", "x");
    assert_int_equal(symlink("other", "log"), 0);
    assert_int_equal(log_open_file("log", &why), -1);
    assert_string_equal(why, "it is a symbolic link");
    unlink("log");
    assert_int_equal(link("other", "log"), 0);
    assert_int_equal(log_open_file("log", &why), -1);
    assert_string_equal(why, "it has more than one name (hard links)");
    unlink("log");
    assert_int_equal(mkfifo("log", 0600), 0);
    assert_int_equal(log_open_file("log", &why), -1); /* and does not wait for a reader */
    assert_string_equal(why, "it is not a regular file");
    int reader = open("log", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_int_equal(log_open_file("log", &why), -1);
    assert_string_equal(why, "it is not a regular file");
    close(reader);
    assert_int_equal(log_open_file(".", &why), -1);
    assert_string_equal(why, "Is a directory");
    assert_int_equal(log_open_file("no/such", &why), -1);
    assert_string_equal(why, "No such file or directory");
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(files_move_up_and_the_oldest_goes),
        IN_FOLDER(a_first_rotation_needs_no_older_files),
        IN_FOLDER(keeping_none_removes_the_file),
        IN_FOLDER(without_a_file_nothing_can_be_rotated),
        IN_FOLDER(a_rotation_is_due_at_its_size),
        IN_FOLDER(a_log_is_created_for_owner_and_group_and_appended_to),
        IN_FOLDER(what_is_no_plain_file_is_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
