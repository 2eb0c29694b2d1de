#include "upstream/slot.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "alloc_fail.h"

struct stage {
    struct loop *loop;
    struct origin_registry *registry;
    struct origin_shared *origin;
    struct loop_timer timer;
    unsigned order[8], served; /* who got a slot, in this order */
};

struct asker {
    struct stage *stage;
    struct slot_wait *wait;
    unsigned name;
};

static int begin(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    s->loop = loop_new(0);
    s->registry = origin_registry_new();
    assert_true(s->loop != NULL && s->registry != NULL);
    s->origin = origin_shared_take(s->registry, 1, STR("a:1"));
    assert_non_null(s->origin);
    *state = s;
    return 0;
}

static int end(void **state)
{
    struct stage *s = *state;
    if (s->origin != NULL)
        origin_shared_give(s->registry, s->origin);
    loop_end(s->loop);
    origin_registry_end(s->registry);
    free(s);
    return 0;
}

static void stop(struct loop_timer *timer)
{
    loop_stop(LIST_OF(timer, struct stage, timer)->loop);
}

static void turn(struct stage *s)
{
    s->timer.on_fire = stop;
    timer_set(s->loop, &s->timer, 1);
    loop_run(s->loop);
}

static void on_slot(void *user)
{
    struct asker *asker = user;
    asker->wait = NULL;
    asker->stage->order[asker->stage->served++] = asker->name;
}

static bool ask(struct stage *s, struct asker *asker, unsigned name, uint32_t most, uint32_t queue)
{
    *asker = (struct asker){.stage = s, .name = name};
    asker->wait = slot_queue(s->registry, s->origin, most, queue, s->loop, on_slot, asker);
    return asker->wait != NULL;
}

static void as_many_as_the_cap_are_taken_and_one_more_is_not(void **state)
{
    struct stage *s = *state;
    assert_true(slot_take(s->origin, 2));
    assert_true(slot_free(s->origin, 2));
    assert_true(slot_take(s->origin, 2));
    assert_false(slot_free(s->origin, 2));
    assert_false(slot_take(s->origin, 2));
    assert_true(slot_take(s->origin, 3)); /* another route's cap */
    assert_true(slot_take(s->origin, 0)); /* a route without */
    for (unsigned i = 0; i < 4; i++)
        slot_leave(s->origin);
    assert_int_equal(s->origin->in_use, 0);
}

static void who_waits_is_served_in_the_order_of_coming_and_nobody_overtakes(void **state)
{
    struct stage *s = *state;
    struct asker a[4];
    assert_true(slot_take(s->origin, 1));
    for (unsigned i = 0; i < 3; i++)
        assert_true(ask(s, &a[i], i, 1, 3));
    assert_false(ask(s, &a[3], 3, 1, 3)); /* the queue is full */
    assert_int_equal(s->origin->queued, 3);
    slot_leave(s->origin);
    assert_false(slot_take(s->origin, 1)); /* it is the first waiter's */
    assert_int_equal(s->served, 0);        /* whom his loop tells */
    turn(s);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(s->served, i + 1);
        assert_int_equal(s->order[i], i);
        slot_leave(s->origin);
        turn(s);
    }
    assert_int_equal(s->origin->in_use, 0);
    assert_int_equal(s->origin->queued, 0);
}

static void without_a_queue_nobody_waits(void **state)
{
    struct stage *s = *state;
    struct asker a;
    assert_true(slot_take(s->origin, 1));
    assert_false(ask(s, &a, 0, 1, 0));
    slot_leave(s->origin);
}

static void who_comes_as_a_slot_falls_free_need_not_wait(void **state)
{
    struct stage *s = *state;
    struct asker a;
    assert_true(ask(s, &a, 0, 1, 1));
    assert_int_equal(s->served, 0); /* never from inside the call */
    turn(s);
    assert_int_equal(s->served, 1);
    slot_leave(s->origin);
}

static void who_leaves_the_queue_gets_nothing_and_holds_nobody_up(void **state)
{
    struct stage *s = *state;
    struct asker a[3];
    assert_true(slot_take(s->origin, 1));
    for (unsigned i = 0; i < 3; i++)
        assert_true(ask(s, &a[i], i, 1, 3));
    slot_abandon(a[1].wait); /* waiting */
    slot_leave(s->origin);
    slot_abandon(a[0].wait); /* granted, but not told yet */
    turn(s);
    turn(s);
    assert_int_equal(s->served, 1);
    assert_int_equal(s->order[0], 2);
    slot_leave(s->origin);
    assert_int_equal(s->origin->in_use, 0);
    assert_int_equal(s->origin->queued, 0);
}

static void a_first_with_a_lower_cap_who_leaves_lets_the_next_in(void **state)
{
    struct stage *s = *state;
    struct asker a[2];
    assert_true(slot_take(s->origin, 1));
    assert_true(ask(s, &a[0], 0, 1, 9));
    assert_true(ask(s, &a[1], 1, 2, 9));
    turn(s);
    assert_int_equal(s->served, 0);
    slot_abandon(a[0].wait);
    turn(s);
    assert_int_equal(s->served, 1);
    assert_int_equal(s->order[0], 1);
    slot_leave(s->origin);
    slot_leave(s->origin);
}

static void a_slot_on_its_way_to_a_loop_that_ends_keeps_the_origin_alive(void **state)
{
    struct stage *s = *state;
    struct asker a;
    assert_true(slot_take(s->origin, 1));
    assert_true(ask(s, &a, 0, 1, 1));
    slot_leave(s->origin);
    slot_abandon(a.wait);
    origin_shared_give(s->registry, s->origin);
    s->origin = NULL; /* the end of the loop runs what was posted */
}

/* ---- many threads ---- */

enum { THREADS = 4, ASKERS = 8, ROUNDS = 2000, MOST = 3 };

struct crowd {
    struct origin_registry *registry;
    struct origin_shared *origin;
    _Atomic uint32_t inside, most_inside, refused, served, left;
    unsigned number;
};

struct thread_asker {
    struct worker *worker;
    struct slot_wait *wait;
    struct loop_task task;
    bool inside;
};

struct worker {
    struct crowd *crowd;
    struct loop *loop;
    struct thread_asker askers[ASKERS];
    unsigned rounds, random;
    pthread_t thread;
};

static void enter(struct thread_asker *asker)
{
    struct crowd *crowd = asker->worker->crowd;
    uint32_t inside = atomic_fetch_add(&crowd->inside, 1) + 1,
             most = atomic_load(&crowd->most_inside);
    while (inside > most && !atomic_compare_exchange_weak(&crowd->most_inside, &most, inside))
        ;
    atomic_fetch_add(&crowd->served, 1);
    asker->inside = true;
}

static void got_slot(void *user)
{
    struct thread_asker *asker = user;
    asker->wait = NULL;
    enter(asker);
}

/* Each time one of the askers does what comes next for it. */
static void play(struct loop_task *task)
{
    struct thread_asker *first = LIST_OF(task, struct thread_asker, task);
    struct worker *w = first->worker;
    w->random = w->random * 1103515245 + 12345;
    struct thread_asker *asker = &w->askers[(w->random >> 16) % ASKERS];
    bool last = w->rounds++ >= ROUNDS;
    if (asker->inside) {
        atomic_fetch_sub(&w->crowd->inside, 1);
        asker->inside = false;
        slot_leave(w->crowd->origin);
    } else if (asker->wait != NULL && (w->random >> 24) % 4 == 0) {
        slot_abandon(asker->wait);
        asker->wait = NULL;
        atomic_fetch_add(&w->crowd->left, 1);
    } else if (asker->wait == NULL && slot_take(w->crowd->origin, MOST)) {
        enter(asker);
    } else if (asker->wait == NULL) {
        asker->wait =
            slot_queue(w->crowd->registry, w->crowd->origin, MOST, 10, w->loop, got_slot, asker);
        if (asker->wait == NULL)
            atomic_fetch_add(&w->crowd->refused, 1);
    }
    if (last)
        loop_stop(w->loop);
    else
        loop_post(w->loop, task);
}

static void *run(void *argument)
{
    struct worker *w = argument;
    loop_post(w->loop, &w->askers[0].task);
    loop_run(w->loop);
    for (unsigned i = 0; i < ASKERS; i++) {
        if (w->askers[i].inside) {
            atomic_fetch_sub(&w->crowd->inside, 1);
            slot_leave(w->crowd->origin);
        }
        if (w->askers[i].wait != NULL)
            slot_abandon(w->askers[i].wait);
    }
    return NULL;
}

static void over_all_threads_the_cap_holds_and_no_slot_is_lost(void **state)
{
    struct stage *s = *state;
    struct crowd crowd = {.registry = s->registry, .origin = s->origin};
    static struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.crowd = &crowd, .loop = loop_new(i), .random = i * 77 + 1};
        for (unsigned k = 0; k < ASKERS; k++)
            workers[i].askers[k] = (struct thread_asker){.worker = &workers[i], .task.run = play};
        assert_non_null(workers[i].loop);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        loop_end(workers[i].loop);
    print_message("served %u, left the queue %u, refused %u, at most %u at once\n",
                  (unsigned)crowd.served, (unsigned)crowd.left, (unsigned)crowd.refused,
                  (unsigned)crowd.most_inside);
    assert_in_range(crowd.most_inside, 1, MOST);
    assert_true(crowd.served > 10 * MOST && crowd.left > 0);
    assert_int_equal(s->origin->in_use, 0);
    assert_int_equal(s->origin->queued, 0);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, begin, end)

static void one_wait(void *state)
{
    struct asker a;
    assert_true(ask(state, &a, 0, 1, 3) || alloc_has_failed());
    if (a.wait != NULL)
        slot_abandon(a.wait);
}

static void without_memory_nobody_waits(void **state)
{
    struct stage *s = *state;
    assert_true(slot_take(s->origin, 1));
    assert_true(alloc_walk(one_wait, s) > 0);
    slot_leave(s->origin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(as_many_as_the_cap_are_taken_and_one_more_is_not),
        STAGED(who_waits_is_served_in_the_order_of_coming_and_nobody_overtakes),
        STAGED(without_a_queue_nobody_waits),
        STAGED(who_comes_as_a_slot_falls_free_need_not_wait),
        STAGED(who_leaves_the_queue_gets_nothing_and_holds_nobody_up),
        STAGED(a_first_with_a_lower_cap_who_leaves_lets_the_next_in),
        STAGED(a_slot_on_its_way_to_a_loop_that_ends_keeps_the_origin_alive),
        STAGED(over_all_threads_the_cap_holds_and_no_slot_is_lost),
        cmocka_unit_test_setup_teardown(without_memory_nobody_waits, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
