#include "upstream/balance.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ORIGINS = 4, PICKS = 10000, ALL = 15 };

struct stage {
    struct loop *loop;
    struct origin_registry *registry;
    struct origins origins;
    struct balance balance;
    struct origin_conf confs[UPSTREAM_ORIGINS_MAX];
    struct upstream_conf conf;
};

static struct origin *origin(struct stage *s, unsigned i)
{
    struct origin *origin = origin_get(&s->origins, &s->confs[i]);
    assert_non_null(origin);
    return origin;
}

static struct origin_shared *shared(struct stage *s, unsigned i)
{
    return origin(s, i)->shared;
}

/* As if it had been there for ever: no slow start. */
static void grown(struct stage *s, unsigned i)
{
    shared(s, i)->slow_from_ms = 0;
}

static int begin(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    s->loop = loop_new(0);
    s->registry = origin_registry_new();
    assert_true(s->loop != NULL && s->registry != NULL);
    origins_init(&s->origins, s->loop, s->registry);
    balance_init(&s->balance);
    s->conf = (struct upstream_conf){.origins = s->confs,
                                     .origin_count = ORIGINS,
                                     .identity = 7,
                                     .rest_ms = 1000000,
                                     .rest_after = 1};
    for (unsigned i = 0; i < UPSTREAM_ORIGINS_MAX; i++) {
        s->confs[i] = (struct origin_conf){
            .text = STR("origin"), .identity = UINT64_C(0x9e3779b97f4a7c15) * (i + 1), .weight = 1};
        grown(s, i);
    }
    *state = s;
    return 0;
}

static int end(void **state)
{
    struct stage *s = *state;
    origins_fini(&s->origins);
    balance_fini(&s->balance);
    origin_registry_end(s->registry);
    loop_end(s->loop);
    free(s);
    return 0;
}

static unsigned pick_of(struct stage *s, uint64_t allowed, uint64_t key)
{
    unsigned index = 99;
    assert_int_equal(balance_next(&s->balance, &s->origins, &s->conf, allowed, key, &index),
                     BALANCE_CHOSEN);
    return index;
}

/* Requests that are over before the next comes; keys differ. */
static void count_picks(struct stage *s, unsigned picks, unsigned counts[])
{
    memset(counts, 0, UPSTREAM_ORIGINS_MAX * sizeof counts[0]);
    for (unsigned i = 0; i < picks; i++)
        counts[pick_of(s, UINT64_MAX, i * UINT64_C(0xd6e8feb86659fd93))]++;
}

static void near(unsigned got, double wanted, double off)
{
    if (got >= wanted - off && got <= wanted + off)
        return;
    fail_msg("%u picks are not %.0f +- %.0f", got, wanted, off);
}

/* ---- shares ---- */

static const struct {
    enum balance_kind kind;
    double off; /* of PICKS: exact where nothing is drawn, four sigmas where it is */
} kinds[] = {
    {BALANCE_ROUND_ROBIN, 1},   {BALANCE_LEAST_REQUESTS, 1}, {BALANCE_RANDOM, 200},
    {BALANCE_HASH_CLIENT, 200}, {BALANCE_HASH_HEADER, 200},  {BALANCE_HASH_COOKIE, 200},
};

static void each_kind_shares_after_the_weights(void **state)
{
    struct stage *s = *state;
    static const uint32_t weights[2][ORIGINS] = {{1, 1, 1, 1}, {5, 3, 1, 1}};
    unsigned counts[UPSTREAM_ORIGINS_MAX];
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (size_t w = 0; w < 2; w++) {
            double sum = 0;
            for (unsigned i = 0; i < ORIGINS; i++)
                sum += s->confs[i].weight = weights[w][i];
            s->conf.balance = kinds[k].kind;
            count_picks(s, PICKS, counts);
            print_message("kind %d, weights %zu: %u %u %u %u of %d\n", (int)kinds[k].kind, w,
                          counts[0], counts[1], counts[2], counts[3], PICKS);
            for (unsigned i = 0; i < ORIGINS; i++)
                near(counts[i], PICKS * weights[w][i] / sum, kinds[k].off);
        }
}

static void a_round_is_smooth(void **state)
{
    struct stage *s = *state;
    static const unsigned order[] = {0, 0, 1, 0, 2, 0, 0};
    s->conf.origin_count = 3;
    s->confs[0].weight = 5;
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 7; i++)
            assert_int_equal(pick_of(s, ALL, 0), order[i]);
}

static void the_largest_weights_of_the_most_origins_are_kept_too(void **state)
{
    struct stage *s = *state;
    unsigned counts[UPSTREAM_ORIGINS_MAX];
    s->conf.origin_count = UPSTREAM_ORIGINS_MAX;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        s->conf.balance = kinds[k].kind;
        for (unsigned i = 0; i < UPSTREAM_ORIGINS_MAX; i++)
            s->confs[i].weight = i == 0 ? 1 : UPSTREAM_WEIGHT_MAX;
        count_picks(s, PICKS, counts);
        near(counts[0], 0, 8);
        for (unsigned i = 1; i < UPSTREAM_ORIGINS_MAX; i++)
            near(counts[i], (double)PICKS / (UPSTREAM_ORIGINS_MAX - 1), 60);
    }
}

/* ---- load ---- */

static void with_load(struct stage *s, const uint32_t in_use[ORIGINS])
{
    for (unsigned i = 0; i < ORIGINS; i++)
        shared(s, i)->in_use = in_use[i];
}

static void without_load(struct stage *s)
{
    with_load(s, (const uint32_t[ORIGINS]){0});
}

static void least_requests_takes_the_one_with_the_fewest_for_its_weight(void **state)
{
    struct stage *s = *state;
    s->conf.balance = BALANCE_LEAST_REQUESTS;
    with_load(s, (const uint32_t[]){3, 2, 1, 4});
    assert_int_equal(pick_of(s, ALL, 0), 2);
    s->confs[3].weight = 5; /* 4 of 5 is less than 1 of 1 */
    assert_int_equal(pick_of(s, ALL, 0), 3);
    /* Of those with equally few each has its turn. */
    s->confs[3].weight = 1;
    with_load(s, (const uint32_t[]){1, 1, 7, 1});
    unsigned counts[ORIGINS] = {0};
    for (unsigned i = 0; i < 9; i++)
        counts[pick_of(s, ALL, 0)]++;
    assert_int_equal(counts[0], 3);
    assert_int_equal(counts[1], 3);
    assert_int_equal(counts[3], 3);
    without_load(s);
}

/* Requests that last: the first origin answers in 50 turns, the others in 5. */
static void play_slow_origin(struct stage *s, enum balance_kind kind, unsigned counts[ORIGINS])
{
    static unsigned ends[4096]; /* turn -> requests that end, by origin */
    memset(ends, 0, sizeof ends);
    memset(counts, 0, ORIGINS * sizeof counts[0]);
    s->conf.balance = kind;
    for (unsigned turn = 0; turn < 1000; turn++) {
        for (unsigned i = 0; i < ORIGINS; i++)
            shared(s, i)->in_use -= ends[turn * ORIGINS + i];
        for (unsigned n = 0; n < 4; n++) {
            unsigned i = pick_of(s, ALL, 0);
            unsigned done = (turn + (i == 0 ? 50 : 5)) * ORIGINS + i;
            shared(s, i)->in_use++;
            counts[i]++;
            if (done < sizeof ends / sizeof ends[0])
                ends[done]++;
        }
    }
    print_message("slow first origin, kind %d: %u %u %u %u\n", (int)kind, counts[0], counts[1],
                  counts[2], counts[3]);
    without_load(s);
}

static void a_slow_origin_gets_less_of_those_who_look_at_the_load(void **state)
{
    struct stage *s = *state;
    unsigned counts[ORIGINS];
    play_slow_origin(s, BALANCE_ROUND_ROBIN, counts);
    assert_int_equal(counts[0], 1000);
    play_slow_origin(s, BALANCE_LEAST_REQUESTS, counts);
    assert_in_range(counts[0], 50, 250); /* by Little's law some 4000 * 0.1 / 3.1 = 129 */
    play_slow_origin(s, BALANCE_RANDOM, counts);
    assert_in_range(counts[0], 50, 450);
}

/* ---- hash ---- */

static void a_key_keeps_its_origin_and_losing_one_moves_only_its_own(void **state)
{
    struct stage *s = *state;
    static unsigned home[PICKS];
    s->conf.balance = BALANCE_HASH_HEADER;
    s->confs[1].weight = 3;
    unsigned lost = 0, spread[ORIGINS] = {0};
    for (unsigned k = 0; k < PICKS; k++)
        home[k] = pick_of(s, ALL, k);
    shared(s, 1)->rests_until_ms = UINT64_MAX;
    for (unsigned k = 0; k < PICKS; k++) {
        unsigned now = pick_of(s, ALL, k);
        if (home[k] != 1) {
            assert_int_equal(now, home[k]);
            continue;
        }
        lost++;
        spread[now]++;
    }
    print_message("hash: %u of %d keys had the lost origin, now %u %u %u\n", lost, PICKS, spread[0],
                  spread[2], spread[3]);
    near(lost, PICKS / 2.0, 200);
    near(spread[0], lost / 3.0, 150); /* what is lost goes to all others */
    shared(s, 1)->rests_until_ms = 0;
    for (unsigned k = 0; k < PICKS; k++)
        assert_int_equal(pick_of(s, ALL, k), home[k]);
}

static void a_new_origin_takes_its_share_of_keys_and_moves_no_other(void **state)
{
    struct stage *s = *state;
    static unsigned home[PICKS];
    s->conf.balance = BALANCE_HASH_COOKIE;
    for (unsigned k = 0; k < PICKS; k++)
        home[k] = pick_of(s, ALL, k);
    s->conf.origin_count = ORIGINS + 1;
    unsigned taken = 0;
    for (unsigned k = 0; k < PICKS; k++) {
        unsigned now = pick_of(s, UINT64_MAX, k);
        taken += now == ORIGINS;
        if (now != ORIGINS)
            assert_int_equal(now, home[k]);
    }
    near(taken, PICKS / 5.0, 200);
}

/* ---- who is fit ---- */

static void backups_wait_until_no_other_is_fit(void **state)
{
    struct stage *s = *state;
    s->confs[2].backup = s->confs[3].backup = true;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        unsigned counts[UPSTREAM_ORIGINS_MAX];
        s->conf.balance = kinds[k].kind;
        count_picks(s, 1000, counts);
        assert_int_equal(counts[0] + counts[1], 1000);
        shared(s, 0)->rests_until_ms = UINT64_MAX;
        count_picks(s, 1000, counts);
        assert_int_equal(counts[1], 1000);
        origin_shared_set(s->registry, shared(s, 1), ORIGIN_DOWN, true, STR("down"));
        count_picks(s, 1000, counts);
        assert_int_equal(counts[2] + counts[3], 1000);
        near(counts[2], 500, 80);
        shared(s, 0)->rests_until_ms = 0;
        origin_shared_set(s->registry, shared(s, 1), ORIGIN_DOWN, false, STR(""));
        grown(s, 1);
    }
}

static void when_none_is_fit_the_one_that_failed_longest_ago_is_tried(void **state)
{
    struct stage *s = *state;
    for (unsigned i = 0; i < ORIGINS; i++) {
        shared(s, i)->rests_until_ms = UINT64_MAX;
        shared(s, i)->last_failed_ms = 100 - i;
    }
    s->confs[3].backup = true;
    assert_int_equal(pick_of(s, ALL, 0), 3);
    assert_int_equal(pick_of(s, 7, 0), 2);
    assert_int_equal(pick_of(s, 3, 0), 1);
}

static void a_drained_origin_is_never_asked(void **state)
{
    struct stage *s = *state;
    unsigned index;
    for (unsigned i = 0; i < ORIGINS; i++)
        origin_shared_set(s->registry, shared(s, i), ORIGIN_DRAINED, true, STR(""));
    assert_int_equal(balance_next(&s->balance, &s->origins, &s->conf, ALL, 0, &index),
                     BALANCE_DRAINED);
    origin_shared_set(s->registry, shared(s, 3), ORIGIN_DRAINED, false, STR(""));
    assert_int_equal(pick_of(s, ALL, 0), 3);
    shared(s, 3)->rests_until_ms = UINT64_MAX; /* rather one that rests than one that is drained */
    assert_int_equal(pick_of(s, ALL, 0), 3);
    assert_int_equal(balance_next(&s->balance, &s->origins, &s->conf, 0, 0, &index),
                     BALANCE_NOBODY);
}

/* ---- connections ---- */

static void a_full_origin_is_passed_over_and_when_all_are_the_shortest_queue_is_told(void **state)
{
    struct stage *s = *state;
    unsigned index;
    s->conf.connections_max = 2;
    with_load(s, (const uint32_t[]){2, 1, 2, 2});
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        s->conf.balance = kinds[k].kind;
        assert_int_equal(pick_of(s, ALL, k), 1);
    }
    with_load(s, (const uint32_t[]){2, 2, 2, 2});
    shared(s, 0)->queued = 3;
    shared(s, 1)->queued = 2;
    shared(s, 2)->queued = 4;
    shared(s, 3)->queued = 2;
    s->confs[3].weight = 2;
    assert_int_equal(balance_next(&s->balance, &s->origins, &s->conf, ALL, 0, &index),
                     BALANCE_FULL);
    assert_int_equal(index, 3);
    /* Who waits comes before who has only just come. */
    with_load(s, (const uint32_t[]){1, 1, 1, 1});
    assert_int_equal(balance_next(&s->balance, &s->origins, &s->conf, ALL, 0, &index),
                     BALANCE_FULL);
    /* A backup does not stand in for those that are busy. */
    s->confs[0].backup = true;
    shared(s, 0)->queued = 0;
    assert_int_equal(balance_next(&s->balance, &s->origins, &s->conf, ALL, 0, &index),
                     BALANCE_FULL);
    without_load(s);
    for (unsigned i = 0; i < ORIGINS; i++)
        shared(s, i)->queued = 0;
}

/* ---- slow start ---- */

static void the_share_of_what_comes_back_grows_over_ten_seconds(void **state)
{
    struct stage *s = *state;
    static const struct {
        uint64_t ms;
        uint32_t share;
    } rows[] = {{0, BALANCE_SLOW_MIN},     {1000, BALANCE_SLOW_MIN},  {2500, BALANCE_WHOLE / 4},
                {5000, BALANCE_WHOLE / 2}, {9999, BALANCE_WHOLE - 1}, {10000, BALANCE_WHOLE},
                {1000000, BALANCE_WHOLE}};
    struct origin_shared *o = shared(s, 0);
    o->slow_from_ms = 70000;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(balance_share(o, 70000 + rows[i].ms), rows[i].share);
    assert_int_equal(balance_share(o, 1), BALANCE_SLOW_MIN);
}

static void slowly_begun_each_kind_gives_it_less(void **state)
{
    struct stage *s = *state;
    uint64_t now_ms = loop_now_ms(s->loop);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        unsigned counts[UPSTREAM_ORIGINS_MAX];
        s->conf.balance = kinds[k].kind;
        shared(s, 0)->slow_from_ms = now_ms - 2500;
        count_picks(s, PICKS, counts);
        near(counts[0], PICKS * 0.25 / 3.25, kinds[k].off + 1);
        near(counts[1], PICKS / 3.25, kinds[k].off + 1);
    }
    /* All new: all the same. */
    s->conf.balance = BALANCE_ROUND_ROBIN;
    unsigned counts[UPSTREAM_ORIGINS_MAX];
    for (unsigned i = 0; i < ORIGINS; i++)
        shared(s, i)->slow_from_ms = now_ms;
    count_picks(s, PICKS, counts);
    near(counts[0], PICKS / 4.0, 10);
}

/* ---- places ---- */

static void the_round_of_a_list_goes_on_when_its_conf_is_made_anew(void **state)
{
    struct stage *s = *state;
    assert_int_equal(pick_of(s, ALL, 0), 0);
    struct upstream_conf again = s->conf, other = s->conf;
    again.keepalive_max = 9;
    other.identity = 7 + BALANCE_BUCKETS; /* the same bucket */
    unsigned index;
    assert_int_equal(balance_next(&s->balance, &s->origins, &other, ALL, 0, &index),
                     BALANCE_CHOSEN);
    assert_int_equal(index, 0);
    assert_int_equal(balance_next(&s->balance, &s->origins, &again, ALL, 0, &index),
                     BALANCE_CHOSEN);
    assert_int_equal(index, 1);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, begin, end)

static void a_peek_tells_the_next_and_moves_nothing(void **state)
{
    struct stage *s = *state;
    s->conf.connections_max = 2;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        s->conf.balance = kinds[k].kind;
        for (uint64_t key = 0; key < 500; key++) {
            unsigned peeked[2] = {99, 98};
            for (unsigned i = 0; i < 2; i++)
                assert_int_equal(balance_peek(&s->balance, &s->origins, &s->conf, key, &peeked[i]),
                                 BALANCE_CHOSEN);
            assert_int_equal(peeked[0], peeked[1]);
            assert_int_equal(pick_of(s, UINT64_MAX, key), peeked[0]);
        }
    }
    unsigned index;
    for (unsigned i = 0; i < ORIGINS; i++)
        shared(s, i)->in_use = 2;
    assert_int_equal(balance_peek(&s->balance, &s->origins, &s->conf, 0, &index), BALANCE_FULL);
    for (unsigned i = 0; i < ORIGINS; i++)
        shared(s, i)->state = ORIGIN_DRAINED;
    assert_int_equal(balance_peek(&s->balance, &s->origins, &s->conf, 0, &index), BALANCE_DRAINED);
}

static void count_origin(void *user, const struct origin_shared *origin)
{
    (void)origin;
    ++*(unsigned *)user;
}

/* The registry and this thread know no more origins afterwards; a drain beforehand counts. */
static void a_peek_meets_nobody(void **state)
{
    struct stage *s = *state;
    struct origin_conf strangers[2] = {
        {.text = STR("one"), .identity = 1, .weight = 1},
        {.text = STR("two"), .identity = 2, .weight = 1},
    };
    const struct upstream_conf conf = {.origins = strangers, .origin_count = 2, .identity = 8};
    unsigned before = 0, after = 0, index;
    origin_registry_each(s->registry, count_origin, &before);
    assert_int_equal(balance_peek(&s->balance, &s->origins, &conf, 0, &index), BALANCE_CHOSEN);
    assert_int_equal(index, 0);
    assert_true(origin_registry_drain(s->registry, STR("one"), true));
    assert_int_equal(balance_peek(&s->balance, &s->origins, &conf, 0, &index), BALANCE_CHOSEN);
    assert_int_equal(index, 1);
    origin_registry_each(s->registry, count_origin, &after);
    assert_int_equal(before, after);
    assert_null(origin_find(&s->origins, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(each_kind_shares_after_the_weights),
        STAGED(a_round_is_smooth),
        STAGED(the_largest_weights_of_the_most_origins_are_kept_too),
        STAGED(least_requests_takes_the_one_with_the_fewest_for_its_weight),
        STAGED(a_slow_origin_gets_less_of_those_who_look_at_the_load),
        STAGED(a_key_keeps_its_origin_and_losing_one_moves_only_its_own),
        STAGED(a_new_origin_takes_its_share_of_keys_and_moves_no_other),
        STAGED(backups_wait_until_no_other_is_fit),
        STAGED(when_none_is_fit_the_one_that_failed_longest_ago_is_tried),
        STAGED(a_drained_origin_is_never_asked),
        STAGED(a_full_origin_is_passed_over_and_when_all_are_the_shortest_queue_is_told),
        STAGED(the_share_of_what_comes_back_grows_over_ten_seconds),
        STAGED(slowly_begun_each_kind_gives_it_less),
        STAGED(the_round_of_a_list_goes_on_when_its_conf_is_made_anew),
        STAGED(a_peek_tells_the_next_and_moves_nothing),
        STAGED(a_peek_meets_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
