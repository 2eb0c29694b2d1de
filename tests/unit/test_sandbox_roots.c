#include "app/sandbox_roots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct {
    const char *folder, *path;
    bool holds;
} holds_rows[] = {
    {"/", "/x", true},          {"/a", "/a", true},     {"/a", "/a/b", true},
    {"/a", "/ab", false},       {"/a/b", "/a", false},  {"/a", "/b/a", false},
    {"/a/b", "/a/b/c/d", true}, {"/a/b", "/a/", false},
};

static void a_folder_holds_itself_and_what_is_below(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof holds_rows / sizeof holds_rows[0]; i++)
        assert_int_equal(
            sandbox_roots_holds(str_from_z(holds_rows[i].folder), str_from_z(holds_rows[i].path)),
            holds_rows[i].holds);
}

static const struct {
    const char *root, *secret, *readable;
} rows[] = {
    {"/srv/app/releases/7", "/etc/portcullis/portcullis.conf", "/srv/app/releases"},
    {"/srv/app/www", "/srv/app/portcullis.conf", "/srv/app/www"},
    {"/srv/app/www", "/srv/app/tls/site.key", "/srv/app/www"},
    {"/srv/app/www", "/srv/application/site.key", "/srv/app"},
    {"/srv/app/www", "/srv/app/www/portcullis.conf", "/srv/app/www"},
    {"/srv/www", "/etc/x", "/srv/www"}, /* not all of /srv */
    {"/www", "/etc/x", "/www"},
    {"/", "/etc/x", "/"}, /* as the operator wishes */
    {"/home/bob/site", "/home/bob/.local/state/portcullis", "/home/bob/site"},
};

static void the_parent_is_readable_where_it_gives_nothing_away(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct str secret = str_from_z(rows[i].secret);
        struct str got = sandbox_roots_readable(str_from_z(rows[i].root), &secret, 1);
        assert_true(str_eq(got, str_from_z(rows[i].readable)));
    }
}

/* A load with folders below a temporary one. */
struct load {
    char folder[64];
    struct arena *arena;
    struct source_set *sources;
    struct diag diag;
    struct snapshot snapshot;
    struct sandbox_roots roots;
};

static void begin(struct load *load, size_t count)
{
    memset(load, 0, sizeof *load);
    strcpy(load->folder, "/tmp/portcullis-roots-XXXXXX");
    assert_non_null(mkdtemp(load->folder));
    load->arena = arena_new((size_t)1 << 22, 4096);
    load->sources = source_set_disk();
    assert_non_null(load->sources);
    diag_init(&load->diag, load->arena);
    load->snapshot.state_dir = STR("/nowhere/state");
    load->snapshot.file_roots = arena_array(load->arena, count, sizeof(struct str));
    load->snapshot.file_root_count = count;
    for (size_t i = 0; i < count; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%zu", load->folder, i);
        assert_int_equal(mkdir(path, 0700), 0);
        snprintf(path, sizeof path, "%s/%zu/www", load->folder, i);
        assert_int_equal(mkdir(path, 0700), 0);
        load->snapshot.file_roots[i] = str_dup(load->arena, str_from_z(path));
    }
}

static bool choose(struct load *load)
{
    return sandbox_roots_choose(&load->roots, &load->snapshot, load->sources, load->arena,
                                &load->diag);
}

static void end(struct load *load)
{
    for (size_t i = 0; i < load->snapshot.file_root_count; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%zu/www", load->folder, i);
        rmdir(path);
        snprintf(path, sizeof path, "%s/%zu", load->folder, i);
        rmdir(path);
    }
    rmdir(load->folder);
    source_set_end(load->sources);
    arena_end(load->arena);
}

static void as_many_folders_as_there_is_room_for(void **state)
{
    (void)state;
    struct load load;
    begin(&load, ROOTS_MAX);
    assert_true(choose(&load));
    assert_int_equal(load.roots.count, ROOTS_MAX);
    assert_int_equal(load.diag.errors, 0);
    end(&load);
    begin(&load, ROOTS_MAX + 1);
    assert_false(choose(&load));
    assert_int_equal(load.diag.errors, 1);
    end(&load);
}

static void folders_beside_each_other_are_one(void **state)
{
    (void)state;
    struct load load;
    struct stat st;
    begin(&load, 1);
    struct str first = load.snapshot.file_roots[0];
    struct str both[2] = {first, first};
    load.snapshot.file_roots = both;
    load.snapshot.file_root_count = 2;
    assert_true(choose(&load));
    assert_int_equal(load.roots.count, 1);
    assert_int_equal(stat(load.roots.roots[0].path, &st), 0);
    assert_int_equal(load.roots.roots[0].inode, st.st_ino);
    load.snapshot.file_root_count = 1;
    end(&load);
}

static void a_key_in_the_folder_is_warned_of(void **state)
{
    (void)state;
    struct load load;
    char key[160];
    begin(&load, 1);
    snprintf(key, sizeof key, "%.*s/x.key", STR_ARG(load.snapshot.file_roots[0]));
    FILE *file = fopen(key, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(source_get(load.sources, SOURCE_KEY, str_from_z(key))->why.len, 0);
    assert_true(choose(&load));
    assert_int_equal(load.diag.warnings, 1);
    unlink(key);
    end(&load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_holds_itself_and_what_is_below),
        cmocka_unit_test(the_parent_is_readable_where_it_gives_nothing_away),
        cmocka_unit_test(as_many_folders_as_there_is_room_for),
        cmocka_unit_test(folders_beside_each_other_are_one),
        cmocka_unit_test(a_key_in_the_folder_is_warned_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
