/* The table of parts: names to sites, and giving snapshots up. */
#include "proxy/snapshot.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int freed;

static void count_freed(void *unused)
{
    (void)unused;
    freed++;
}

static struct site *site_new(uint64_t hash, struct str *hosts, size_t count, uint64_t listeners)
{
    struct arena *arena = arena_new((size_t)1 << 20, 1024);
    assert_non_null(arena);
    struct site *site = ARENA_NEW(arena, struct site);
    assert_non_null(site);
    site->part.arena = arena;
    site->part.hash = hash;
    site->hosts = hosts;
    site->host_count = count;
    site->listeners = listeners;
    assert_true(arena_defer(arena, count_freed, NULL));
    return site;
}

static struct snapshot *snapshot_of(uint64_t generation, struct site **sites, size_t count)
{
    struct arena *arena = arena_new((size_t)1 << 20, 1024);
    assert_non_null(arena);
    struct snapshot *snapshot = ARENA_NEW(arena, struct snapshot);
    assert_non_null(snapshot);
    snapshot->arena = arena;
    snapshot->generation = generation;
    snapshot->listeners = arena_array(arena, 2, sizeof *snapshot->listeners);
    snapshot->listener_count = 2;
    snapshot->sites = arena_array(arena, count, sizeof(struct site *));
    snapshot->site_count = count;
    assert_non_null(snapshot->sites);
    for (size_t i = 0; i < count; i++) {
        snapshot->sites[i] = sites[i];
        snapshot_hold(sites[i]);
    }
    assert_true(snapshot_link(snapshot));
    assert_true(arena_defer(arena, count_freed, NULL));
    return snapshot;
}

static void the_exact_name_wins_then_the_longer_wildcard(void **state)
{
    (void)state;
    static struct str one[] = {STR_INIT("www.a.b"), STR_INIT("::1")};
    static struct str two[] = {STR_INIT("*.a.b")};
    static struct str three[] = {STR_INIT("*.b")};
    static struct str all[] = {STR_INIT("*")};
    struct site *sites[] = {site_new(1, one, 2, 3), site_new(2, two, 1, 3),
                            site_new(3, three, 1, 1), site_new(4, all, 1, 1)};
    struct snapshot *s = snapshot_of(1, sites, 4);
    static const struct {
        struct str host;
        int site;
    } cases[] = {
        {STR_INIT("www.a.b"), 0}, {STR_INIT("::1"), 0},       {STR_INIT("x.a.b"), 1},
        {STR_INIT("x.y.a.b"), 1}, {STR_INIT("a.b"), 2},       {STR_INIT("xa.b"), 2},
        {STR_INIT("b"), 3},       {STR_INIT("x.www.a.b"), 1}, {STR_INIT("other"), 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_ptr_equal(listener_site(&s->listeners[0], cases[i].host), sites[cases[i].site]);
    assert_null(listener_site(&s->listeners[1], STR("other")));
    assert_null(listener_site(&s->listeners[1], STR("a.b")));
    assert_ptr_equal(s->listeners[1].first, sites[0]);
    assert_null(s->listeners[1].catch_all);
    snapshot_end(s);
}

static void a_shared_part_outlives_the_old_snapshot(void **state)
{
    (void)state;
    static struct str a[] = {STR_INIT("a")}, b[] = {STR_INIT("b")};
    struct site *first[] = {site_new(7, a, 1, 1), site_new(8, b, 1, 1)};
    struct snapshot *old = snapshot_of(1, first, 2);
    struct site *shared = snapshot_find_site(old, 7);
    assert_ptr_equal(shared, first[0]);
    assert_null(snapshot_find_site(old, 9));
    assert_null(snapshot_find_site(NULL, 7));
    struct snapshot *new = snapshot_of(2, &shared, 1);
    struct retired retired = {0};
    freed = 0;
    snapshot_retire(&retired, old);
    snapshot_sweep(&retired, 1, 1); /* a thread still uses generation 1 */
    assert_int_equal(freed, 0);
    snapshot_sweep(&retired, 2, 1);
    assert_int_equal(freed, 2); /* the snapshot and the part nobody else holds */
    snapshot_retire(&retired, new);
    snapshot_sweep(&retired, 3, 1);
    assert_int_equal(freed, 4);
    assert_null(retired.snapshots);
    assert_null(retired.parts);
}

static void what_is_pinned_waits(void **state)
{
    (void)state;
    static struct str a[] = {STR_INIT("a")};
    struct site *site = site_new(7, a, 1, 1);
    struct snapshot *snapshot = snapshot_of(1, &site, 1);
    struct retired retired = {0};
    freed = 0;
    atomic_fetch_add(&snapshot->pins[1], 1);
    part_pin(&site->part, 2);
    snapshot_retire(&retired, snapshot);
    snapshot_sweep(&retired, 2, 3);
    assert_int_equal(freed, 0);
    atomic_fetch_sub(&snapshot->pins[1], 1);
    snapshot_sweep(&retired, 2, 3);
    assert_int_equal(freed, 1); /* the snapshot; a long download keeps only its site */
    part_unpin(&site->part, 2);
    snapshot_sweep(&retired, 2, 3);
    assert_int_equal(freed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exact_name_wins_then_the_longer_wildcard),
        cmocka_unit_test(a_shared_part_outlives_the_old_snapshot),
        cmocka_unit_test(what_is_pinned_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
